"""Who started whom on this machine, read once for all the processes that are asked about. Reads only.

To find what one process has started takes a look at every process. With a look for each server of a block that was
longer than all else that is read at the edges of the load.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import psutil

from bench.experiment.trial import lifeline
from bench.experiment.trial.procfs import IS_LINUX, read_file

LISTED_THREADS_MAX = 1024


class _Birth(NamedTuple):
    """When a process was started, in ticks since the machine was, and by which."""

    parent: int
    at: int


class Kinship:
    """Who started whom at the moment when this was made."""

    def __init__(self) -> None:
        self._births = dict(_births()) if IS_LINUX else {}
        self._marks: dict[int, bytes] = {}
        self._children: dict[int, list[int]] = {}
        for pid, birth in self._births.items():
            self._children.setdefault(birth.parent, []).append(pid)

    def descendants(self, pid: int) -> list[psutil.Process]:
        """Return all that a process started, and what those started, as far as they live; nothing if it has ended."""
        if not IS_LINUX:
            return _asked_of_psutil(pid)
        found, parents = [], [pid] if pid in self._births else []
        for parent in parents:  # which grows meanwhile
            for child in self._children.get(parent, ()):
                if self._births[child].at >= self._births[parent].at:  # else another had the number of its parent
                    parents.append(child)
                    found.append(child)
        return [process for process in map(_process, found) if process is not None]

    def strays(self, pid: int) -> list[psutil.Process]:
        """Return what carries the mark that a process got from us, and does not descend from it any more."""
        if not IS_LINUX or pid not in self._births or not (mark := self._mark(pid)):
            return []
        related = {pid, *(process.pid for process in self.descendants(pid))}
        found = [
            other for other, birth in self._births.items() if birth.at >= self._births[pid].at and other not in related
        ]
        return [process for process in map(_process, filter(lambda one: self._mark(one) == mark, found)) if process]

    def _mark(self, pid: int) -> bytes:
        if pid not in self._marks:
            self._marks[pid] = _mark_of(pid)
        return self._marks[pid]


def quick_descendants(process: psutil.Process) -> list[psutil.Process]:
    """Return what a process has started, without a look at the whole machine. Raise psutil.Error if it has ended.

    The children of each thread are a file of their own. Where there are too many threads, or no such files, all
    processes of the machine are read.
    """
    own = Path(f"/proc/{process.pid}/task/{process.pid}/children")
    if process.num_threads() > LISTED_THREADS_MAX or not own.exists():
        return descendants(process.pid)
    found, pids = list[int](), [process.pid]
    while pids:
        pids = [child for pid in pids for child in children(pid)]
        found += pids
    return [process for process in map(_process, found) if process is not None]


def descendants(pid: int) -> list[psutil.Process]:
    """Return all that a process started, and what those started; nothing if it has ended."""
    return Kinship().descendants(pid)


def children(pid: int) -> list[int]:
    """Return what a process has started and not waited for yet, and what it was given; nothing if it has ended."""
    found: list[int] = []
    with suppress(OSError):  # it has ended
        for task in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - hot
            with suppress(OSError):
                found += map(int, read_file(f"/proc/{pid}/task/{task}/children", is_long=True).split())
    return found


def _mark_of(pid: int) -> bytes:
    """Return the variable that a child of ours and all that it starts are known by; empty if it is no child of ours.

    What we have started otherwise carries our own mark, which says nothing of one process.
    """
    try:
        variables = Path(f"/proc/{pid}/environ").read_bytes().split(b"\0")
    except OSError:  # it has ended, or is another user's
        return b""
    name = f"{lifeline.NAME}=".encode()
    own = name + os.environ.get(lifeline.NAME, "").encode()
    return next((one for one in variables if one.startswith(name) and one != own), b"")


def _births() -> list[tuple[int, _Birth]]:
    """Return the processes that live: proc_pid_stat(5), whose second field, a name, may hold blanks and brackets."""
    births = []
    for name in os.listdir("/proc"):  # noqa: PTH208 - hot
        if name.isdigit():
            try:
                stat = read_file(f"/proc/{name}/stat")
            except OSError:  # it has ended meanwhile, or is another user's
                continue
            fields = stat[stat.rindex(b")") + 2 :].split(None, 20)
            births.append((int(name), _Birth(parent=int(fields[1]), at=int(fields[19]))))
    return births


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:  # it has ended meanwhile
        return None


def _asked_of_psutil(pid: int) -> list[psutil.Process]:
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []
