"""What processes use, read once: CPU time to the nanosecond, memory, threads, descriptors, context switches.

Reads only. What cannot be read any more, because the process has ended, raises psutil.Error or OSError.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")

GONE = (psutil.Error, OSError)
_SCHEDULER_CLOCK = 2  # CPUCLOCK_SCHED of the kernel's posix-timers.h: all threads, as the scheduler counts them
_SWITCHES = {"voluntary_ctxt_switches": 0, "nonvoluntary_ctxt_switches": 1}


def cpu_clock_s(pid: int) -> float:
    """Return the CPU seconds of a process and all its threads so far.

    /proc/PID/stat counts in ticks of 10 ms, which is 1 % of a busy second; the clock of the process (see
    clock_getcpuclockid(3), whose arithmetic this is) counts in nanoseconds. Raises OSError if it has ended.
    """
    if sys.platform == "linux":
        return time.clock_gettime_ns((~pid << 3) | _SCHEDULER_CLOCK) / 1e9
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


class Cpu(NamedTuple):
    """CPU seconds of a tree so far: precise `total_s`, and the kernel's split, in ticks, of user and system."""

    total_s: float
    user_s: float
    system_s: float


class Switches(NamedTuple):
    """Context switches of a tree so far."""

    voluntary: int
    involuntary: int


class Tree:
    """A process and all that it started. Members are looked up when that is asked for; one that ended is dropped."""

    def __init__(self, pid: int) -> None:
        """Look the tree up. Raise psutil.NoSuchProcess if there is none."""
        self._root = psutil.Process(pid)
        self._members: list[psutil.Process] = []
        self.refresh()

    def refresh(self) -> None:
        """Take note of new members."""
        self._members = [self._root, *self._root.children(recursive=True)]

    def cpu(self) -> Cpu:
        """Return CPU seconds so far, those of members that have ended and been waited for included.

        What a member used goes over to its parent's children when it ends, so that the sum over the living loses
        nothing.
        """
        read = self._read(_cpu)
        return Cpu(sum(one.total_s for one in read), sum(one.user_s for one in read), sum(one.system_s for one in read))

    def rss_bytes(self) -> int:
        """Return resident bytes; a page that members share is counted for each."""
        return sum(self._read(lambda process: process.memory_info().rss))

    def uss_bytes(self) -> int:
        """Return the bytes that ending it would free. Dear: the kernel walks all its page tables."""
        return sum(self._read(lambda process: process.memory_full_info().uss))

    def threads(self) -> int:
        """Return the number of threads."""
        return sum(self._read(lambda process: process.num_threads()))

    def fds(self) -> int:
        """Return the number of open descriptors."""
        return sum(self._read(_fds))

    def switches(self) -> Switches:
        """Return context switches so far, of all threads that live. Dear with many threads: a file for each."""
        read = self._read(_switches)
        return Switches(sum(one.voluntary for one in read), sum(one.involuntary for one in read))

    def _read(self, read: Callable[[psutil.Process], T]) -> list[T]:
        """Read every member. One that has ended is dropped, but if it is the first, its error is raised."""
        found = []
        for process in tuple(self._members):
            try:
                found.append(read(process))
            except GONE:
                if process is self._root:
                    raise
                self._members.remove(process)
        return found


def _cpu(process: psutil.Process) -> Cpu:
    total_s = cpu_clock_s(process.pid)
    times = process.cpu_times()
    return Cpu(
        total_s + times.children_user + times.children_system,
        times.user + times.children_user,
        times.system + times.children_system,
    )


def _fds(process: psutil.Process) -> int:
    """Count open descriptors; since Linux 6.2 the size of the folder is their number, else each must be listed."""
    size = os.stat(f"/proc/{process.pid}/fd").st_size if sys.platform == "linux" else 0  # noqa: PTH116 - hot
    return size or process.num_fds()


def _switches(process: psutil.Process) -> Switches:
    tasks = Path(f"/proc/{process.pid}/task")
    if not tasks.exists():
        return Switches(*process.num_ctx_switches())
    counts = [0, 0]
    for task in tasks.iterdir():  # /proc/PID/status has the first thread's only
        with contextlib.suppress(OSError):  # a thread that has ended meanwhile
            for line in (task / "status").read_text().splitlines()[-2:]:
                name, _, number = line.partition(":")
                counts[_SWITCHES[name]] += int(number)
    return Switches(*counts)
