"""A cluster whose agents are elsewhere: namespaces, with a scheduler and a server at the hub, and a worker on each.

What is loaded, and what is expected of it, is the tests' business.
"""

from __future__ import annotations

import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from helpers.generator import ENVIRONMENT
from helpers.namespaces import machines

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from contextlib import ExitStack

ENV = {**os.environ, **ENVIRONMENT, "PYTHONWARNINGS": "default"}
PYTHON = (sys.executable, "-P", "-m")


@contextmanager
def running(command: Sequence[str], stream: str, says: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a program until the block ends; yield its process and the line that has these words."""
    with subprocess.Popen(command, text=True, env=ENV, **{stream: subprocess.PIPE}) as process:
        try:
            yield process, next(line for line in getattr(process, stream) if says in line)
        finally:
            process.terminate()
            process.communicate(timeout=30)


class Network:
    """A hub with a server and a scheduler, and three machines with a worker each."""

    def __init__(self, stack: ExitStack) -> None:
        """Start it all, to be ended by the stack. Skip the test where namespaces are not ours to make."""
        self.hub, *self.agents = stack.enter_context(machines(3))
        served = (*PYTHON, "servers", "coroutines", "--host", self.hub.address, "--port", "0")
        _, ready = stack.enter_context(running(self.hub.inside(*served), "stdout", "READY"))
        self.server = ":".join(ready.split()[1:])
        scheduler = (*PYTHON, "distributed.cli.dask_scheduler", "--host", self.hub.address, "--port", "0")
        _, said = stack.enter_context(running(self.hub.inside(*scheduler, "--no-dashboard"), "stderr", "Scheduler at:"))
        self.cluster = said.split()[-1]
        for machine in self.agents:
            worker = (*PYTHON, "distributed.cli.dask_worker", self.cluster, "--host", machine.address)
            command = machine.inside(*worker, "--no-nanny", "--no-dashboard", "--nthreads", "1")
            stack.enter_context(running(command, "stderr", "Registered to:"))

    def command(self, *arguments: object) -> list[str]:
        """Return the command of a load by all three agents."""
        agents = ("--agents", f"{self.cluster},3", "--insecure-cluster")
        return self.hub.inside(*PYTHON, "clients", *map(str, arguments), *agents)
