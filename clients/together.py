"""What is done to many connections side by side: opened, ended in order, each within a limit of time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from clients.traps import join, sleep_until

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence

    from clients.clock import NowNs
    from clients.connection import Connection
    from clients.kernel import Kernel

_OPENERS = 64  # connections being made at once: fewer than the shortest usual backlog
_HANG_UP_NS, _HANG_UP_EACH_NS = 1_000_000_000, 200_000  # for a server to answer and close, and for each connection
_POLL_NS = 100_000_000


async def open_all(
    connections: Sequence[Connection], *, kernel: Kernel, clock: NowNs, is_interrupted: Callable[[], bool]
) -> None:
    """Open every connection, or stop where it is when `is_interrupted` says so. Failures are counted by each."""
    if not connections:
        return
    waiting = iter(connections)

    async def open_next(waiting: Iterator[Connection]) -> None:
        for connection in waiting:
            await connection.open()

    async def interruption() -> None:
        while not is_interrupted():
            await sleep_until(clock() + _POLL_NS, clock)

    await _run_all([open_next(waiting) for _ in range(min(_OPENERS, len(connections)))], interruption(), kernel)


async def hang_up_all(connections: Sequence[Connection], *, kernel: Kernel, clock: NowNs, timeout_ns: int) -> None:
    """End the connections in order, as far as that goes within a limited time. Nothing is counted any more."""
    patience_ns = min(timeout_ns, _HANG_UP_NS + len(connections) * _HANG_UP_EACH_NS)
    limit = sleep_until(clock() + patience_ns, clock)
    await _run_all([connection.hang_up() for connection in connections], limit, kernel)


async def _run_all(
    coroutines: Iterable[Coroutine[Any, Any, None]], limit: Coroutine[Any, Any, None], kernel: Kernel
) -> None:
    """Run coroutines side by side until all have ended, or until `limit` has and they are cancelled."""
    tasks = [kernel.spawn(coroutine) for coroutine in coroutines]

    async def cancel_at_limit() -> None:
        await limit
        for task in tasks:
            kernel.cancel(task)

    guard = kernel.spawn(cancel_at_limit())
    for task in tasks:
        await join(task)
    kernel.cancel(guard)
