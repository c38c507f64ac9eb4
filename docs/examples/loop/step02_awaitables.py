"""Step 2: a coroutine for each client. What it awaits is an object whose `__await__` yields."""

from __future__ import annotations

import select
from contextlib import suppress
from typing import TYPE_CHECKING

from _main import main

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine, Generator

    Task = Coroutine[socket.socket, None, None]

RECV_SIZE = 64 * 1024


class Readable:
    """Await this to be suspended until a socket can be read."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock

    def __await__(self) -> Generator[socket.socket, None, None]:
        """Yield the socket to the loop, through every coroutine that awaits."""
        yield self.sock


class Loop:
    """The coroutines that wait, by the socket that they wait for."""

    def __init__(self) -> None:
        self.waiting: dict[socket.socket, Task] = {}

    def resume(self, task: Task) -> None:
        """Run a coroutine up to the next `yield` below it, which says what it waits for."""
        with suppress(StopIteration):
            self.waiting[task.send(None)] = task

    def run(self) -> None:
        """Wait until sockets can be read, resume the coroutines that wait for them, and again."""
        while True:
            readable, _, _ = select.select(self.waiting, (), ())
            for sock in readable:
                self.resume(self.waiting.pop(sock))


def serve(listener: socket.socket) -> None:
    """Run one coroutine that accepts, and one for each client."""
    loop = Loop()
    loop.resume(accept(loop, listener))
    loop.run()


async def accept(loop: Loop, listener: socket.socket) -> None:
    """Give each client a coroutine of its own."""
    listener.setblocking(False)
    while True:
        await Readable(listener)
        with suppress(BlockingIOError):
            connection, _ = listener.accept()
            loop.resume(echo(connection))


async def echo(connection: socket.socket) -> None:
    """Send back what comes until the client has finished, or is gone."""
    try:
        while True:
            await Readable(connection)
            data = connection.recv(RECV_SIZE)
            if not data:
                return
            connection.sendall(data)
    except OSError:
        pass  # a reset is the end of this client, not of the server
    finally:
        connection.close()


if __name__ == "__main__":
    main(serve)
