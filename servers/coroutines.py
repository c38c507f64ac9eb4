"""Native coroutines on an event loop of their own, over epoll.

A coroutine that cannot go on awaits an event or a future. Either hands control to the loop, which asks the kernel whose
descriptor is ready and resumes the coroutine that waits for it. A socket is registered once and stays registered.
"""

from __future__ import annotations

import select
from contextlib import suppress
from typing import TYPE_CHECKING, Any, cast

from servers import RECV_SIZE

if TYPE_CHECKING:
    import socket
    from collections.abc import Awaitable, Coroutine, Generator


class Event:
    """What happens again and again: the descriptor that a coroutine was started for can be read."""

    __await__ = (None,).__iter__  # an iterator of one item: awaiting it suspends once, at less than a generator's price


READABLE = cast("Awaitable[None]", Event())


class Future:
    """What happens once. The loop writes down which task awaits it; `send` resumes that task."""

    task: Task

    def __await__(self) -> Generator[Future, None, None]:
        """Suspend."""
        yield self

    def send(self, _: None) -> None:
        """Say that it has happened: the loop calls this as it calls a coroutine's `send`."""
        resume(self.task)


if TYPE_CHECKING:
    Task = Coroutine[Future | None, None, None] | Future


def resume(task: Task) -> None:
    """Run a task up to its next await; if that is for a future, tell the future whom to resume."""
    future = task.send(None)
    if future is not None:
        future.task = task


class Loop:
    """Who waits for which descriptor."""

    def __init__(self) -> None:
        self.poller: Any = (getattr(select, "epoll", None) or select.poll)()  # they have the same methods
        self.waiting: list[Any] = []  # by descriptor: descriptors are small integers

    def spawn(self, descriptor: int, task: Task) -> None:
        """Start a coroutine whose events are those of this descriptor."""
        self.poller.register(descriptor, select.POLLIN)
        self.waiting.extend([None] * (descriptor + 1 - len(self.waiting)))
        self.waiting[descriptor] = task
        resume(task)

    def run(self) -> None:
        """Ask which descriptors are ready, resume those who wait for them, and again."""
        poll, waiting = self.poller.poll, self.waiting
        while True:
            for descriptor, _ in poll():
                task = waiting[descriptor]
                try:
                    future = task.send(None)  # `resume`, without the price of a call
                    if future is not None:
                        future.task = task
                except StopIteration:
                    waiting[descriptor] = None

    async def send(self, connection: socket.socket, data: bytes) -> None:
        """Send what the client did not take at once. Nothing is read from it meanwhile, so nothing piles up."""
        descriptor = connection.fileno()
        reader = self.waiting[descriptor]
        self.poller.modify(descriptor, select.POLLOUT)
        while data:
            self.waiting[descriptor] = writable = Future()
            await writable
            with suppress(BlockingIOError):
                data = data[connection.send(data) :]
        self.poller.modify(descriptor, select.POLLIN)
        self.waiting[descriptor] = reader


def serve(listener: socket.socket) -> None:
    """Run one coroutine that accepts, and one for every connection."""
    loop = Loop()
    loop.spawn(listener.fileno(), accept(loop, listener))
    loop.run()


async def accept(loop: Loop, listener: socket.socket) -> None:
    """Give every connection a coroutine of its own."""
    listener.setblocking(False)
    while True:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            await READABLE
        else:
            loop.spawn(connection.fileno(), echo(loop, connection))


async def echo(loop: Loop, connection: socket.socket) -> None:
    """Send back what comes until the client has finished, or is gone."""
    connection.setblocking(False)
    try:
        while True:
            await READABLE
            data = connection.recv(RECV_SIZE)
            if not data:
                return
            try:
                sent = connection.send(data)
            except BlockingIOError:
                sent = 0
            if sent < len(data):
                await loop.send(connection, data[sent:])
            del data  # or every idle connection would hold its last message
    except OSError:
        pass  # a reset is the end of this client, not of the server
    finally:
        loop.poller.unregister(connection)
        connection.close()
