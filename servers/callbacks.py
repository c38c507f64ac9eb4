"""Callbacks over epoll: `coroutines` without the coroutines, so that their cost can be read off."""

from __future__ import annotations

import select
from typing import TYPE_CHECKING, Any

from servers import RECV_SIZE

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


class Loop:
    """Whom to call about which descriptor."""

    def __init__(self) -> None:
        self.poller: Any = (getattr(select, "epoll", None) or select.poll)()  # they have the same methods
        self.callbacks: dict[int, Callable[[], None]] = {}

    def register(self, descriptor: int, callback: Callable[[], None]) -> None:
        """Call back whenever this descriptor can be read."""
        self.poller.register(descriptor, select.POLLIN)
        self.callbacks[descriptor] = callback

    def run(self) -> None:
        """Ask which descriptors are ready, call those who care, and again."""
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
            if data:
                sent = self.send(data)
                if sent < len(data):
                    self.wait_for_client(data[sent:])
                return
        except OSError:
            pass  # a reset is the end of this client, not of the server
        self.close()

    def writable(self) -> None:
        """Send more of what the client has not taken; when it has taken all, read on."""
        try:
            self.unsent = self.unsent[self.send(self.unsent) :]
        except OSError:
            self.close()
            return
        if not self.unsent:
            self.loop.callbacks[self.descriptor] = self.readable
            self.loop.poller.modify(self.descriptor, select.POLLIN)

    def wait_for_client(self, unsent: bytes) -> None:
        """Read no more until the client takes what it was sent."""
        self.unsent = unsent
        self.loop.callbacks[self.descriptor] = self.writable
        self.loop.poller.modify(self.descriptor, select.POLLOUT)

    def send(self, data: bytes) -> int:
        """Return how many bytes the kernel took: none if it has no room."""
        try:
            return self.connection.send(data)
        except BlockingIOError:
            return 0

    def close(self) -> None:
        """Forget the connection."""
        self.loop.poller.unregister(self.descriptor)
        del self.loop.callbacks[self.descriptor]
        self.connection.close()


def serve(listener: socket.socket) -> None:
    """Call `Echo` for every connection, and its methods for all that happens to it."""

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
