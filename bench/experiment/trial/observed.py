"""What a server turned out to be: the CPUs that it is bound to, and the Python that runs it. Reads only.

What was asked of it, a plan knows. But a server may bind itself elsewhere, and a launcher may choose another Python.
"""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from bench.errors import UsageError
from bench.experiment.host.machine import join_cpus
from bench.experiment.planning.catalog import describe
from bench.experiment.trial.kinship import Kinship
from bench.experiment.trial.procfs import GONE

if TYPE_CHECKING:
    from collections.abc import Iterable

PYTHONS = ("python", "pypy")
"""What the name of a program begins with if it is an interpreter of Python."""


def observed(pid: int | None, kinship: Kinship | None = None) -> dict[str, Any]:
    """Return the columns `server_cpus` and `interpreter` of a trial; what cannot be seen is left out.

    The processes under `pid` are asked, and the CPUs are those of all their threads together.
    """
    processes = [] if pid is None else processes_of(pid, kinship)
    found = {"server_cpus": join_cpus(_cpus(processes)), "interpreter": _interpreter(processes)}
    return {column: value for column, value in found.items() if value is not None}


def processes_of(pid: int, kinship: Kinship | None = None) -> list[psutil.Process]:
    """Return a process and all that it started, by the `kinship` of just now; nothing if it has ended."""
    try:
        return [psutil.Process(pid), *(kinship or Kinship()).descendants(pid)]
    except psutil.NoSuchProcess:
        return []


def program_of(process: psutil.Process) -> Path | None:
    """Return the file that a process executes; None if that cannot be seen."""
    try:
        return Path(process.exe())
    except GONE:
        return None


def _cpus(processes: Iterable[psutil.Process]) -> set[int]:
    cpus: set[int] = set()
    if sys.platform == "linux":
        for process in processes:
            with contextlib.suppress(OSError):  # it has ended meanwhile, or a thread of it has
                for thread in os.listdir(f"/proc/{process.pid}/task"):  # noqa: PTH208 - hot
                    cpus |= os.sched_getaffinity(int(thread))
    return cpus


def _interpreter(processes: Iterable[psutil.Process]) -> str | None:
    for process in processes:
        program = program_of(process)
        if program is not None and program.name.startswith(PYTHONS):
            try:
                return describe(str(program)).description
            except UsageError:  # it was replaced or removed while it ran
                return None
    return None
