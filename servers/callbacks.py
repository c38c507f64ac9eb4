"""Callbacks for each connection, on a small event loop over epoll: `coroutines` without the cost of coroutines."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any

from servers import RECV_SIZE

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

TEACHING = True


class Loop:
    """The descriptors that are watched, and the callback of each."""

    def __init__(self) -> None:
        self.poller: Any = select.epoll() if hasattr(select, "epoll") else select.poll()  # they have the same methods
        self.callbacks: list[Any] = []  # by descriptor, which is a small integer

    def register(self, descriptor: int, callback: Callable[[], None]) -> None:
        """Call back whenever this descriptor can be read."""
        self.poller.register(descriptor, select.POLLIN)
        self.callbacks.extend([None] * (descriptor + 1 - len(self.callbacks)))
        self.callbacks[descriptor] = callback

    def run(self) -> None:
        """Wait until descriptors are ready, call their callbacks, and again."""
        poll, callbacks = self.poller.poll, self.callbacks
        while True:
            for descriptor, _ in poll():
                callbacks[descriptor]()


class Echo:
    """One connection, and what of it the client has not taken yet."""

    __slots__ = ("connection", "descriptor", "loop", "unsent")

    def __init__(self, loop: Loop, connection: socket.socket) -> None:
        self.loop, self.connection, self.descriptor = loop, connection, connection.fileno()
        self.unsent = b""
        connection.setblocking(False)
        loop.register(self.descriptor, self.readable)

    def readable(self) -> None:
        """Send back what came."""
        try:
            data = self.connection.recv(RECV_SIZE)
            if not data:
                self.close()
                return
            try:
                sent = self.connection.send(data)
            except BlockingIOError:
                sent = 0
            if sent < len(data):  # the client does not take it: nothing is read from it until it does
                self.unsent = data[sent:]
                self.call_when(select.POLLOUT, self.writable)
        except OSError:
            self.close()  # a reset is the end of this client, not of the server

    def writable(self) -> None:
        """Send more of what the client has not taken; when it has taken all, read on."""
        try:
            self.unsent = self.unsent[self.connection.send(self.unsent) :]
        except BlockingIOError:
            return
        except OSError:
            self.close()
            return
        if not self.unsent:
            self.call_when(select.POLLIN, self.readable)

    def call_when(self, event: int, callback: Callable[[], None]) -> None:
        """Wait for something else from now on."""
        self.loop.callbacks[self.descriptor] = callback
        self.loop.poller.modify(self.descriptor, event)

    def close(self) -> None:
        """Forget the connection."""
        self.loop.poller.unregister(self.descriptor)
        self.loop.callbacks[self.descriptor] = None
        self.connection.close()


def serve(listener: socket.socket) -> None:
    """Call `Echo` for each connection, and its methods for all that happens to it."""

    def acceptable() -> None:
        try:
            while True:
                connection, _ = listener.accept()
                Echo(loop, connection)
        except BlockingIOError:
            pass  # all that were waiting have been let in

    loop = Loop()
    listener.setblocking(False)
    loop.register(listener.fileno(), acceptable)
    loop.run()
