"""What one connection has sent and not got back, and how many of its requests were answered or failed.

Every request is counted when it is sent, and once more when it is answered or fails, so that none can be lost. Bytes
that come are compared with the messages that they must echo. Sending and receiving overlap, so a message larger than
the socket buffers cannot deadlock. `conversations.py` decides what is sent when; `connection.py` connects and starts
afresh. Neither may be added here.
"""

from __future__ import annotations

import ssl
from collections import deque
from itertools import repeat
from typing import TYPE_CHECKING

from clients.faults import Failure, Fault
from clients.traps import ready

if TYPE_CHECKING:
    import socket
    from collections.abc import Sequence

    from clients.clock import NowNs
    from clients.kernel import Kernel
    from clients.recorder import Recorder
    from clients.workload import Workload

Request = tuple[int, int, bytes | bytearray]
"""When it was due, when it was sent, and the message that its echo must equal."""

# Above glibc's threshold of 128 KiB each buffer would be mapped and unmapped anew: page faults instead of an echo.
RECEIVE_BYTES_MAX = 65_536
WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)
_ENDED_BY_THE_SERVER = (Failure.CLOSED_EARLY, Failure.RESET)


class InFlight:
    """The open requests of one connection, and its counts over the whole run.

    `sent`, `answered` and `failed` count requests; `idle_closed` counts how often the server closed the connection with
    no request open. `sent_before` is how many requests earlier connections of this slot have sent. `free_since_ns` is
    when the last reply was whole. Fast conversations keep their one open request to themselves: `waiting_since_ns` is
    when it was sent, None if there is none.
    """

    __slots__ = (
        "_clock",
        "_kernel",
        "_message_bytes",
        "_receive_bytes",
        "_received",
        "_recorder",
        "answered",
        "failed",
        "free_since_ns",
        "idle_closed",
        "outstanding",
        "sent",
        "sent_before",
        "unsent",
        "waiting_since_ns",
    )

    def __init__(self, workload: Workload, *, kernel: Kernel, recorder: Recorder, clock: NowNs) -> None:
        self._kernel, self._recorder, self._clock = kernel, recorder, clock
        self._message_bytes = workload.message_bytes
        self._receive_bytes = min(workload.message_bytes * workload.pipeline, RECEIVE_BYTES_MAX)
        self.outstanding: deque[Request] = deque()
        self.unsent = memoryview(b"")
        self._received = 0
        self.waiting_since_ns: int | None = None
        self.free_since_ns = 0
        self.sent = self.answered = self.failed = self.idle_closed = self.sent_before = 0

    # ---- counts

    @property
    def requests(self) -> int:
        """How many requests are sent and not yet answered."""
        return len(self.outstanding) + (self.waiting_since_ns is not None)

    @property
    def owed_bytes(self) -> int:
        """How many bytes of replies are still to come."""
        of_fast = 0 if self.waiting_since_ns is None else self._message_bytes
        return of_fast + sum(len(message) for _, _, message in self.outstanding) - self._received

    def oldest_sent_ns(self) -> int | None:
        """Return when the oldest open request was sent; None if there is none."""
        return self.outstanding[0][1] if self.outstanding else self.waiting_since_ns

    def check_conservation(self) -> None:
        """Raise AssertionError unless every request sent was answered, failed or is in flight."""
        assert self.sent == self.answered + self.failed + self.requests, (
            f"requests lost count: {self.sent} sent, {self.answered} answered, {self.failed} failed, "
            f"{self.requests} in flight"
        )

    def overdue_failure(self) -> Failure:
        """Return what a server did wrong whose reply has not come in time."""
        if self._received:
            return Failure.SHORT_REPLY
        return Failure.STALLED if self.unsent else Failure.TIMEOUT

    def fail(self, failure: Failure) -> None:
        """Count all open requests as failed, and expect nothing any more.

        With no request open, a connection that the server closed is no failure and is counted apart; anything else,
        such as a refusal, is one.
        """
        lost = self.requests
        self.failed += lost
        if not lost and failure in _ENDED_BY_THE_SERVER:
            self.idle_closed += 1
        else:
            self._recorder.failures[failure] += lost or 1
        self.outstanding.clear()
        self.waiting_since_ns = None
        self.unsent = memoryview(b"")
        self._received = 0

    # ---- bytes

    def send(self, sock: socket.socket, unique: Sequence[bytes | bytearray], dues_ns: Sequence[int] | None) -> None:
        """Send new messages one after the other, as far as that goes without waiting; without due times, due now."""
        data = unique[0] if len(unique) == 1 else b"".join(unique)
        sent_ns = self._clock()
        dues_ns = dues_ns or [sent_ns] * len(unique)
        self.outstanding.extend(zip(dues_ns, repeat(sent_ns), unique, strict=False))
        self.sent += len(unique)
        try:
            handed = sock.send(data)
        except WOULD_BLOCK:
            handed = 0
        if handed < len(data):
            self._keep_unsent(sock, memoryview(data)[handed:])

    async def settle(
        self, sock: socket.socket, request: Request, handed: int | None, reply: bytearray, got: int | None
    ) -> None:
        """Finish an exchange that one send and one receive did not: the rest goes out while the echo comes in.

        `handed` bytes of the message were sent, and the first `got` bytes of `reply` were received; None for a call
        that would have had to wait. Raise Fault.
        """
        self.waiting_since_ns = None
        self.outstanding.append(request)
        self._keep_unsent(sock, memoryview(request[2])[handed or 0 :])
        if got is not None:
            self._accept(bytes(reply[:got]))
        while self.outstanding:
            await ready()
            self.exchange(sock)

    def exchange(self, sock: socket.socket) -> None:
        """Send what is left to send and take what has come, as far as either goes without waiting. Raise Fault."""
        if self.unsent:
            self.send_rest(sock)
        while True:
            try:
                chunk = sock.recv(self._receive_bytes)
            except WOULD_BLOCK:
                return
            self._accept(chunk)
            if not self._may_have_more(sock, chunk):
                return

    def send_rest(self, sock: socket.socket) -> None:
        """Send what is left of messages that did not go out whole, as far as that goes without waiting."""
        try:
            handed = sock.send(self.unsent)
        except WOULD_BLOCK:
            handed = 0
        self._keep_unsent(sock, self.unsent[handed:])

    def _may_have_more(self, sock: socket.socket, chunk: bytes) -> bool:
        """Say whether to receive again after a chunk: reading what is not there costs as much as reading what is."""
        if isinstance(sock, ssl.SSLSocket):
            return bool(self.outstanding) or sock.pending() > 0  # the poller knows nothing of decrypted records
        return bool(self.outstanding) and len(chunk) == self._receive_bytes

    def check_silence(self, sock: socket.socket) -> None:
        """Raise Fault if more bytes came than were asked for; after the last reply, nobody else would read them."""
        try:
            unasked = sock.recv(1)
        except OSError:
            return
        if unasked:
            raise Fault(Failure.MISMATCH)

    def _keep_unsent(self, sock: socket.socket, rest: memoryview) -> None:
        if bool(rest) != bool(self.unsent):
            self._kernel.want_write(sock.fileno(), wanted=bool(rest))
        self.unsent = rest

    def _accept(self, chunk: bytes) -> None:
        """Compare bytes that came with the messages that they must echo. Raise Fault."""
        if not chunk:
            raise Fault(Failure.SHORT_REPLY if self._received else Failure.CLOSED_EARLY)
        outstanding, at, size = self.outstanding, 0, len(chunk)
        done_ns = self._clock()
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
                self.free_since_ns = done_ns
                self._recorder.reply(due_ns, sent_ns, done_ns)
