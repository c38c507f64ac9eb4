"""One connection's life: connect, converse until its requests are done or a fault ends it, and begin again.

A fault of the server is counted here and goes no further. A fault of this program is an exception and ends the run.
What is sent when belongs to `conversations.py`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clients.conversations import closed_alone, closed_fast, general, open_fast
from clients.dial import dial
from clients.faults import Failure, Fault, Overdue
from clients.hangup import hang_up
from clients.inflight import InFlight
from clients.messages import messages
from clients.traps import sleep_until, watch

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable

    from clients.common import Common
    from clients.dispatch import Dispatcher

_PAUSE_FIRST_NS, _PAUSE_LONGEST_NS = 10_000_000, 1_000_000_000


class Connection:
    """Keeps one connection of the workload standing and busy; `in_flight` counts what it did."""

    __slots__ = ("_common", "_dispatcher", "_sock", "_unique", "in_flight")

    def __init__(self, number: int, common: Common) -> None:
        workload = common.workload
        self._common = common
        self._dispatcher: Dispatcher | None = None
        self._sock: socket.socket | None = None
        self._unique = messages(workload, number) if common.buffers is None else None
        self.in_flight = InFlight(workload, kernel=common.kernel, recorder=common.recorder, clock=common.clock)

    @property
    def stands(self) -> bool:
        """Whether the connection is established."""
        return self._sock is not None

    async def live(self, start_ns: int, dispatcher: Dispatcher | None) -> None:
        """Be busy from `start_ns` until cancelled: with what is dispatched, or in a closed loop."""
        self._dispatcher = dispatcher
        clock, in_flight = self._common.clock, self.in_flight
        converse = self._converse if self._common.turnstile is None else self._converse_in_turn
        await sleep_until(start_ns, clock)
        pause_ns = _PAUSE_FIRST_NS
        while True:
            try:
                sock = await self._standing()
                await watch(sock.fileno())
                answered = in_flight.answered
                try:
                    await converse(sock)
                    in_flight.check_silence(sock)
                finally:
                    if in_flight.answered > answered:
                        pause_ns = _PAUSE_FIRST_NS
                self.close()
            except Fault as fault:
                self._fail(fault.failure)
            except Overdue:
                self._fail(in_flight.overdue_failure())
            except OSError:
                self._fail(Failure.RESET)
            else:
                continue
            await sleep_until(clock() + pause_ns, clock)
            pause_ns = min(2 * pause_ns, _PAUSE_LONGEST_NS)

    async def open(self) -> None:
        """Connect. A failure is counted."""
        try:
            sock = await self._standing()
            self._common.kernel.unwatch(sock.fileno())  # the opener goes on, and must not be woken by this one
        except Fault as fault:
            self._fail(fault.failure)
        except OSError:
            self._fail(Failure.REFUSED)

    async def hang_up(self) -> None:
        """End the connection in order, if it stands, and close it. Until then this may wait without end."""
        if self._sock is not None:
            await hang_up(self._sock, self.in_flight)
            self.close()

    def close(self) -> None:
        """Close the socket, if there is one."""
        if self._sock is not None:
            self._common.kernel.unwatch(self._sock.fileno())
            self._sock.close()
            self._sock = None

    async def _standing(self) -> socket.socket:
        if self._sock is None:
            common, clock = self._common, self._common.clock
            began_ns = clock()
            deadline_ns = began_ns + round(common.workload.timeout_s * 1e9)
            self._sock = await dial(common.target, common.kernel, clock, deadline_ns)
            common.recorder.connect.append(clock() - began_ns)
            self.in_flight.sent_before = self.in_flight.sent
        return self._sock

    def _converse(self, sock: socket.socket) -> Awaitable[None]:
        """Return the conversation that suits the workload: the general one, or a faster one for the common cases."""
        common, dispatcher = self._common, self._dispatcher
        if self._unique is not None:
            return general(sock, self.in_flight, common, self._unique, dispatcher)
        if dispatcher is not None:
            return open_fast(sock, self.in_flight, common, dispatcher)
        return (closed_alone if common.is_alone else closed_fast)(sock, self.in_flight, common)

    async def _converse_in_turn(self, sock: socket.socket) -> None:
        """Converse whenever the turnstile is open, until all requests of the connection are done."""
        turnstile = self._common.turnstile
        assert turnstile is not None
        while True:
            await turnstile.turn(sock, self.in_flight)
            turnstile.enter()
            try:
                await self._converse(sock)
            finally:
                turnstile.leave()
            if turnstile.is_open:
                return

    def _fail(self, failure: Failure) -> None:
        """Count the requests in flight as failed and close."""
        self.in_flight.fail(failure)
        if self._dispatcher is not None and self._sock is not None:
            self._dispatcher.leaves(self._sock.fileno())
        self.close()
