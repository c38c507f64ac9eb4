"""A generator for every connection, resumed when `select.select` says that its socket is ready."""

from __future__ import annotations

import select
import sys
from typing import TYPE_CHECKING

from servers import RECV_SIZE

if TYPE_CHECKING:
    import socket
    from collections.abc import Generator

    Task = Generator[str, None, None]

DESCRIPTORS_MAX = 1024  # select cannot watch descriptor 1024 or above: FD_SETSIZE
CONNECTIONS_MAX = 1019  # of these, standard input, output and error, the listener and its spare take five
REFUSES_BEYOND = True

READ, WRITE = "read", "write"  # what a generator yields: what it waits for


class Loop:
    """Which generator waits for which descriptor."""

    def __init__(self) -> None:
        self.readers: dict[int, Task] = {}
        self.writers: dict[int, Task] = {}

    def spawn(self, descriptor: int, task: Task) -> None:
        """Start a generator; it begins by waiting for its descriptor to be readable."""
        task.send(None)
        self.readers[descriptor] = task

    def run(self) -> None:
        """Ask which descriptors are ready, resume those who wait for them, and again."""
        readers, writers = self.readers, self.writers
        while True:
            readable, writable, _ = select.select(readers, writers, ())
            for ready, tasks, others, other in (readable, readers, writers, WRITE), (writable, writers, readers, READ):
                for descriptor in ready:
                    try:
                        if tasks[descriptor].send(None) is other:
                            others[descriptor] = tasks.pop(descriptor)
                    except StopIteration:
                        del tasks[descriptor]


def serve(listener: socket.socket) -> None:
    """Run one generator that accepts, and one for every connection."""
    loop = Loop()
    loop.spawn(listener.fileno(), accept(loop, listener))
    loop.run()


def accept(loop: Loop, listener: socket.socket) -> Task:
    """Give every connection a generator of its own, or refuse it if select could not watch it."""
    listener.setblocking(False)
    refused = False
    while True:
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            yield READ
            continue
        if connection.fileno() < DESCRIPTORS_MAX:
            loop.spawn(connection.fileno(), echo(connection))
            continue
        connection.close()
        if not refused:
            refused = True
            print(f"generators: connections refused, select stops at descriptor {DESCRIPTORS_MAX}", file=sys.stderr)


def echo(connection: socket.socket) -> Task:
    """Send back what comes until the client has finished, or is gone."""
    connection.setblocking(False)
    try:
        while True:
            yield READ
            data = connection.recv(RECV_SIZE)
            if not data:
                return
            sent = send(connection, data)
            while sent < len(data):  # the client does not take it: nothing is read from it until it does
                yield WRITE
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
