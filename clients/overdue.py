"""The time limit of requests: ends connections whose oldest request has waited for longer than the timeout.

To examine all connections now and then is cheaper than an alarm for each request. What becomes of a connection that
is ended belongs to `connection.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clients.faults import Overdue
from clients.traps import sleep_until

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clients.clock import NowNs
    from clients.connection import Connection
    from clients.kernel import Kernel, Task

_PERIOD_MIN_NS, _PERIOD_MAX_NS = 10_000_000, 250_000_000
_EXAMINED_AT_ONCE = 500  # connections in some 50 us
_BREATH_NS = (
    1_000_000  # between two such pieces: to examine 10,000 connections at once would be a pause of a millisecond
)


async def end_overdue(
    connections: Sequence[tuple[Connection, Task[None]]], *, kernel: Kernel, clock: NowNs, timeout_ns: int
) -> None:
    """Throw Overdue into the tasks of connections whose oldest request is overdue, until cancelled."""
    period_ns = min(max(timeout_ns // 20, _PERIOD_MIN_NS), _PERIOD_MAX_NS)
    was_held_up = False
    while True:
        wake_ns = clock() + period_ns
        await sleep_until(wake_ns, clock)
        time_ns = clock()
        was_held_up = time_ns - wake_ns > period_ns and not was_held_up
        if was_held_up:
            continue  # this process stood still: the replies may be there, and only be unread
        for begin in range(0, len(connections), _EXAMINED_AT_ONCE):
            if begin:
                await sleep_until(clock() + _BREATH_NS, clock)
            for connection, task in connections[begin : begin + _EXAMINED_AT_ONCE]:
                sent_ns = connection.in_flight.oldest_sent_ns()
                if sent_ns is not None and sent_ns <= time_ns - timeout_ns:
                    kernel.cancel(task, Overdue())
