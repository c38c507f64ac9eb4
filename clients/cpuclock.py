"""The CPU time of another process and of what it has started, in ns. Reads; decides nothing.

The clock of a process counts every thread of it (clock_getcpuclockid(3)), and costs one system call to read, where
/proc counts in ticks of 10 ms. A process that has ended keeps the last value that was read.
"""

from __future__ import annotations

import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PROCESS_CLOCK = 2  # CPUCLOCK_SCHED of the kernel: the scheduler's count, over all threads


class CpuClock:
    """The CPU time of a process tree, of each member since it was first seen. Only differences have a meaning.

    `refresh` looks for new members. That costs a file for each thread, so it is not for every slice of a load.
    """

    def __init__(self, pid: int | None) -> None:
        """Watch the tree below a process; None for one that is not known, whose time is never known either."""
        self._pid = pid
        self._read_ns: dict[int, int] = {}
        self._before_ns = 0
        self.refresh()

    def refresh(self) -> None:
        """Take note of members that were not there before."""
        for pid in members_of(self._pid):
            if pid not in self._read_ns:
                with suppress(OSError):  # it has ended
                    self._read_ns[pid] = used_ns(pid)
                    self._before_ns += self._read_ns[pid]

    def now_ns(self) -> int | None:
        """Return what the tree has used since its members were seen; None if its first process cannot be read."""
        known = self._read_ns
        for pid in known:
            try:
                known[pid] = used_ns(pid)
            except OSError:  # it has ended
                if pid == self._pid:
                    return None
        return sum(known.values()) - self._before_ns if self._pid in known else None


def used_ns(pid: int) -> int:
    """Return the CPU time of one process in ns. Raise OSError if it has ended."""
    return time.clock_gettime_ns((~pid << 3) | _PROCESS_CLOCK)


def members_of(pid: int | None) -> list[int]:
    """Return the processes of a tree that live now; none if the first is not known."""
    return [] if pid is None else [pid, *_descendants(pid)]


def _descendants(pid: int) -> Iterator[int]:
    for child in _children(pid):
        yield child
        yield from _descendants(child)


def _children(pid: int) -> Iterable[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
    except OSError:  # it has ended, or there is no /proc
        return []
    found: list[int] = []
    for task in tasks:
        try:
            found += map(int, (task / "children").read_text().split())
        except OSError:  # this thread has ended
            continue
    return found
