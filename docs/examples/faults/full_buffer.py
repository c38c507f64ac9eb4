"""Fault: `sendall` on a socket that does not block raises BlockingIOError as soon as the kernel has no room."""

from __future__ import annotations

import select
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket
    from collections.abc import Generator

    Task = Generator[socket.socket, None, None]

RECV_SIZE = 64 * 1024


class Loop:
    """The generators that wait, by the socket that they wait for."""

    def __init__(self) -> None:
        self.waiting: dict[socket.socket, Task] = {}

    def resume(self, task: Task) -> None:
        """Run a generator up to its next `yield`, which says what it waits for."""
        with suppress(StopIteration):
            self.waiting[task.send(None)] = task

    def run(self) -> None:
        """Wait until sockets can be read, resume the generators that wait for them, and again."""
        while True:
            readable, _, _ = select.select(self.waiting, (), ())
            for sock in readable:
                self.resume(self.waiting.pop(sock))


def serve(listener: socket.socket) -> None:
    """Run one generator that accepts, and one for each client."""
    loop = Loop()
    loop.resume(accept(loop, listener))
    loop.run()


def accept(loop: Loop, listener: socket.socket) -> Task:
    """Give each client a generator of its own."""
    listener.setblocking(False)
    while True:
        yield listener
        connection, _ = listener.accept()
        loop.resume(echo(connection))


def echo(connection: socket.socket) -> Task:
    """Send back what comes until the client has finished, or is gone."""
    connection.setblocking(False)
    try:
        while True:
            yield connection
            data = connection.recv(RECV_SIZE)
            if not data:
                return
            connection.sendall(data)
    except ConnectionError:
        pass  # a reset is the end of this client, not of the server
    finally:
        connection.close()
