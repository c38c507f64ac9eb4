"""A coroutine for each connection, on a small event loop over epoll.

A coroutine that cannot go on awaits a future. The future yields itself, and that suspends the coroutine and every
coroutine that awaits it, up to the outermost one, which is the task. The loop asks the kernel which sockets are ready,
and resumes the tasks that wait for them. Only what an echo server needs belongs here: no timers, no cancellation, no
results.
"""

from __future__ import annotations

import select
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from servers import RECV_SIZE

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine, Generator

    Task = Coroutine["Future", None, None]

TEACHING = True


class Future:
    """Something that a task waits for.

    asyncio makes a new future for each wait. Here a socket keeps the same one for all its waits, which is cheaper.
    """

    __slots__ = ("task",)

    task: Task  # the one that waits

    def __await__(self) -> Generator[Future, None, None]:
        """Suspend the task that awaits this, until it is resumed."""
        yield self


def resume(task: Task) -> None:
    """Run a task up to its next await, and note in the future which task waits for it."""
    try:
        future = task.send(None)
    except StopIteration:
        return  # the task has ended: it waits for nothing
    future.task = task


class Loop:
    """The sockets that are watched, and the future of each."""

    def __init__(self) -> None:
        self.poller: Any = select.epoll() if hasattr(select, "epoll") else select.poll()  # they have the same methods
        self.futures: list[Any] = []  # by descriptor, which is a small integer

    def watch(self, sock: socket.socket) -> Future:
        """Register a socket once and for all; return the future to await until it can be read."""
        sock.setblocking(False)
        descriptor = sock.fileno()
        self.poller.register(descriptor, select.POLLIN)
        self.futures.extend([None] * (descriptor + 1 - len(self.futures)))
        future = self.futures[descriptor] = Future()
        return future

    def forget(self, sock: socket.socket) -> None:
        """Watch a socket no longer."""
        self.poller.unregister(sock)
        self.futures[sock.fileno()] = None

    def run(self) -> None:
        """Wait until sockets are ready, resume the tasks that wait for them, and again."""
        poll, futures = self.poller.poll, self.futures
        while True:
            for descriptor, _ in poll():
                task = futures[descriptor].task
                try:
                    future = task.send(None)  # these lines are `resume`, without the price of a call
                except StopIteration:
                    continue
                future.task = task


def serve(listener: socket.socket) -> None:
    """Run one task that accepts, and one for each connection."""
    loop = Loop()
    resume(accept(loop, listener))
    loop.run()


async def accept(loop: Loop, listener: socket.socket) -> None:
    """Start a task for each connection."""
    acceptable = loop.watch(listener)
    while True:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            await acceptable
        else:
            resume(echo(loop, connection))


async def echo(loop: Loop, connection: socket.socket) -> None:
    """Send back what comes until the client has finished, or is gone."""
    ready = loop.watch(connection)
    try:
        while True:
            await ready
            data = connection.recv(RECV_SIZE)
            if not data:
                return
            try:
                sent = connection.send(data)
            except BlockingIOError:
                sent = 0
            if sent < len(data):
                await send_rest(loop, connection, ready, data[sent:])
            del data  # or every idle connection would hold its last message
    except OSError:
        pass  # a reset is the end of this client, not of the server
    finally:
        loop.forget(connection)
        connection.close()


async def send_rest(loop: Loop, connection: socket.socket, ready: Future, data: bytes) -> None:
    """Send what the client did not take at once. Nothing is read from it meanwhile, so nothing piles up."""
    loop.poller.modify(connection, select.POLLOUT)
    while data:
        await ready
        with suppress(BlockingIOError):
            data = data[connection.send(data) :]
    loop.poller.modify(connection, select.POLLIN)
