"""When the connections of one server may converse: a turnstile that is open during a slice and closed between two.

A load of one server has no turnstile, and pays nothing for there being one. With one, a closed loop asks before each
request whether it is open, in C and without a call of its own. A connection that finds it closed has its last reply: it
leaves its conversation and waits here for the next turn. Who opens and closes belongs to `block.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clients.traps import join, ready, suspend

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator

    from clients.clock import NowNs
    from clients.inflight import InFlight
    from clients.kernel import Kernel, Task

_TURN = object()


class Turnstile:
    """Lets connections converse, or has them wait. `rested_ns` is when the last of them came to rest."""

    def __init__(self, kernel: Kernel, clock: NowNs) -> None:
        self._kernel, self._now_ns = kernel, clock
        self._open: list[
            None
        ] = []  # holds one item while the turnstile is open: `list.__len__` is the cheapest question
        self._waiting: dict[int, None] = {}
        self._conversing = 0
        self._resting: Task[None] | None = None
        self.rested_ns = 0

    # ---- for a connection

    @property
    def is_open(self) -> bool:
        """Whether requests may be sent."""
        return bool(self._open)

    def while_open(self) -> Iterator[int]:
        """Return an iterator that ends when the turnstile is closed."""
        return iter(self._open.__len__, 0)

    async def turn(self, sock: socket.socket, in_flight: InFlight) -> None:
        """Return when the turnstile is open. Raise Fault if the server says something meanwhile, or hangs up."""
        fd = sock.fileno()
        while not self._open:
            self._waiting[fd] = None
            try:
                if await suspend() is not _TURN:
                    in_flight.exchange(sock)
            finally:
                self._waiting.pop(fd, None)

    def enter(self) -> None:
        """Note that a connection begins to converse."""
        self._conversing += 1

    def leave(self) -> None:
        """Note that a connection converses no longer."""
        self._conversing -= 1
        if not self._conversing and not self._open:
            self.rested_ns = self._now_ns()
            if self._resting is not None:
                self._kernel.cancel(self._resting)

    # ---- for who opens and closes it

    def open(self) -> None:
        """Have every connection that waits send its next request."""
        self._open.append(None)
        for fd in tuple(self._waiting):
            if fd in self._waiting:  # else its server hung up on it meanwhile
                self._kernel.hand(fd, _TURN)

    async def close(self) -> None:
        """Let no further request be sent, and return when no connection converses any more."""
        self._open.clear()
        self.rested_ns = self._now_ns()
        while self._conversing:
            self._resting = self._kernel.spawn(_until_cancelled())
            await join(self._resting)
        self._resting = None


async def _until_cancelled() -> None:
    while True:
        await ready()
