"""Native coroutines on an event loop of their own, over epoll."""

from __future__ import annotations

import select
from contextlib import suppress
from typing import TYPE_CHECKING

from servers import RECV_SIZE

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Coroutine, Generator

# Where there is no epoll, poll has the same methods.
poller = (getattr(select, "epoll", None) or select.poll)()
resume: dict[int, Callable[[None], object]] = {}  # descriptor -> `send` of the coroutine that waits for it


class Event:
    def __await__(self):
        yield self


READY = Event()


def serve(listener: socket.socket) -> None:
    """Ask which sockets are ready, resume the coroutines that wait for them, and again."""
    listener.setblocking(False)
    spawn(listener.fileno(), accept(listener))
    poll = poller.poll
    while True:
        for descriptor, _ in poll():
            try:
                resume[descriptor](None)
            except StopIteration:
                del resume[descriptor]


def spawn(descriptor, task) -> None:
    poller.register(descriptor, select.POLLIN)
    resume[descriptor] = task.send
    task.send(None)


async def accept(listener: socket.socket) -> None:
    while True:
        await READY
        with suppress(BlockingIOError):
            while True:
                connection, _ = listener.accept()
                spawn(connection.fileno(), echo(Connection(connection)))


async def echo(connection: Connection) -> None:
    with connection.socket, suppress(OSError):
        while data := await connection.recv():
            await connection.send(data)


class Connection:
    """A socket whose calls wait instead of failing."""

    __slots__ = ("socket",)

    def __init__(self, socket: socket.socket) -> None:
        self.socket = socket
        socket.setblocking(False)

    async def recv(self) -> bytes:
        await READY
        return self.socket.recv(RECV_SIZE)

    async def send(self, data: bytes) -> None:
        try:
            sent = self.socket.send(data)
        except BlockingIOError:
            sent = 0
        if sent == len(data):
            return
        poller.modify(self.socket.fileno(), select.POLLOUT)
        while sent < len(data):
            await READY
            data = data[sent:]
            sent = self.socket.send(data)
        poller.modify(self.socket.fileno(), select.POLLIN)
