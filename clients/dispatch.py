"""The open loop's dispatcher: each request, when it falls due, goes to the connection that has been free for longest.

One task sleeps for all connections, so a request costs no alarm of its own. Nothing here knows sockets or messages: a
connection is the descriptor it watches.
"""

from __future__ import annotations

import types
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from clients.faults import Failure
from clients.kernel import Kernel, Task, ready, until

if TYPE_CHECKING:
    from collections.abc import Generator

    from clients.clock import NowNs
    from clients.pacing import Schedule
    from clients.recorder import Recorder


class Dispatcher:
    """Hands the due times of `schedule` to connections, as the value with which they are resumed.

    A connection that comes free first asks `claim` for a request that waits already, and if there is none, `rests`.
    `due_ns` is the next due time that nobody has.
    """

    def __init__(
        self, schedule: Schedule, *, kernel: Kernel, recorder: Recorder, clock: NowNs, timeout_ns: int
    ) -> None:
        self._schedule, self._kernel, self._recorder, self._now_ns = schedule, kernel, recorder, clock
        self._timeout_ns = timeout_ns
        self._resting: OrderedDict[int, None] = OrderedDict()
        self._is_parked = False
        self._task: Task[None]
        self.due_ns = schedule.take()

    def start(self) -> Task[None]:
        """Begin to dispatch; return the task, to be cancelled in the end."""
        self._task = self._kernel.spawn(self._run())
        return self._task

    def claim(self, time_ns: int) -> int | None:
        """Return the due time of a request that is due now and waits, None if there is none.

        Behind schedule, requests are caught up as fast as connections come free, but one that waited longer than the
        timeout is never sent: it counts as unsent, so that the backlog is bounded.
        """
        while (due_ns := self.due_ns) <= time_ns:
            self.due_ns = self._schedule.take()
            if time_ns - due_ns <= self._timeout_ns:
                return due_ns
            self._recorder.failures[Failure.UNSENT] += 1
        return None

    def rests(self, fd: int) -> None:
        """Note that a connection is free: its watcher will be resumed with the due time of its next request."""
        self._resting[fd] = None
        if self._is_parked:
            self._is_parked = False
            self._kernel.wake(self._task)

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

    async def _run(self) -> None:
        while True:
            await self._dispatch()
            self._is_parked = True
            await ready

    @types.coroutine
    def _dispatch(self) -> Generator[Any, None, None]:
        """Hand out what falls due as long as connections rest."""
        resting, now_ns, hand = self._resting, self._now_ns, self._kernel.hand
        while resting:
            due_ns, time_ns = self.due_ns, now_ns()
            if due_ns > time_ns:
                yield until(due_ns)
            elif (claimed_ns := self.claim(time_ns)) is not None:
                hand(resting.popitem(last=False)[0], claimed_ns)
