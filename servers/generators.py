"""A generator for each connection, resumed when `select.select` says that its socket is ready.

A generator that cannot go on yields what it waits for. The loop asks the kernel which descriptors are ready, and
resumes the generators that wait for them. Awaiting belongs to the next step, `coroutines`.
"""

from __future__ import annotations

import select
import sys
from typing import TYPE_CHECKING

from servers import RECV_SIZE

if TYPE_CHECKING:
    import socket
    from collections.abc import Generator

    Task = Generator[tuple[str, int], None, None]

TEACHING = True
DESCRIPTORS_MAX = 1024  # select cannot watch descriptor 1024 or above: FD_SETSIZE
CONNECTIONS_MAX = 1019  # of these, standard input, output and error, the listener and its spare take five
REFUSES_BEYOND = True

READ, WRITE = "read", "write"


class Loop:
    """The generators that wait, by what they wait for: a descriptor that can be read, or written."""

    def __init__(self) -> None:
        self.waiting: dict[str, dict[int, Task]] = {READ: {}, WRITE: {}}

    def resume(self, task: Task) -> None:
        """Run a generator up to its next `yield`, and note what it waits for."""
        try:
            event, descriptor = task.send(None)
        except StopIteration:
            return  # the generator has ended: it waits for nothing
        self.waiting[event][descriptor] = task

    def run(self) -> None:
        """Wait until descriptors are ready, resume the generators that wait for them, and again."""
        readers, writers = self.waiting[READ], self.waiting[WRITE]
        while True:
            readable, writable, _ = select.select(readers, writers, ())
            for task in [*map(readers.pop, readable), *map(writers.pop, writable)]:
                self.resume(task)


def serve(listener: socket.socket) -> None:
    """Run one generator that accepts, and one for each connection."""
    loop = Loop()
    loop.resume(accept(loop, listener))
    loop.run()


def accept(loop: Loop, listener: socket.socket) -> Task:
    """Give each connection a generator of its own, or refuse it if select could not watch it."""
    listener.setblocking(False)
    refused = False
    while True:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            yield READ, listener.fileno()
            continue
        if connection.fileno() < DESCRIPTORS_MAX:
            loop.resume(echo(connection))
            continue
        connection.close()
        if not refused:
            refused = True
            print(f"generators: connections refused, select stops at descriptor {DESCRIPTORS_MAX}", file=sys.stderr)


def echo(connection: socket.socket) -> Task:
    """Send back what comes until the client has finished, or is gone."""
    connection.setblocking(False)
    descriptor = connection.fileno()
    try:
        while True:
            yield READ, descriptor
            data = connection.recv(RECV_SIZE)
            if not data:
                return
            sent = send(connection, data)
            while sent < len(data):  # the client does not take it: nothing is read from it until it does
                yield WRITE, descriptor
                sent += send(connection, data[sent:])
            del data  # or every idle connection would hold its last message
    except OSError:
        pass  # a reset is the end of this client, not of the server
    finally:
        connection.close()


def send(connection: socket.socket, data: bytes) -> int:
    """Return how many bytes the kernel took: none if it has no room."""
    try:
        return connection.send(data)
    except BlockingIOError:
        return 0
