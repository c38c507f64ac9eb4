"""Step 12: a socket keeps one future for all its waits, and epoll is asked for it once and for all."""

from __future__ import annotations

import select
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from _main import main

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine, Generator

    Task = Coroutine["Future", None, None]

RECV_SIZE = 64 * 1024
RETRY_S = 0.05  # when there is no descriptor for a new client


class Future:
    """Something that a task waits for. A socket keeps the same one for all its waits."""

    __slots__ = ("task",)

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
    """The sockets that are watched, and the future of each."""

    def __init__(self) -> None:
        self.poller = select.epoll()
        self.futures: list[Any] = []  # by descriptor, which is a small integer

    def watch(self, sock: socket.socket) -> Future:
        """Register a socket once and for all; return the future to await until it can be read."""
        sock.setblocking(False)
        descriptor = sock.fileno()
        self.poller.register(descriptor, select.EPOLLIN)
        self.futures.extend([None] * (descriptor + 1 - len(self.futures)))
        future = self.futures[descriptor] = Future()
        return future

    def forget(self, sock: socket.socket) -> None:
        """Watch a socket no longer."""
        self.poller.unregister(sock)
        self.futures[sock.fileno()] = None

    def run(self) -> None:
        """Wait until sockets are ready, resume the tasks that wait for them, and again."""
        while True:
            for descriptor, _ in self.poller.poll():
                resume(self.futures[descriptor].task)


def serve(listener: socket.socket) -> None:
    """Run one task that accepts, and one for each client."""
    loop = Loop()
    resume(accept(loop, listener))
    loop.run()


async def accept(loop: Loop, listener: socket.socket) -> None:
    """Give each client a task of its own."""
    acceptable = loop.watch(listener)
    while True:
        await acceptable
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
    ready = loop.watch(connection)
    try:
        while True:
            await ready
            data = connection.recv(RECV_SIZE)
            if not data:
                return
            await send_all(loop, connection, ready, data)
    except OSError:
        pass  # a reset is the end of this client, not of the server
    finally:
        loop.forget(connection)
        connection.close()


async def send_all(loop: Loop, connection: socket.socket, ready: Future, data: bytes) -> None:
    """Send the data, and wait whenever the kernel has no room for more."""
    with suppress(BlockingIOError):
        data = data[connection.send(data) :]
    if not data:
        return
    loop.poller.modify(connection, select.EPOLLOUT)
    while data:
        await ready
        with suppress(BlockingIOError):
            data = data[connection.send(data) :]
    loop.poller.modify(connection, select.EPOLLIN)


if __name__ == "__main__":
    main(serve)
