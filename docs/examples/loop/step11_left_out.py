"""Step 11: what an echo server does not need is left out: clock, cancellation, results, and the queue of tasks."""

from __future__ import annotations

import select
import time
from typing import TYPE_CHECKING

from _main import main

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine, Generator

    Task = Coroutine["Future", None, None]

RECV_SIZE = 64 * 1024
RETRY_S = 0.05  # when there is no descriptor for a new client


class Future:
    """Something that a task waits for."""

    task: Task  # the one that waits

    def __await__(self) -> Generator[Future, None, None]:
        """Suspend the task that awaits this, until it is resumed."""
        yield self


def resume(task: Task) -> None:
    """Run a task up to its next wait, and note in the future which task waits for it."""
    try:
        future = task.send(None)
    except StopIteration:
        return  # the task has ended: it waits for nothing
    future.task = task


class Loop:
    """The futures of sockets."""

    def __init__(self) -> None:
        self.poller = select.epoll()
        self.watched: dict[int, int] = {}  # by descriptor: what the kernel will tell of it
        self.waiting: dict[int, Future] = {}

    def readable(self, sock: socket.socket) -> Future:
        """Return the future that is done when a socket can be read."""
        return self.watch(sock.fileno(), select.EPOLLIN)

    def writable(self, sock: socket.socket) -> Future:
        """Return the future that is done when the kernel takes more for a socket."""
        return self.watch(sock.fileno(), select.EPOLLOUT)

    def watch(self, descriptor: int, event: int) -> Future:
        """Return the future of an event, and tell the kernel of it unless the last wait was for the same."""
        if descriptor not in self.watched:
            self.poller.register(descriptor, event)
        elif self.watched[descriptor] != event:
            self.poller.modify(descriptor, event)
        self.watched[descriptor] = event
        future = self.waiting[descriptor] = Future()
        return future

    def forget(self, sock: socket.socket) -> None:
        """Watch a socket no longer. Call this before it is closed."""
        if self.watched.pop(sock.fileno(), None) is not None:
            self.poller.unregister(sock)
        self.waiting.pop(sock.fileno(), None)

    def run(self) -> None:
        """Wait until sockets are ready, resume the tasks that wait for them, and again."""
        while True:
            for descriptor, _ in self.poller.poll():
                resume(self.waiting.pop(descriptor).task)


def serve(listener: socket.socket) -> None:
    """Run one task that accepts, and one for each client."""
    loop = Loop()
    resume(accept(loop, listener))
    loop.run()


async def accept(loop: Loop, listener: socket.socket) -> None:
    """Give each client a task of its own."""
    listener.setblocking(False)
    while True:
        await loop.readable(listener)
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            continue  # the client has left
        except OSError:
            time.sleep(RETRY_S)  # noqa: ASYNC251 - without a clock in the loop, all tasks wait
            continue
        resume(echo(loop, connection))


async def echo(loop: Loop, connection: socket.socket) -> None:
    """Send back what comes until the client has finished, or is gone."""
    connection.setblocking(False)
    try:
        while True:
            await loop.readable(connection)
            data = connection.recv(RECV_SIZE)
            if not data:
                return
            await send_all(loop, connection, data)
    except OSError:
        pass  # a reset is the end of this client, not of the server
    finally:
        loop.forget(connection)
        connection.close()


async def send_all(loop: Loop, connection: socket.socket, data: bytes) -> None:
    """Send the data, and wait whenever the kernel has no room for more."""
    while data:
        try:
            data = data[connection.send(data) :]
        except BlockingIOError:
            await loop.writable(connection)


if __name__ == "__main__":
    main(serve)
