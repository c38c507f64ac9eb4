"""The open loop's dispatcher: when a request falls due, the connection that has been free for longest gets it.

The dispatcher is the kernel's timer, so a request costs neither an alarm nor a task of its own. A connection is known
by its descriptor only. Sockets and messages belong elsewhere.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING

from clients.faults import Failure
from clients.kernel import NEVER_NS, Kernel

if TYPE_CHECKING:
    from clients.pacing import Schedule
    from clients.recorder import Recorder


class Dispatcher:
    """Hands the due times of `schedule` to connections, as the value with which they are resumed.

    A connection that becomes free first asks `claim` for a request that already waits. If there is none, it `rests`.
    `due_ns` is the next due time that no connection has taken.
    """

    def __init__(self, schedule: Schedule, *, kernel: Kernel, recorder: Recorder, timeout_ns: int) -> None:
        self._schedule, self._kernel, self._recorder = schedule, kernel, recorder
        self._timeout_ns = timeout_ns
        self._resting: OrderedDict[int, None] = OrderedDict()
        self._paused_ns = 0
        self._held_due_ns = 0
        self.next_ns = NEVER_NS
        self.due_ns = schedule.take()

    def claim(self, time_ns: int) -> int | None:
        """Return the due time of a request that is due now and waits, None if there is none.

        Behind schedule, requests are caught up as fast as connections come free, but one that waited longer than the
        timeout is never sent: see `expire`.
        """
        if (due_ns := self.due_ns) <= time_ns:
            if time_ns - due_ns > self._timeout_ns:
                self.expire(time_ns)
                return self.claim(time_ns)
            self.due_ns = self._schedule.take()
            return due_ns
        return None

    def expire(self, time_ns: int) -> None:
        """Count as unsent what has waited longer than the timeout, so that the backlog is bounded.

        Call this now and then, because nobody claims anything while no connection becomes free.
        """
        while time_ns - self.due_ns > self._timeout_ns:
            self.due_ns = self._schedule.take()
            self._recorder.failures[Failure.UNSENT] += 1

    def pause(self, at_ns: int) -> None:
        """Hand nothing out until `resume`. What was due by now and nobody has is counted as unsent."""
        while self.due_ns < at_ns:
            self.due_ns = self._schedule.take()
            self._recorder.failures[Failure.UNSENT] += 1
        self._paused_ns, self._held_due_ns = at_ns, self.due_ns
        self.due_ns = self.next_ns = NEVER_NS

    def resume(self, at_ns: int) -> None:
        """Go on with the schedule, which has stood still since `pause`."""
        self._schedule.shift(at_ns - self._paused_ns)
        self.due_ns = self._held_due_ns + at_ns - self._paused_ns
        self.next_ns = self.due_ns if self._resting else NEVER_NS

    def rests(self, fd: int) -> None:
        """Note that a connection is free: its watcher will be resumed with the due time of its next request."""
        self._resting[fd] = None
        self.next_ns = self.due_ns

    def leaves(self, fd: int) -> None:
        """Note that a connection is not to be handed anything, if it was."""
        self._resting.pop(fd, None)

    @property
    def has_free(self) -> bool:
        """Whether a connection is free, so that what is due is about to be sent."""
        return bool(self._resting)

    def backlog(self, at_ns: int) -> int:
        """Return how many requests were due before `at_ns` and nobody has."""
        return self._schedule.backlog(at_ns) + (self.due_ns < at_ns)

    def fire(self, time_ns: int) -> None:
        """Hand out what is due, as long as connections are free. See Timer."""
        resting, hand = self._resting, self._kernel.hand
        while resting and self.due_ns <= time_ns:
            if (due_ns := self.claim(time_ns)) is not None:
                hand(resting.popitem(False)[0], due_ns)  # the first; False by its name takes longer
        self.next_ns = self.due_ns if resting else NEVER_NS
