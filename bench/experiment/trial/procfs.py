"""What processes use, read once: CPU time to the nanosecond, memory, threads, descriptors, context switches.

Reads only. What cannot be read any more, because the process has ended, raises psutil.Error or OSError.
"""

from __future__ import annotations

import contextlib
import errno
import os
import resource
import sys
import time
import weakref
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

T = TypeVar("T")

GONE = (psutil.Error, OSError)
_SCHEDULER_CLOCK = 2  # CPUCLOCK_SCHED of the kernel's posix-timers.h: all threads, as the scheduler counts them
_IS_LINUX = sys.platform == "linux"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = resource.getpagesize()
_FILE_BYTES_MAX = 1024  # of a process
KEPT_MAX = 8
"""Of so many members the files stay open; with more, it is the descriptors of the bench that would run out."""
_SWITCHES = {"voluntary_ctxt_switches": 0, "nonvoluntary_ctxt_switches": 1}


def cpu_clock_s(pid: int) -> float:
    """Return the CPU seconds of a process and all its threads so far.

    /proc/PID/stat counts in ticks of 10 ms, which is 1 % of a busy second; the clock of the process (see
    clock_getcpuclockid(3), whose arithmetic this is) counts in nanoseconds. Raises OSError if it has ended.
    """
    if _IS_LINUX:
        return time.clock_gettime_ns((~pid << 3) | _SCHEDULER_CLOCK) / 1e9
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


class Cpu(NamedTuple):
    """CPU seconds of a tree so far: precise `total_s`, and the kernel's split, in ticks, of user and system."""

    total_s: float
    user_s: float
    system_s: float


class Vitals(NamedTuple):
    """What one reading of a process or a tree shows."""

    cpu: Cpu
    rss_bytes: int
    threads: int


class Machine(NamedTuple):
    """CPU seconds so far of the CPUs we may use: by processes (interrupts are nobody's), stolen, and in all."""

    processes_s: float
    steal_s: float
    total_s: float


class Counters(NamedTuple):
    """What the kernel has counted of a tree so far. None is what this kernel does not tell."""

    ctx_voluntary: int
    ctx_involuntary: int
    minor_faults: int | None
    runqueue_wait_ns: int | None


class ProcFile:
    """A file of /proc, which can stay open: to open one takes four times as long as to read it again."""

    def __init__(self, path: str, *, is_kept: bool = True) -> None:
        """Open it if it is to be kept so. Raise OSError if it is not there."""
        self._path = path
        self._fd: int | None = None
        if is_kept:
            self._fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            weakref.finalize(self, os.close, self._fd)

    def read(self, bytes_max: int) -> bytes:
        """Return what it says now. Raise ProcessLookupError or FileNotFoundError if its process has ended."""
        if self._fd is not None:
            return os.pread(self._fd, bytes_max, 0)
        with open(self._path, "rb", buffering=0) as file:  # noqa: PTH123  # hot
            return file.read(bytes_max)


class Member:
    """One process of a tree."""

    def __init__(self, process: psutil.Process, *, is_kept: bool = True) -> None:
        """Begin to watch it, with its files kept open or not. Raise one of GONE if it has ended."""
        self.process = process
        if _IS_LINUX:
            files = (ProcFile(f"/proc/{process.pid}/{name}", is_kept=is_kept) for name in ("stat", "statm"))
            self._stat, self._statm = files

    def vitals(self) -> Vitals:
        """Return its own, and the CPU time of those of its children that have ended and were waited for."""
        total_s = cpu_clock_s(self.process.pid)
        if _IS_LINUX:
            times_s, threads = _parse_stat(self._stat.read(_FILE_BYTES_MAX))
            # What stat says of memory is not exact: of each CPU's last changes it does not know.
            rss_bytes = int(self._statm.read(_FILE_BYTES_MAX).split()[1]) * _PAGE_BYTES
        else:
            with self.process.oneshot():
                times_s = tuple(self.process.cpu_times()[:4])
                threads, rss_bytes = self.process.num_threads(), self.process.memory_info().rss
        user_s, system_s, children_user_s, children_system_s = times_s
        children_s = children_user_s + children_system_s
        cpu = Cpu(total_s + children_s, user_s + children_user_s, system_s + children_system_s)
        return Vitals(cpu, rss_bytes, threads)


def _parse_stat(line: bytes) -> tuple[tuple[float, ...], int]:
    """Return a process's CPU seconds (user, system, its children's user, system), and threads; see proc_pid_stat(5).

    Fields are counted from the third: the second, a name, may hold blanks and brackets.
    """
    fields = line[line.rindex(b")") + 2 :].split()
    return tuple(int(ticks) / TICKS_PER_S for ticks in fields[11:15]), int(fields[17])


class MachineClock:
    """The times of some of the machine's CPUs, which the kernel counts in ticks of 10 ms."""

    def __init__(self, cpus: Collection[int], *, stat: str = "/proc/stat") -> None:
        """Read the file `stat`, see proc_stat(5), where there is Linux. Raise OSError if it is not there."""
        self._cpus = frozenset(cpus)
        self._stat = ProcFile(stat) if _IS_LINUX else None

    def read(self) -> Machine:
        """Return their sums."""
        if self._stat is not None:
            return _parse_machine(self._stat.read(_bytes_of_cpus()), self._cpus)
        rows = [times for number, times in enumerate(psutil.cpu_times(percpu=True)) if number in self._cpus]
        return Machine(
            processes_s=sum(row.user + row.nice + row.system for row in rows),
            steal_s=0.0,
            total_s=sum(map(sum, rows)),
        )


def _bytes_of_cpus() -> int:
    """Return how much of /proc/stat holds the lines of all CPUs, ten numbers of up to twenty digits in each."""
    return 256 * (1 + os.sysconf("SC_NPROCESSORS_CONF"))  # not os.cpu_count, which a variable may say otherwise


def _parse_machine(stat: bytes, cpus: Collection[int]) -> Machine:
    """Sum what proc_stat(5) says of some CPUs; a guest's time is in user and nice already."""
    names = {b"cpu%d" % number for number in cpus}
    rows = [
        list(map(int, fields[1:9])) for line in stat.splitlines() if (fields := line.split()) and fields[0] in names
    ]
    processes, steal = (sum(sum(row[:3]) for row in rows), sum(row[7] for row in rows))
    return Machine(processes / TICKS_PER_S, steal / TICKS_PER_S, sum(map(sum, rows)) / TICKS_PER_S)


class Tree:
    """A process and all that it started. Members are looked up when that is asked for; one that ended is dropped."""

    def __init__(self, pid: int, *, kept_max: int = KEPT_MAX) -> None:
        """Look the tree up; keep the files of so many members open. Raise one of GONE if there is none."""
        self._kept_max = kept_max
        self._root = Member(psutil.Process(pid))
        self._members = [self._root]
        self.refresh()

    def refresh(self) -> None:
        """Take note of new members."""
        known = {member.process: member for member in self._members}
        self._members = [self._root, *self._found(self._root.process.children(recursive=True), known)]

    def _found(self, processes: Iterable[psutil.Process], known: Mapping[psutil.Process, Member]) -> Iterator[Member]:
        for number, process in enumerate(processes):
            try:
                yield known.get(process) or Member(process, is_kept=number < self._kept_max)
            except GONE as error:  # it has ended meanwhile
                if _is_our_fault(error):
                    raise

    def vitals(self) -> Vitals:
        """Return the sums over the tree.

        What a member used goes over to its parent's children when it ends, so that the sum over the living loses
        nothing. A page that members share is counted for each.
        """
        read = self._read(Member.vitals)
        cpus = [one.cpu for one in read]
        return Vitals(
            Cpu(sum(one.total_s for one in cpus), sum(one.user_s for one in cpus), sum(one.system_s for one in cpus)),
            sum(one.rss_bytes for one in read),
            sum(one.threads for one in read),
        )

    def cpu(self) -> Cpu:
        """Return CPU seconds so far, those of members that have ended and been waited for included."""
        return self.vitals().cpu

    def uss_bytes(self) -> int:
        """Return the bytes that ending it would free. Dear: the kernel walks all its page tables."""
        return sum(self._read(lambda member: member.process.memory_full_info().uss))

    def fds(self) -> int:
        """Return the number of open descriptors."""
        return sum(self._read(lambda member: _fds(member.process)))

    def counters(self) -> Counters:
        """Return what was counted so far, of all threads that live. Dear with many threads: two files for each."""
        read = self._read(lambda member: _counters(member.process))
        return Counters(
            sum(one.ctx_voluntary for one in read),
            sum(one.ctx_involuntary for one in read),
            _sum(one.minor_faults for one in read),
            _sum(one.runqueue_wait_ns for one in read),
        )

    def _read(self, read: Callable[[Member], T]) -> list[T]:
        """Read every member. One that has ended is dropped, but if it is the first, its error is raised."""
        found = []
        for member in tuple(self._members):
            try:
                found.append(read(member))
            except GONE as error:
                if member is self._root or _is_our_fault(error):
                    raise
                self._members.remove(member)
        return found


def _is_our_fault(error: psutil.Error | OSError) -> bool:
    """Say whether the bench had no descriptor left, which says nothing about the process."""
    return isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}


def _fds(process: psutil.Process) -> int:
    """Count open descriptors; since Linux 6.2 the size of the folder is their number, else each must be listed."""
    size = os.stat(f"/proc/{process.pid}/fd").st_size if _IS_LINUX else 0  # noqa: PTH116 - hot
    return size or process.num_fds()


def _sum(parts: Iterable[int | None]) -> int | None:
    """Return the sum; None if a part is not known."""
    known = list(parts)
    return None if None in known else sum(part for part in known if part is not None)


def _counters(process: psutil.Process) -> Counters:
    folder = Path(f"/proc/{process.pid}")
    tasks = folder / "task"
    if not tasks.exists():
        voluntary, involuntary = process.num_ctx_switches()
        return Counters(voluntary, involuntary, None, None)
    switches, wait_ns = [0, 0], 0
    for task in tasks.iterdir():  # what the process's own files say of this is the first thread's only
        with contextlib.suppress(OSError):  # a thread that has ended meanwhile
            for line in (task / "status").read_text().splitlines()[-2:]:
                name, _, number = line.partition(":")
                switches[_SWITCHES[name]] += int(number)
            wait_ns += int((task / "schedstat").read_text().split()[1])
    stat = (folder / "stat").read_bytes()
    minor_faults = int(stat[stat.rindex(b")") + 2 :].split()[7])
    return Counters(switches[0], switches[1], minor_faults, wait_ns)
