"""A generator for every connection, resumed when `select.select` says that its socket is ready."""

from __future__ import annotations

import select
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from servers import RECV_SIZE

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Generator

DESCRIPTORS_MAX = 1024  # select cannot watch descriptor 1024 or above (FD_SETSIZE)
CONNECTIONS_MAX = 1019  # of these, five are taken: standard input, output and error, the listener and its spare
REFUSES_BEYOND = True

READ, WRITE = "read", "write"  # what a generator yields: the thing it waits for

waiting: dict[str, dict[int, Callable[[], str]]] = {READ: {}, WRITE: {}}  # descriptor -> how to resume the one that waits for it


def serve(listener: socket.socket) -> None:
    """Ask which sockets are ready, resume the generators that wait for them, and again."""
    listener.setblocking(False)
    readers, writers = waiting[READ], waiting[WRITE]
    spawn(listener.fileno(), accept(listener))
    while True:
        readable, writable, _ = select.select(readers, writers, ())
        for descriptor in readable:
            try:
                if readers[descriptor]() is WRITE:
                    writers[descriptor] = readers.pop(descriptor)
            except StopIteration:
                del readers[descriptor]
        for descriptor in writable:
            try:
                if writers[descriptor]() is READ:
                    readers[descriptor] = writers.pop(descriptor)
            except StopIteration:
                del writers[descriptor]


def spawn(descriptor: int, task: Generator[str, None, None]) -> None:
    """Run a new generator up to its first wait."""
    waiting[next(task)][descriptor] = task.__next__


def accept(listener: socket.socket) -> Generator[str, None, None]:
    """Give every connection a generator of its own, or refuse it if select could not watch it."""
    said = False
    while True:
        yield READ
        with suppress(BlockingIOError):
            while True:
                connection, _ = listener.accept()
                if connection.fileno() < DESCRIPTORS_MAX:
                    spawn(connection.fileno(), echo(connection))
                    continue
                connection.close()
                if not said:
                    said = True
                    reason = f"select cannot watch descriptor {DESCRIPTORS_MAX} or above"
                    print(f"generators: connections are refused: {reason}", file=sys.stderr, flush=True)


def echo(connection: socket.socket) -> Generator[str, None, None]:
    """Send back what comes until the client has finished, or is gone."""
    connection.setblocking(False)
    with connection, suppress(OSError):
        while True:
            yield READ
            data = connection.recv(RECV_SIZE)
            if not data:
                return
            data = data[try_send(connection, data) :]
            while data:  # the client does not take it: read no more until it has
                yield WRITE
                data = data[try_send(connection, data) :]


def try_send(connection: socket.socket, data: bytes) -> int:
    """Return how many bytes the kernel took: none if its buffer is full."""
    try:
        return connection.send(data)
    except BlockingIOError:
        return 0
