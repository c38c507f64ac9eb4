"""One client's end of a connection: blocking calls with a deadline, every byte compared, every fault a sentence.

For the cases only; this is no load generator and shares nothing with `clients`.
"""

from __future__ import annotations

import errno
import math
import random
import select
import socket
import struct
import time
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, Self

from bench.experiment.conformance.case import BrokenError
from bench.experiment.planning.address import UNIX_PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

CHUNK_BYTES = 256 * 1024
BLOCK_BYTES = 65_521
SHOWN_BYTES = 16
STALL_S = 0.1  # a server that takes nothing for so long is waiting for its client to read


class HungUpError(BrokenError):
    """The server closed the connection, or cut it off, before a byte of the reply had come."""


class Deadline:
    """The moment by which a case must be over."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._at = time.monotonic() + limit_s

    def remaining_s(self) -> float:
        """Return the seconds left, more than 0. Raise BrokenError when there are none."""
        remaining = self._at - time.monotonic()
        if remaining <= 0:
            raise BrokenError(f"it was not done within {self.limit_s:g} s")
        return remaining


def payload(size: int, seed: int = 0) -> bytes:
    """Return `size` reproducible bytes; the last is a newline, so that a server of lines gets as far as it can.

    A block of random bytes is repeated: its prime length keeps the pattern out of step with every buffer.
    """
    block = random.Random(seed).randbytes(min(size, BLOCK_BYTES))
    return (block * (size // len(block) + 1))[: size - 1] + b"\n"


class Connection:
    """A connected socket. Raises BrokenError when the server's part of an exchange fails or takes too long."""

    def __init__(
        self,
        address: tuple[str, int],
        *,
        deadline: Deadline,
        patience_s: float,
        receive_buffer_bytes: int | None = None,
    ) -> None:
        self._deadline = deadline
        self._patience_s = patience_s
        with self._explaining("connecting"):
            self.socket = self._connect(address, receive_buffer_bytes)

    def _connect(self, address: tuple[str, int], receive_buffer_bytes: int | None) -> socket.socket:
        if address[0].startswith(UNIX_PREFIX):
            return self._open(socket.AF_UNIX, address[0].removeprefix(UNIX_PREFIX), receive_buffer_bytes)
        *others, last = socket.getaddrinfo(*address, type=socket.SOCK_STREAM)
        for family, _, _, _, where in others:  # of a name with several addresses
            with suppress(ConnectionError):
                return self._open(family, where, receive_buffer_bytes)
        return self._open(last[0], last[4], receive_buffer_bytes)

    def _open(self, family: int, where: Any, receive_buffer_bytes: int | None) -> socket.socket:
        sock = socket.socket(family)
        try:
            if sock.family != socket.AF_UNIX:
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if receive_buffer_bytes is not None:  # before the handshake, which settles the window
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer_bytes)
            sock.settimeout(self._patience())
            sock.connect(where)
        except BaseException:
            sock.close()
            raise
        return sock

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close in the ordinary way; what was not read makes the kernel send a reset."""
        self.socket.close()

    def reset(self) -> None:
        """Cut the connection off with a reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send all of it, without reading."""
        self.socket.settimeout(self._patience())
        with self._explaining(f"sending {len(data):,} bytes"):
            self.socket.sendall(data)

    def finish(self) -> None:
        """Say that no more will be sent: a half-close."""
        with self._explaining("half-closing"):
            self.socket.shutdown(socket.SHUT_WR)

    def expect(self, data: bytes) -> None:
        """Receive exactly these bytes, and no end of file before them."""
        received = 0
        while received < len(data):
            chunk = self._receive(min(len(data) - received, CHUNK_BYTES), received, len(data))
            _compare(chunk, data, received)
            received += len(chunk)

    def _receive(self, size: int, received: int, total: int) -> bytes:
        self.socket.settimeout(self._patience())
        waiting = f"waiting for the reply, of which {received:,} of {total:,} bytes had come back"
        with self._explaining(waiting, HungUpError if not received else BrokenError):
            return self.socket.recv(size)

    def expect_end(self, *, within_s: float = math.inf) -> None:
        """Receive the end of file, and nothing before it."""
        self.socket.settimeout(min(within_s, self._patience()))
        with self._explaining("waiting for the end of file"):
            extra = self.socket.recv(CHUNK_BYTES)
        if extra:
            raise _never_sent(extra)

    def turn(self, message: bytes) -> None:
        """Send a message and receive it back."""
        self.send(message)
        self.expect(message)

    def push(self, data: bytes, *, stall_s: float = STALL_S) -> int:
        """Send without reading until all is sent or the server takes no more; return how many bytes it took."""
        sent = 0
        view = memoryview(data)
        self.socket.settimeout(stall_s)
        with self._explaining("sending before reading"):
            while sent < len(data):
                self._deadline.remaining_s()
                try:
                    sent += self.socket.send(view[sent : sent + CHUNK_BYTES])
                except TimeoutError:
                    break
        return sent

    def exchange(self, data: bytes, *, sent: int = 0, finish: bool = False) -> None:
        """Send the data from `sent` on while receiving all of it; then, if asked to, half-close and expect the end."""
        received = 0
        view = memoryview(data)
        poller = select.poll()
        self.socket.setblocking(False)
        if finish and sent == len(data):
            self.finish()
        while received < len(data):
            poller.register(self.socket, select.POLLIN if sent == len(data) else select.POLLIN | select.POLLOUT)
            ready = poller.poll(self._patience() * 1000)
            with self._explaining(f"exchanging {len(data):,} bytes, of which {received:,} had come back"):
                if not ready:
                    raise TimeoutError
                if ready[0][1] & ~select.POLLOUT:
                    chunk = self.socket.recv(CHUNK_BYTES)
                    _compare(chunk, data, received)
                    received += len(chunk)
                elif sent < len(data):
                    sent += self.socket.send(view[sent : sent + CHUNK_BYTES])
                    if finish and sent == len(data):
                        self.finish()
        if finish:
            self.expect_end()

    def _patience(self) -> float:
        return min(self._patience_s, self._deadline.remaining_s())

    @contextmanager
    def _explaining(self, doing: str, cut_off: type[BrokenError] = BrokenError) -> Iterator[None]:
        """Turn the socket's errors into what the server did; that it cut the connection off into `cut_off`."""
        try:
            yield
        except TimeoutError:
            raise BrokenError(f"nothing happened for {self._patience_s:g} s while {doing}") from None
        except ConnectionRefusedError:
            raise BrokenError("the server refused a connection") from None
        except OSError as error:
            if not isinstance(error, ConnectionError) and error.errno != errno.ENOTCONN:
                raise  # ours: no descriptors, no ports
            raise cut_off(f"the server cut the connection off while {doing}") from None


def _compare(chunk: bytes, data: bytes, offset: int) -> None:
    expected = data[offset : offset + len(chunk)]
    if chunk == expected and chunk:
        return
    if not chunk:
        kind = BrokenError if offset else HungUpError
        raise kind(f"the server closed the connection after {offset:,} of {len(data):,} bytes had come back")
    wrong = next((i for i, (got, sent) in enumerate(zip(chunk, expected, strict=False)) if got != sent), len(expected))
    if wrong == len(expected):
        raise _never_sent(chunk[wrong:])
    raise BrokenError(
        f"byte {offset + wrong + 1:,} of {len(data):,} was sent as 0x{expected[wrong]:02x} "
        f"and came back as 0x{chunk[wrong]:02x}"
    )


def _never_sent(extra: bytes) -> BrokenError:
    return BrokenError(f"something came back that was never sent: {extra[:SHOWN_BYTES]!r}")
