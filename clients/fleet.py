"""The connections to one server of a block: opened, loaded in the server's slices only, ended in order.

What belongs to one server of a block stands here. Whose turn it is belongs to `block.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple, Protocol

from clients.common import in_common
from clients.connection import Connection
from clients.cpuclock import CpuClock
from clients.dispatch import Dispatcher
from clients.overdue import end_overdue
from clients.pacing import Schedule, due_times_ns
from clients.recorder import Recorder
from clients.together import hang_up_all, open_all
from clients.traps import sleep_until
from clients.turnstile import Turnstile

if TYPE_CHECKING:
    from collections.abc import Callable

    from clients.clock import NowNs
    from clients.kernel import Kernel, Task
    from clients.recorder import Recorded
    from clients.target import Target
    from clients.workload import Workload

_POLL_NS = 100_000


class NewRecorder(Protocol):
    """Makes a recorder."""

    def __call__(self, *, open_loop: bool) -> Recorder:
        """Return a new one."""


class Counts(NamedTuple):
    """What the connections of a fleet have done since they were made."""

    sent: int
    answered: int
    failed: int
    idle_closed: int


class Fleet:
    """Connections to one server. `pid` is that of the server's first process, None if that is not known."""

    def __init__(
        self,
        target: Target,
        workload: Workload,
        pid: int | None,
        *,
        kernel: Kernel,
        clock: NowNs,
        new_recorder: NewRecorder = Recorder,
    ) -> None:
        self._workload, self._kernel, self._now_ns = workload, kernel, clock
        self._timeout_ns = round(workload.timeout_s * 1e9)
        self._recorder = new_recorder(open_loop=workload.is_open_loop)
        self._turnstile = Turnstile(kernel, clock)
        self._dispatcher: Dispatcher | None = None
        self._tasks: list[Task[None]] = []
        self.cpu = CpuClock(pid)
        common = in_common(
            target=target,
            workload=workload,
            kernel=kernel,
            recorder=self._recorder,
            clock=clock,
            is_alone=workload.connections == 1,
            turnstile=None if workload.is_open_loop else self._turnstile,  # an open loop's dispatcher pauses instead
        )
        self.connections = [Connection(number, common) for number in range(workload.connections)]

    @property
    def established(self) -> int:
        """How many connections stand."""
        return sum(connection.stands for connection in self.connections)

    async def open(self, is_interrupted: Callable[[], bool]) -> Recorded:
        """Open the connections, and return what was recorded of it."""
        await open_all(self.connections, kernel=self._kernel, clock=self._now_ns, is_interrupted=is_interrupted)
        return self._recorder.drain()

    def start(self, at_ns: int) -> None:
        """Have the connections wait for the server's first slice."""
        if self._workload.is_open_loop:
            self._dispatcher = Dispatcher(
                Schedule(due_times_ns(self._workload), at_ns),
                kernel=self._kernel,
                recorder=self._recorder,
                timeout_ns=self._timeout_ns,
            )
            self._dispatcher.pause(at_ns)
        self._tasks = [self._kernel.spawn(one.live(at_ns, self._dispatcher)) for one in self.connections]
        pairs = list(zip(self.connections, self._tasks, strict=True))
        limit = end_overdue(pairs, kernel=self._kernel, clock=self._now_ns, timeout_ns=self._timeout_ns)
        self._tasks.append(self._kernel.spawn(limit))

    async def load(self, end_ns: int) -> int:
        """Load the server until `end_ns`, and return the moment at which its last reply was in."""
        if self._dispatcher is None:
            self._turnstile.open()
            await sleep_until(end_ns, self._now_ns)
            await self._turnstile.close()
            return self._turnstile.rested_ns
        self._dispatcher.resume(self._now_ns())
        self._kernel.set_timer(self._dispatcher)
        await sleep_until(end_ns, self._now_ns)
        self._dispatcher.pause(self._now_ns())
        self._kernel.set_timer(None)
        while any(connection.in_flight.requests for connection in self.connections):
            await sleep_until(self._now_ns() + _POLL_NS, self._now_ns)
        return self._now_ns()

    def drain(self) -> Recorded:
        """Return what was recorded since the last call."""
        return self._recorder.drain()

    def counts(self) -> Counts:
        """Return what was counted since the beginning."""
        every = [connection.in_flight for connection in self.connections]
        return Counts(
            sent=sum(one.sent for one in every),
            answered=sum(one.answered for one in every),
            failed=sum(one.failed for one in every),
            idle_closed=sum(one.idle_closed for one in every),
        )

    async def end(self) -> None:
        """End the connections in order, and check that no request is lost."""
        for task in self._tasks:
            self._kernel.cancel(task)
        await hang_up_all(self.connections, kernel=self._kernel, clock=self._now_ns, timeout_ns=self._timeout_ns)
        for connection in self.connections:
            connection.in_flight.check_conservation()
            connection.close()
