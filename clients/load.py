"""One worker's load: connections are opened, all start together, warm-up, the window, an end in order, the result.

A worker is a function of its shard of the workload, the target and a start time. Results of workers add up, so
processes of this machine can run them, and so could anything that runs functions on several machines. How one
connection behaves belongs to `connection.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from clients import memory
from clients.clock import NowNs, best_poller, now_ns
from clients.common import in_common
from clients.connection import Connection
from clients.digest import PIECE, Digest, kept_bytes
from clients.dispatch import Dispatcher
from clients.faults import Failure
from clients.kernel import Kernel, Task
from clients.overdue import end_overdue
from clients.pacing import Schedule, due_times_ns, start_delay_s
from clients.recorder import Recorded, Recorder
from clients.result import Result
from clients.together import hang_up_all, open_all
from clients.traps import sleep_until

if TYPE_CHECKING:
    from clients.hlog import IntervalLog
    from clients.target import Target
    from clients.workload import Workload

_TICK_NS = 100_000_000
_BREATH_NS = 1_000_000  # between two pieces of work that would be a pause if it were done at once
_OPEN_LOOP_BATCH, _CLOSED_LOOP_BATCH = 16, 128  # events between two readings of the clock


@dataclass(frozen=True, slots=True, kw_only=True)
class Shard:
    """Which part of the whole load one worker carries: the `worker`-th of `workers`."""

    worker: int = 0
    workers: int = 1

    def of_connections(self, connections: int) -> range:
        """Return the numbers of this worker's connections; the first workers take one more if they do not divide."""
        return range(self.worker, connections, self.workers)


Announce = Callable[[int, int], int | None]
"""Told (established, requested) when the connections stand; returns the start in clock ns, None to go without load."""


def next_tick_ns(time_ns: int, end_ns: int, tick_ns: int) -> int:
    """Return the next moment at which recorders are emptied.

    Ticks lie on a grid that ends at `end_ns`, so that a late one delays no other, and all workers have the same.
    """
    return min(end_ns, end_ns - (end_ns - time_ns - 1) // tick_ns * tick_ns)


def soon(_established: int, _requested: int) -> int | None:
    """Start at once."""
    return now_ns() + 1_000_000


class Load:
    """The run of one shard of a workload against a target; `run` may be called once."""

    def __init__(
        self,
        target: Target,
        workload: Workload,
        *,
        shard: Shard = Shard(),  # frozen
        recorder: Recorder | None = None,
        log: IntervalLog | None = None,
        gives_up: bool = False,
        clock: NowNs = now_ns,
    ) -> None:
        """Take what is loaded, and with what. `gives_up` ends a load early that no reply will come to."""
        self._workload, self._shard, self._now_ns = workload, shard, clock
        self._gives_up = gives_up
        self._timeout_ns = round(workload.timeout_s * 1e9)
        self._recorder = recorder or Recorder(open_loop=workload.is_open_loop)
        batch = _OPEN_LOOP_BATCH if workload.is_open_loop else _CLOSED_LOOP_BATCH
        self._kernel = Kernel(clock=clock, poller=best_poller(batch=batch))
        self._numbers = shard.of_connections(workload.connections)
        self._common = in_common(
            target=target,
            workload=workload,
            kernel=self._kernel,
            recorder=self._recorder,
            clock=clock,
            is_alone=len(self._numbers) == 1,
        )
        self._result = Result(workload=workload)
        piece = PIECE if workload.is_open_loop else None
        self._digest = Digest(self._result, log=log, tick_ns=_TICK_NS, piece=piece, clock=clock)
        self._dues = (
            due_times_ns(workload, worker=shard.worker, workers=shard.workers) if workload.is_open_loop else None
        )
        self._dispatcher: Dispatcher | None = None
        self._connections: list[Connection] = []

    def run(self, announce: Announce = soon) -> Result:
        """Connect, ask `announce` for the start, load, and return the result."""
        memory.touch(kept_bytes(self._workload, self._shard.workers))
        with memory.no_collections():
            return self._kernel.run(self._measure(announce))

    def interrupt(self) -> None:
        """End the window now; may be called by a signal handler."""
        self._result.interrupted = True

    # ---- the course of a run

    async def _measure(self, announce: Announce) -> Result:
        self._connections = [Connection(number, self._common) for number in self._numbers]
        try:
            await self._open()
            await self._begin(announce)
            self._conclude()
        finally:
            for connection in self._connections:
                connection.close()
        return self._result

    async def _begin(self, announce: Announce) -> None:
        """Ask for the start, and load; or do not, after an interrupt, or if nothing stands and the load gives up."""
        result = self._result
        is_vain = self._gives_up and not result.connections_established and result.failures
        if not result.interrupted and not is_vain:
            start_ns = announce(result.connections_established, len(self._numbers))
            if start_ns is not None:
                result.told_late_ns = max(0, self._now_ns() - start_ns)
                await self._converse(start_ns)
                return
            result.interrupted = True
        self._digest.finish()

    async def _open(self) -> None:
        """Open the connections that are busy from the start. Those of a ramp are opened when their turn comes."""
        first = [
            connection
            for number, connection in zip(self._numbers, self._connections, strict=True)
            if not start_delay_s(self._workload, number)
        ]
        await open_all(first, kernel=self._kernel, clock=self._now_ns, is_interrupted=lambda: self._result.interrupted)
        opened = self._recorder.drain()
        self._digest.add_opened(opened.durations("connect"))
        self._result.failures.update(opened.failures)
        self._result.connections_established = sum(connection.stands for connection in first)

    async def _converse(self, start_ns: int) -> None:
        window_ns = start_ns + round(self._workload.warmup_s * 1e9)
        tasks = self._start(start_ns)
        await self._warm_up(window_ns)
        await self._window(window_ns)
        self._kernel.set_timer(None)
        for task in tasks:
            self._kernel.cancel(task)
        await hang_up_all(self._connections, kernel=self._kernel, clock=self._now_ns, timeout_ns=self._timeout_ns)

    def _start(self, start_ns: int) -> list[Task[None]]:
        workload = self._workload
        if self._dues is not None:
            self._dispatcher = Dispatcher(
                Schedule(self._dues, start_ns),
                kernel=self._kernel,
                recorder=self._recorder,
                timeout_ns=self._timeout_ns,
            )
        starts_ns = [start_ns + round(start_delay_s(workload, number) * 1e9) for number in self._numbers]
        tasks = [
            self._kernel.spawn(connection.live(begin_ns, self._dispatcher))
            for begin_ns, connection in zip(starts_ns, self._connections, strict=True)
        ]
        self._kernel.set_timer(self._dispatcher)
        pairs = list(zip(self._connections, tasks, strict=True))
        limit = end_overdue(pairs, kernel=self._kernel, clock=self._now_ns, timeout_ns=self._timeout_ns)
        return [*tasks, self._kernel.spawn(limit)]

    async def _warm_up(self, end_ns: int) -> None:
        """Let the load run until then, or an interruption, and forget what it recorded. End early if it is in vain."""
        while not self._result.interrupted and (time_ns := self._now_ns()) < end_ns:
            await sleep_until(next_tick_ns(time_ns, end_ns, _TICK_NS), self._now_ns)
            _, forgotten = self._drain()
            if self._is_vain():
                self._result.failures.update(forgotten.failures)
                return

    def _is_vain(self) -> bool:
        """Say whether no reply will come: every connection has failed, and none was ever answered."""
        return self._gives_up and all(
            connection.in_flight.failed and not connection.in_flight.answered for connection in self._connections
        )

    async def _window(self, planned_ns: int) -> None:
        begin_ns = self._now_ns()
        # Workers end together, as planned; but a machine that stood still in the warm-up must not cut the window short.
        start_ns = planned_ns if begin_ns - planned_ns < _TICK_NS else begin_ns
        end_ns = start_ns + round(self._workload.duration_s * 1e9)
        self._digest.begin(begin_ns, end_ns)
        before = self._totals(begin_ns)
        at_ns, taken = begin_ns, self._recorder.drain()
        while not self._result.interrupted and at_ns < end_ns and not self._is_vain():
            for _ in self._digest.take(taken, at_ns):
                if self._workload.is_open_loop:
                    await sleep_until(self._now_ns() + _BREATH_NS, self._now_ns)
            await sleep_until(next_tick_ns(self._now_ns(), end_ns, _TICK_NS), self._now_ns)
            at_ns, taken = self._drain()
        self._result.connections_established += self._joined()
        after = self._totals(at_ns)  # before anything is digested, which takes time that is not the window's
        for _ in self._digest.take(taken, at_ns):
            pass
        self._digest.finish()
        self._sum_up(before, after)

    def _joined(self) -> int:
        """Return how many connections of a ramp have stood that did not from the start."""
        if self._workload.connections_profile is None:
            return 0
        late = (number for number in self._numbers if start_delay_s(self._workload, number))
        standing = dict(zip(self._numbers, self._connections, strict=True))
        return sum(standing[number].stands or standing[number].in_flight.sent > 0 for number in late)

    def _drain(self) -> tuple[int, Recorded]:
        """Return the time, and what was recorded until then."""
        if self._dispatcher is not None:
            self._dispatcher.expire(self._now_ns())
        return self._now_ns(), self._recorder.drain()

    def _sum_up(self, before: _Totals, after: _Totals) -> None:
        """Note what was counted between the window's edges, all its slices having been taken."""
        result = self._result
        result.window_end_ns = after.at_ns
        result.cpu_s = (after.cpu_ns - before.cpu_ns) / 1e9
        result.spin_s = (after.spun_ns - before.spun_ns) / 1e9
        result.sent = after.sent - before.settled
        result.failed = after.failed - before.failed
        result.idle_closed = after.idle_closed - before.idle_closed
        result.in_flight = sum(connection.in_flight.requests for connection in self._connections)
        result.due = after.sent - before.sent + result.failures[Failure.UNSENT]
        result.due += after.backlog - before.backlog
        if self._dispatcher is not None and not self._dispatcher.has_free:
            # No connection was free; else they were about to go. What waited when the window began is not its own.
            result.failures[Failure.UNSENT] += max(0, after.backlog - before.backlog)

    def _totals(self, at_ns: int) -> _Totals:
        """Return what has been counted since the start."""
        counts = [connection.in_flight for connection in self._connections]
        failed = sum(count.failed for count in counts)
        return _Totals(
            sent=sum(count.sent for count in counts),
            failed=failed,
            settled=sum(count.answered for count in counts) + failed,
            idle_closed=sum(count.idle_closed for count in counts),
            backlog=self._dispatcher.backlog(at_ns) if self._dispatcher else 0,
            cpu_ns=time.process_time_ns(),
            spun_ns=self._kernel.spun_ns,
            at_ns=at_ns,
        )

    def _conclude(self) -> None:
        result = self._result
        for connection in self._connections:
            connection.in_flight.check_conservation()
        self._digest.write_log()
        assert result.sent == result.replies + result.failed + result.in_flight, (
            f"the recorder and the connections disagree: {result.sent} sent, {result.replies} replies, "
            f"{result.failed} failed, {result.in_flight} in flight"
        )


class _Totals(NamedTuple):
    """Counts over all connections and clocks of the process, at one moment.

    `backlog` requests of the schedule were due and not sent.
    """

    sent: int
    failed: int
    settled: int
    idle_closed: int
    backlog: int
    cpu_ns: int
    spun_ns: int
    at_ns: int
