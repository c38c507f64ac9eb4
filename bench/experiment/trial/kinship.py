"""Who started whom on this machine, read once for all the processes that are asked about. Reads only.

To find what one process has started takes a look at every process. With a look for each server of a block that was
longer than all else that is read at the edges of the load.
"""

from __future__ import annotations

import os
from typing import NamedTuple

import psutil

from bench.experiment.trial.procfs import IS_LINUX, read_file


class _Birth(NamedTuple):
    """When a process was started, in ticks since the machine was, and by which."""

    parent: int
    at: int


class Kinship:
    """Who started whom at the moment when this was made."""

    def __init__(self) -> None:
        self._births = dict(_births()) if IS_LINUX else {}
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


def descendants(pid: int) -> list[psutil.Process]:
    """Return all that a process started, and what those started; nothing if it has ended."""
    return Kinship().descendants(pid)


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
