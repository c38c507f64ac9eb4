"""One connection's life: connect, converse until its share is done or a fault ends it, and begin again.

A fault of the server is counted and never raised out of here; a fault of this program is an exception and ends the run.
Sending and receiving overlap, so a message larger than the socket buffers cannot deadlock.
"""

from __future__ import annotations

import ssl
import sys
import types
from collections import deque
from itertools import repeat
from typing import TYPE_CHECKING, Any

from clients.dial import dial
from clients.faults import Failure, Fault, Overdue
from clients.kernel import Kernel, ready, sleep_until, until, watch
from clients.messages import STAMP_BYTES, messages, stamp
from clients.recorder import RawRecorder, Recorder

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Generator, Iterable

    from clients.clock import NowNs
    from clients.dispatch import Dispatcher
    from clients.target import Target
    from clients.workload import Workload

# Above glibc's threshold of 128 KiB each buffer would be mapped and unmapped anew: page faults instead of an echo.
_RECEIVE_BYTES_MAX = 65_536
_PAUSE_FIRST_NS, _PAUSE_LONGEST_NS = 10_000_000, 1_000_000_000
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class Connection:
    """A slot of the workload that keeps one connection standing and busy.

    `sent`, `answered` and `failed` count requests over the whole run; `in_flight` is what is open now.
    """

    __slots__ = (
        "_dispatcher",
        "_free_since_ns",
        "_kernel",
        "_next_message",
        "_now_ns",
        "_outstanding",
        "_plain",
        "_receive_bytes",
        "_received",
        "_recorder",
        "_sock",
        "_target",
        "_think_ns",
        "_timeout_ns",
        "_unsent",
        "_waiting_since_ns",
        "_workload",
        "answered",
        "failed",
        "sent",
    )

    def __init__(
        self,
        number: int,
        *,
        target: Target,
        workload: Workload,
        kernel: Kernel,
        recorder: Recorder,
        clock: NowNs,
    ) -> None:
        self._target, self._workload = target, workload
        self._dispatcher: Dispatcher | None = None
        self._kernel, self._recorder, self._now_ns = kernel, recorder, clock
        self._next_message = messages(workload, number).__next__
        self._sock: socket.socket | None = None
        self._outstanding: deque[tuple[int, int, bytes | bytearray]] = deque()
        self._unsent = memoryview(b"")
        self._receive_bytes = min(workload.message_bytes * workload.pipeline, _RECEIVE_BYTES_MAX)
        self._received = 0
        self._waiting_since_ns: int | None = None
        self._free_since_ns = 0
        self._think_ns = round(workload.think_s * 1e9)
        self._timeout_ns = round(workload.timeout_s * 1e9)
        self.sent = self.answered = self.failed = 0
        self._plain = (
            workload.pipeline == 1
            and not workload.think_s
            and not workload.message_sizes
            and workload.message_bytes >= STAMP_BYTES
            and target.tls is None
            and not isinstance(recorder, RawRecorder)
        )

    # ---- what the load asks of it

    @property
    def stands(self) -> bool:
        """Whether the connection is established."""
        return self._sock is not None

    @property
    def in_flight(self) -> int:
        """Requests sent and not yet answered."""
        return len(self._outstanding) + (self._waiting_since_ns is not None)

    def oldest_sent_ns(self) -> int | None:
        """When the oldest open request was sent; None if there is none."""
        return self._outstanding[0][1] if self._outstanding else self._waiting_since_ns

    def check_conservation(self) -> None:
        """Raise AssertionError unless every request sent was answered, failed or is in flight."""
        assert self.sent == self.answered + self.failed + self.in_flight, (
            f"requests lost count: {self.sent} sent, {self.answered} answered, {self.failed} failed, "
            f"{self.in_flight} in flight"
        )

    async def live(self, start_ns: int, dispatcher: Dispatcher | None) -> None:
        """Be busy from `start_ns` until cancelled: with what is dispatched, or in a closed loop."""
        self._dispatcher = dispatcher
        await sleep_until(start_ns, self._now_ns)
        pause_ns = _PAUSE_FIRST_NS
        while True:
            try:
                sock = await self._standing()
                await watch(sock.fileno())
                answered = self.answered
                try:
                    await self._converse(sock)
                finally:
                    if self.answered > answered:
                        pause_ns = _PAUSE_FIRST_NS
                self.close()
            except Fault as fault:
                self._fail(fault.failure)
            except Overdue:
                self._fail(self._overdue_failure())
            except OSError:
                self._fail(Failure.RESET)
            else:
                continue
            await sleep_until(self._now_ns() + pause_ns, self._now_ns)
            pause_ns = min(2 * pause_ns, _PAUSE_LONGEST_NS)

    async def open(self) -> bool:
        """Connect; return whether the connection stands. A failure is counted."""
        try:
            sock = await self._standing()
            self._kernel.unwatch(sock.fileno())  # the opener goes on to the next, and must not be woken by this one
        except (Fault, OSError):
            self._fail(Failure.REFUSED)
        return self.stands

    def close(self) -> None:
        """Close the socket, if there is one."""
        if self._sock is not None:
            self._kernel.unwatch(self._sock.fileno())
            self._sock.close()
            self._sock = None

    async def _standing(self) -> socket.socket:
        if self._sock is None:
            began_ns = self._now_ns()
            self._sock = await dial(self._target, self._kernel, self._now_ns, began_ns + self._timeout_ns)
            self._recorder.connect.append(self._now_ns() - began_ns)
        return self._sock

    def _converse(self, sock: socket.socket) -> Awaitable[None]:
        """Return the conversation that suits the workload: the general one, or a faster one for the common cases."""
        if not self._plain:
            return self._paced(sock)
        return self._lockstep(sock) if self._dispatcher is None else self._punctual(sock, self._dispatcher)

    # ---- conversing: one request in flight, sent as soon as the last reply is in

    @types.coroutine
    def _lockstep(self, sock: socket.socket) -> Generator[Any, None, None]:
        """Exchange messages in a closed loop: the path that a maximal load takes, so its common case is inlined.

        Being the one coroutine that yields by itself, it is resumed without the iterator that `await ready` makes.
        """
        send, receive, now_ns = sock.send, sock.recv, self._now_ns
        message, record = self._next_message(), self._recorder.response.append
        size = len(message)
        receive_bytes = self._receive_bytes
        for _ in self._share():
            self.sent += 1
            self._waiting_since_ns = sent_ns = now_ns()
            stamp(message, 0, sent_ns)  # the clock moves on from one exchange to the next: no message repeats
            try:
                handed = send(message)
            except BlockingIOError:
                handed = 0
            if handed == size:
                yield
                try:
                    reply = receive(receive_bytes)
                except BlockingIOError:  # woken early
                    reply = None
            else:
                reply = None
            done_ns = now_ns()
            if reply == message:
                record(done_ns - sent_ns)
                self.answered += 1
            else:
                yield from self._settle(sock, (sent_ns, sent_ns, message), handed, reply).__await__()
        self._waiting_since_ns = None

    @types.coroutine
    def _punctual(self, sock: socket.socket, dispatcher: Dispatcher) -> Generator[Any, int | None, None]:
        """Exchange messages when they are due: the open loop's counterpart of `_lockstep`, inlined like it."""
        send, receive, now_ns, recorder = sock.send, sock.recv, self._now_ns, self._recorder
        response, service = recorder.response.append, recorder.service.append
        message = self._next_message()
        size = len(message)
        receive_bytes = self._receive_bytes
        fd = sock.fileno()
        for _ in self._share():
            due_ns = dispatcher.claim(now_ns())
            if due_ns is None:
                dispatcher.rests(fd)
                while (due_ns := (yield)) is None:
                    # Woken by the socket, not with a request: nothing is owed, so it is a fault that must not wait.
                    self._exchange(sock)
            sent_ns = now_ns()
            self.sent += 1
            self._waiting_since_ns = sent_ns
            stamp(message, 0, sent_ns)
            try:
                handed = send(message)
            except BlockingIOError:
                handed = 0
            if handed == size:
                yield
                try:
                    reply = receive(receive_bytes)
                except BlockingIOError:  # woken early
                    reply = None
            else:
                reply = None
            done_ns = now_ns()
            if reply == message:
                self._waiting_since_ns = None
                response(done_ns - due_ns)
                service(done_ns - sent_ns)
                self.answered += 1
            else:
                yield from self._settle(sock, (due_ns, sent_ns, message), handed, reply).__await__()

    async def _settle(
        self, sock: socket.socket, request: tuple[int, int, bytes | bytearray], handed: int, chunk: bytes | None
    ) -> None:
        """Finish an exchange that one send and one receive did not: the rest goes out while the echo comes in."""
        self._waiting_since_ns = None
        self._outstanding.append(request)
        self._keep_unsent(sock, memoryview(request[2])[handed:])
        if chunk is not None:
            self._accept(chunk)
        while self._outstanding:
            await ready
            self._exchange(sock)

    def _share(self) -> Iterable[None]:
        """Return one item for each request that a connection may carry before it is replaced."""
        limit = self._workload.requests_per_connection
        return repeat(None) if limit is None else repeat(None, limit)

    # ---- conversing: requests sent when they fall due, up to `pipeline` of them in flight

    @types.coroutine
    def _paced(self, sock: socket.socket) -> Generator[Any, int | None, None]:
        """Exchange messages of any size, up to `pipeline` of them in flight, over any transport."""
        outstanding, dispatcher, fd = self._outstanding, self._dispatcher, sock.fileno()
        left = self._workload.requests_per_connection or sys.maxsize
        rests = False
        handed_ns: int | None = None
        while left or outstanding:
            dues = [] if handed_ns is None else [handed_ns]
            if not rests:
                dues += self._dues(self._room(left) - len(dues))
            if dues:
                self._send(sock, dues)
                left -= len(dues)
            has_room = self._room(left) > 0
            if has_room and not rests and dispatcher is not None:
                dispatcher.rests(fd)
                rests = True
            is_thinking = has_room and dispatcher is None
            handed_ns = yield until(self._free_since_ns + self._think_ns) if is_thinking else None
            if handed_ns is None:
                self._exchange(sock)
            else:
                rests = False

    def _room(self, left: int) -> int:
        """Return how many of the `left` requests may be in flight besides those that are; none while one is sent."""
        return 0 if self._unsent else min(left, self._workload.pipeline - len(self._outstanding))

    def _dues(self, most: int) -> list[int]:
        """Return when the requests were due that are to be sent now, `most` of them at the most."""
        now_ns = self._now_ns()
        if self._dispatcher is None:
            due_ns = self._free_since_ns + self._think_ns
            return [due_ns] * most if due_ns <= now_ns else []
        dues: list[int] = []
        while len(dues) < most and (claimed_ns := self._dispatcher.claim(now_ns)) is not None:
            dues.append(claimed_ns)
        return dues

    def _send(self, sock: socket.socket, dues: list[int]) -> None:
        """Send one message for each due time."""
        batch = [self._next_message() for _ in dues]
        data = batch[0] if len(batch) == 1 else b"".join(batch)
        sent_ns = self._now_ns()
        closed = self._dispatcher is None
        self._outstanding.extend(
            (sent_ns if closed else due_ns, sent_ns, message) for due_ns, message in zip(dues, batch, strict=True)
        )
        self.sent += len(batch)
        try:
            handed = sock.send(data)
        except _WOULD_BLOCK:
            handed = 0
        if handed < len(data):
            self._keep_unsent(sock, memoryview(data)[handed:])

    # ---- bytes

    def _keep_unsent(self, sock: socket.socket, rest: memoryview) -> None:
        if bool(rest) != bool(self._unsent):
            self._kernel.want_write(sock.fileno(), wanted=bool(rest))
        self._unsent = rest

    def _exchange(self, sock: socket.socket) -> None:
        """Send what is left to send and take what has come, as far as either goes without waiting."""
        if self._unsent:
            try:
                handed = sock.send(self._unsent)
            except _WOULD_BLOCK:
                handed = 0
            self._keep_unsent(sock, self._unsent[handed:])
        while True:
            try:
                chunk = sock.recv(self._receive_bytes)
            except _WOULD_BLOCK:
                return
            self._accept(chunk)
            # Nothing more is owed, or a short read says that the socket is empty. TLS may hold what no poller sees.
            if (len(chunk) < self._receive_bytes or not self._outstanding) and self._target.tls is None:
                return

    def _accept(self, chunk: bytes) -> None:
        """Match bytes that came with the messages they must echo. Raise Fault."""
        if not chunk:
            raise Fault(Failure.SHORT_REPLY if self._received else Failure.CLOSED_EARLY)
        outstanding, at, size = self._outstanding, 0, len(chunk)
        done_ns = self._now_ns()
        while at < size:
            if not outstanding:
                raise Fault(Failure.MISMATCH)
            due_ns, sent_ns, message = outstanding[0]
            begin = self._received
            end = min(len(message), begin + size - at)
            if chunk[at : at + end - begin] != message[begin:end]:
                raise Fault(Failure.MISMATCH)
            at += end - begin
            self._received = end
            if end == len(message):
                self._received = 0
                outstanding.popleft()
                self.answered += 1
                self._free_since_ns = done_ns
                self._recorder.reply(due_ns, sent_ns, done_ns)

    # ---- faults

    def _overdue_failure(self) -> Failure:
        if self._received:
            return Failure.SHORT_REPLY
        return Failure.STALLED if self._unsent else Failure.TIMEOUT

    def _fail(self, failure: Failure) -> None:
        """Count the requests in flight as failed (a connection without any counts once) and close."""
        lost = self.in_flight
        self.failed += lost
        self._recorder.failures[failure] += lost or 1
        self._outstanding.clear()
        self._waiting_since_ns = None
        self._unsent = memoryview(b"")
        self._received = 0
        if self._dispatcher is not None and self._sock is not None:
            self._dispatcher.leaves(self._sock.fileno())
        self.close()
