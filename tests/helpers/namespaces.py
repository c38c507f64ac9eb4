"""Machines that are network namespaces of this one, joined by a bridge: a hub, and agents over veth pairs.

The namespaces are made and removed here, and no interface of the machine itself is touched. What is run in them is the
tests' business.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

SUBNET = "10.213.7"


@dataclass(frozen=True)
class Machine:
    """A namespace: its name, and its address, which all others reach."""

    name: str
    address: str

    def inside(self, *command: str) -> list[str]:
        """Return the command that runs another one in it."""
        return ["ip", "netns", "exec", self.name, *command]

    def run(self, *command: str) -> None:
        """Run a command in it to its end."""
        subprocess.run(self.inside(*command), check=True, capture_output=True)


@contextmanager
def machines(agents: int) -> Iterator[list[Machine]]:
    """Make a hub and so many agents, the hub first. Skip the test where namespaces are not ours to make."""
    mark = f"echobench{os.getpid()}"
    made = [Machine(f"{mark}-{n}", f"{SUBNET}.{n + 1}") for n in range(agents + 1)]
    with ExitStack() as stack:
        for machine in made:
            _add(stack, machine)
        hub, *others = made
        hub.run("ip", "link", "add", "bridge", "type", "bridge")
        hub.run("ip", "addr", "add", f"{hub.address}/24", "dev", "bridge")
        hub.run("ip", "link", "set", "bridge", "up")
        for number, machine in enumerate(others):
            port = f"port{number}"
            hub.run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", machine.name)
            hub.run("ip", "link", "set", port, "master", "bridge", "up")
            machine.run("ip", "addr", "add", f"{machine.address}/24", "dev", "eth0")
            machine.run("ip", "link", "set", "eth0", "up")
        yield made


def _add(stack: ExitStack, machine: Machine) -> None:
    if shutil.which("ip") is None:
        pytest.skip("no `ip` here to make network namespaces with")
    done = subprocess.run(["ip", "netns", "add", machine.name], check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"no network namespaces for us here: {done.stderr.strip()}")
    stack.callback(subprocess.run, ["ip", "netns", "delete", machine.name], check=True)
    machine.run("ip", "link", "set", "lo", "up")
