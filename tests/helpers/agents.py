"""Agents without a cluster: keepers in processes of their own, started as an actor does it, and what they start."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

import psutil
from helpers.generator import ENVIRONMENT

from clients.agents.group import AgentGroup
from clients.agents.line import Line, Seat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from clients.workload import Workload

    Started = tuple[list[subprocess.Popen[str]], AgentGroup]

TOKEN = "a-word-that-only-we-know"


@contextmanager
def keeper(*prefix: str) -> Iterator[tuple[subprocess.Popen[str], Seat]]:
    """Start a keeper, behind the words of a command that starts it; yield its process and where it listens."""
    process = subprocess.Popen(
        [*prefix, sys.executable, "-P", "-m", "clients.agents.keeper", "127.0.0.1"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **ENVIRONMENT},
    )
    with process:
        try:
            process.stdin.write(TOKEN + "\n")
            process.stdin.flush()
            yield process, Seat("a", "127.0.0.1", int(process.stdout.readline()), TOKEN)
        finally:
            process.kill()


@contextmanager
def agents(count: int, address: str, workload: Workload, *prefix: str) -> Iterator[Started]:
    """Start keepers, as `keeper` does, named a0 and so on; yield their processes and the group over them."""
    with ExitStack() as stack:
        started = [stack.enter_context(keeper(*prefix)) for _ in range(count)]
        lines = [stack.enter_context(Line(seat._replace(name=f"a{n}"))) for n, (_, seat) in enumerate(started)]
        arguments = [address, "--workload", json.dumps(workload.to_json())]
        yield [process for process, _ in started], AgentGroup(lines, arguments)


def loads_of(process: subprocess.Popen[str]) -> list[psutil.Process]:
    """Return what a keeper has started."""
    return psutil.Process(process.pid).children()


def of_agents(among: Iterable[psutil.Process] | None = None) -> list[psutil.Process]:
    """Return the keepers of this machine, or among some processes, and the loads that they started."""
    found = []
    for process in psutil.process_iter() if among is None else among:
        with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
            command = process.cmdline()
            if "clients.agents.keeper" in command or "--share" in command:
                found.append(process)
    return found


def left_after(limit_s: float, processes: Sequence[psutil.Process]) -> list[psutil.Process]:
    """Return which of them still run after so long, at most. One that ended is gone, if nobody has heard of it too."""
    deadline_s = time.monotonic() + limit_s
    while (left := [one for one in processes if _runs(one)]) and time.monotonic() < deadline_s:
        time.sleep(0.02)  # nothing tells of the end of another process's children
    return left


def _runs(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
