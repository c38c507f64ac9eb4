"""Make a server slower by a known amount, to see whether a benchmark notices.

The listener hands out connections of another class, whose reads cost more. So the server's file stays as it is, and a
server that is not slowed pays nothing. This works only for servers that read through Python's sockets.
"""

from __future__ import annotations

import itertools
import socket
import time
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from servers._errors import ServerError
from servers._listener import Listener

if TYPE_CHECKING:
    from collections.abc import Callable

    from servers._start import Server


class Injection(NamedTuple):
    """What is added to reads: `burn_us` of CPU to each, and `delay_us` of sleep to every `delay_every`-th."""

    burn_us: float = 0.0
    delay_us: float = 0.0
    delay_every: int = 1

    def new_listener(self, server: Server) -> Callable[[int], Listener]:
        """Return what makes the listener. Raise ServerError if this server would not notice."""
        if not server.reads_in_python:
            raise ServerError(f"{server.name} does not read through Python's sockets, so it cannot be slowed there")
        return partial(_SlowListener, self)


class _SlowListener(Listener):
    """A listener of slow connections."""

    def __init__(self, injection: Injection, family: int) -> None:
        super().__init__(family)
        self.injection, self.reads = injection, itertools.count(1)

    def accept(self) -> tuple[socket.socket, Any]:
        connection, address = super().accept()
        return _SlowConnection(connection, self), address


class _SlowConnection(socket.socket):
    """A connection whose reads take longer."""

    def __init__(self, connection: socket.socket, listener: _SlowListener) -> None:
        super().__init__(connection.family, connection.type, connection.proto, fileno=connection.detach())
        self.injection, self.reads = listener.injection, listener.reads

    def recv(self, *arguments: Any) -> bytes:
        received = super().recv(*arguments)
        self._slow_down()
        return received

    def recv_into(self, *arguments: Any) -> int:
        received = super().recv_into(*arguments)
        self._slow_down()
        return received

    def _slow_down(self) -> None:
        until_ns = time.thread_time_ns() + self.injection.burn_us * 1000
        while time.thread_time_ns() < until_ns:
            pass
        if self.injection.delay_us and next(self.reads) % self.injection.delay_every == 0:
            time.sleep(self.injection.delay_us / 1e6)
