"""What one process uses, and the machine, read once: CPU time to the nanosecond, memory, threads.

Reads only. What cannot be read any more, because the process has ended, raises psutil.Error or OSError.
"""

from __future__ import annotations

import os
import resource
import signal
import sys
import time
import weakref
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import psutil

if TYPE_CHECKING:
    from collections.abc import Collection

GONE = (psutil.Error, OSError)
_SCHEDULER_CLOCK = 2  # CPUCLOCK_SCHED of the kernel's posix-timers.h: all threads, as the scheduler counts them
IS_LINUX = sys.platform == "linux"
TICKS_PER_S = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES = resource.getpagesize()
_FILE_BYTES_MAX = 1024  # of a process
_CHUNK_BYTES = 8192


def cpu_clock_s(pid: int) -> float:
    """Return the CPU seconds of a process and all its threads so far.

    /proc/PID/stat counts in ticks of 10 ms, which is 1 % of a busy second; the clock of the process (see
    clock_getcpuclockid(3), whose arithmetic this is) counts in nanoseconds. Raises OSError if it has ended.
    """
    if IS_LINUX:
        return time.clock_gettime_ns((~pid << 3) | _SCHEDULER_CLOCK) / 1e9
    times = psutil.Process(pid).cpu_times()
    return times.user + times.system


def read_file(path: str, *, is_long: bool = False) -> bytes:
    """Return what a file of /proc says, without a stream around it: there are thousands of them.

    One that `is_long` lists children, or the groups of a user. It may have more than a page, which is all that the
    kernel gives at a time. Raises OSError if it is not there.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        text = chunk = os.read(descriptor, _CHUNK_BYTES)
        while is_long and chunk:
            chunk = os.read(descriptor, _CHUNK_BYTES)
            text += chunk
        return text
    finally:
        os.close(descriptor)


def newest_pid() -> int | None:
    """Return the id that the kernel has given last, to a process or a thread; None where it does not tell."""
    try:
        return int(read_file("/proc/loadavg").split()[-1]) or None  # an imitation of Linux says 0
    except OSError:
        return None


def drops_children(pid: int) -> bool:
    """Say whether a process ignores SIGCHLD, so that its children end without being waited for."""
    try:
        status = read_file(f"/proc/{pid}/status", is_long=True)
    except OSError:
        return False
    ignored = status.partition(b"SigIgn:")[2].split(maxsplit=1)[:1]
    return any(int(mask, 16) >> (signal.SIGCHLD - 1) & 1 for mask in ignored)


class Cpu(NamedTuple):
    """CPU seconds of a tree so far: precise `total_s`, and the kernel's split, in ticks, of user and system."""

    total_s: float
    user_s: float
    system_s: float


class Vitals(NamedTuple):
    """What one reading of a process or a tree shows; `is_stopped` says that a signal or a debugger holds one still."""

    cpu: Cpu
    rss_bytes: int
    threads: int
    is_stopped: bool = False


class Kin(NamedTuple):
    """What a process tells of its family: its parent, and a number that grows whenever it waits for a child's end.

    The number is that of the page faults of those children. Each process has some, and the kernel counts them one by
    one, while of their CPU time it shows ticks only.
    """

    parent: int
    waited: int


class Machine(NamedTuple):
    """CPU seconds so far of the CPUs we may use: by processes (interrupts are nobody's), stolen, and in all."""

    processes_s: float
    steal_s: float
    total_s: float


Clocks = TypeVar("Clocks", Cpu, Machine)


def spent(before: Clocks, after: Clocks) -> Clocks:
    """Return the CPU seconds between two readings of the same clocks."""
    return type(after)(*(last - first for first, last in zip(before, after, strict=True)))


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
        return read_file(self._path)


class Member:
    """One process of a tree."""

    def __init__(self, process: psutil.Process, *, is_kept: bool = True) -> None:
        """Begin to watch it, with its files kept open or not. Raise one of GONE if it has ended."""
        self.process = process
        self.kin = Kin(0, 0)
        if IS_LINUX:
            files = (ProcFile(f"/proc/{process.pid}/{name}", is_kept=is_kept) for name in ("stat", "statm"))
            self._stat, self._statm = files
            self.kin = _parse_stat(self._stat.read(_FILE_BYTES_MAX))[3]

    def vitals(self) -> Vitals:
        """Return its own, and the CPU time of those of its children that have ended and were waited for."""
        total_s, is_stopped = cpu_clock_s(self.process.pid), False
        if IS_LINUX:
            times_s, threads, is_stopped, self.kin = _parse_stat(self._stat.read(_FILE_BYTES_MAX))
            # What stat says of memory is not exact: of each CPU's last changes it does not know.
            rss_bytes = int(self._statm.read(_FILE_BYTES_MAX).split()[1]) * _PAGE_BYTES
        else:
            with self.process.oneshot():
                times_s = tuple(self.process.cpu_times()[:4])
                threads, rss_bytes = self.process.num_threads(), self.process.memory_info().rss
        user_s, system_s, children_user_s, children_system_s = times_s
        children_s = children_user_s + children_system_s
        cpu = Cpu(total_s + children_s, user_s + children_user_s, system_s + children_system_s)
        return Vitals(cpu, rss_bytes, threads, is_stopped)


def _parse_stat(line: bytes) -> tuple[tuple[float, ...], int, bool, Kin]:
    """Return a process's CPU seconds (user, system, its children's user, system), threads, whether it is stopped, kin.

    See proc_pid_stat(5). Fields are counted from the third: the second, a name, may hold blanks and brackets.
    """
    fields = line[line.rindex(b")") + 2 :].split()
    times_s = tuple(int(ticks) / TICKS_PER_S for ticks in fields[11:15])
    return times_s, int(fields[17]), fields[0] in {b"T", b"t"}, Kin(parent=int(fields[1]), waited=int(fields[8]))


class MachineClock:
    """The times of some of the machine's CPUs, which the kernel counts in ticks of 10 ms."""

    def __init__(self, cpus: Collection[int], *, stat: str = "/proc/stat") -> None:
        """Read the file `stat`, see proc_stat(5), where there is Linux. Raise OSError if it is not there."""
        self._cpus = frozenset(cpus)
        self._stat = ProcFile(stat) if IS_LINUX else None

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
    processes, steal = sum(sum(row[:3]) for row in rows), sum(row[7] for row in rows)
    return Machine(processes / TICKS_PER_S, steal / TICKS_PER_S, sum(map(sum, rows)) / TICKS_PER_S)
