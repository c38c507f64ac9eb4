"""A process and all that it has started, read as one: what they use, and whether any of it went uncounted.

Reads only. What cannot be read any more, because the first process has ended, raises psutil.Error or OSError.
"""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING, TypeVar

import psutil

from bench.experiment.trial import orphans
from bench.experiment.trial.kinship import Kinship, quick_descendants
from bench.experiment.trial.procfs import (
    GONE,
    IS_LINUX,
    Counters,
    Cpu,
    Member,
    Vitals,
    drops_children,
    newest_pid,
    read_file,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator, Mapping

T = TypeVar("T")

KEPT_MAX = 8
"""Of so many members the files stay open; with more, it is the descriptors of the bench that would run out."""
_SWITCHES = {b"voluntary_ctxt_switches": 0, b"nonvoluntary_ctxt_switches": 1}


class Tree:
    """A process and all that it started. Members are looked up when that is asked for; one that ended is dropped.

    Members are those that descend from it, and those that carry its mark: they lost the parent that led to them.
    `came_at_s` are the times, in seconds since the epoch, at which members were started that were not there at first.
    `has_gone` says that one ended, seen or not. `has_lost` says that one ended without being waited for, so that its
    CPU time is in no count any more: its parent ignores SIGCHLD, or ended before it. `note_unseen` looks for those that
    nobody saw. `has_strays` says that the mark alone told of a member.
    """

    def __init__(self, pid: int, kinship: Kinship | None = None, *, kept_max: int = KEPT_MAX) -> None:
        """Look the tree up; keep the files of so many members open. Raise one of GONE if there is none."""
        self._kept_max = kept_max
        self._root = Member(psutil.Process(pid))
        self._members = [self._root]
        self._waited: dict[Member, int] = {}
        self.has_gone = self.has_lost = self.has_strays = False
        self.came_at_s: list[float] = []
        self.refresh(kinship)
        self.vitals()
        self.has_gone = self.has_lost = False
        self.came_at_s.clear()
        self._orphans = orphans.watch(pid)
        self._newest_pid = self._looked_at_pid = newest_pid()

    def note_unseen(self) -> None:
        """Say that CPU time is lost if processes can have come and gone unseen since the tree was looked up.

        Such a process leaves a trace in its parent, or with us if that ended before, but not if that ignores SIGCHLD.
        Then any process or thread that was started meanwhile, on the whole machine, can have been the server's.
        """
        self.has_lost |= orphans.ended(self._root.process.pid) != self._orphans
        if IS_LINUX and any(drops_children(member.process.pid) for member in self._members):
            newest = newest_pid()
            self.has_lost |= newest is None or newest != self._newest_pid

    def look(self) -> None:
        """Take note of new members if any process was started on the machine: cheap enough for each sample.

        One that comes, and ends without being waited for, between two calls of `refresh` is lost unseen but for this.
        The more of the time such processes live, and so the more CPU they can use, the surer one of them is met.
        """
        newest = newest_pid()
        if newest is None or newest != self._looked_at_pid:
            orphans.ended(self._root.process.pid)
            self._looked_at_pid = newest
            if self.has_gone:  # one that was waited for may have left another behind
                self.refresh()
            else:
                self._take_in(quick_descendants(self._root.process), ())

    def refresh(self, kinship: Kinship | None = None) -> None:
        """Take note of new members, by the `kinship` of just now. One that lost its parent stays a member."""
        kinship, pid = kinship or Kinship(), self._root.process.pid
        self._take_in(kinship.descendants(pid), kinship.strays(pid))

    def _take_in(self, descendants: Iterable[psutil.Process], strays: Collection[psutil.Process]) -> None:
        known = {member.process: member for member in self._members}
        found = list(self._found([*descendants, *strays], known))
        self.has_strays |= any(member.process in strays for member in found)
        self.came_at_s += [member.process.create_time() for member in found if member.process not in known]
        away = [member for member in self._members[1:] if member not in found]
        self._members = [self._root, *found, *away]
        self._note_ended([member for member in away if not member.process.is_running()])

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
        members = -1
        while members != len(self._members):  # else again: what one used that ended went over after its parent was read
            members = len(self._members)
            read = self._read(Member.vitals)
        for member in self._members:
            waited = self._waited.setdefault(member, member.kin.waited)
            self.has_gone |= member.kin.waited > waited
            self._waited[member] = member.kin.waited
        cpus = [one.cpu for one in read]
        return Vitals(
            Cpu(sum(one.total_s for one in cpus), sum(one.user_s for one in cpus), sum(one.system_s for one in cpus)),
            sum(one.rss_bytes for one in read),
            sum(one.threads for one in read),
            any(one.is_stopped for one in read),
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
        found, ended = [], []
        for member in self._members:
            try:
                found.append(read(member))
            except GONE as error:
                if member is self._root or _is_our_fault(error) or isinstance(error, psutil.AccessDenied):
                    raise
                ended.append(member)
        self._note_ended(ended)
        return found

    def _note_ended(self, ended: list[Member]) -> None:
        """Drop members, and say whether all of them were waited for."""
        if not ended:
            return
        self.has_gone = True
        self._members = [member for member in self._members if member not in ended]
        by_pid = {member.process.pid: member for member in (*self._members, *ended)}
        for member in ended:
            parent = by_pid.get(member.kin.parent)
            while parent in ended:
                parent = by_pid.get(parent.kin.parent)
            if parent is None or not self._has_waited(parent):
                self.has_lost = True
            self._waited.pop(member, None)

    def _has_waited(self, member: Member) -> bool:
        """Say whether a member has waited for a child since the last time that all were read."""
        try:
            member.vitals()
        except GONE:
            return False
        return member.kin.waited > self._waited.get(member, 0)


def _is_our_fault(error: psutil.Error | OSError) -> bool:
    """Say whether the bench had no descriptor left, which says nothing about the process."""
    return isinstance(error, OSError) and error.errno in {errno.EMFILE, errno.ENFILE}


def _fds(process: psutil.Process) -> int:
    """Count open descriptors; since Linux 6.2 the size of the folder is their number, else each must be listed."""
    size = os.stat(f"/proc/{process.pid}/fd").st_size if IS_LINUX else 0  # noqa: PTH116 - hot
    return size or process.num_fds()


def _sum(parts: Iterable[int | None]) -> int | None:
    """Return the sum; None if a part is not known."""
    known = list(parts)
    return None if None in known else sum(part for part in known if part is not None)


def _counters(process: psutil.Process) -> Counters:
    folder = f"/proc/{process.pid}"
    if not IS_LINUX:
        voluntary, involuntary = process.num_ctx_switches()
        return Counters(voluntary, involuntary, None, None)
    switches, wait_ns = [0, 0], 0
    for thread in os.listdir(f"{folder}/task"):  # noqa: PTH208 - hot. The process's own files are the first thread's
        with contextlib.suppress(OSError):  # a thread that has ended meanwhile
            status = read_file(f"{folder}/task/{thread}/status", is_long=True)
            schedstat = read_file(f"{folder}/task/{thread}/schedstat")
            for line in status.splitlines()[-2:]:
                name, _, number = line.partition(b":")
                switches[_SWITCHES[name]] += int(number)
            wait_ns += int(schedstat.split()[1])
    stat = read_file(f"{folder}/stat")
    minor_faults = int(stat[stat.rindex(b")") + 2 :].split()[7])
    return Counters(switches[0], switches[1], minor_faults, wait_ns)
