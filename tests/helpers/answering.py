"""Servers in threads of the test's own process, each answering as its handler does. Processes belong elsewhere."""

from __future__ import annotations

import socket
import threading
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@contextmanager
def answering(handler: Callable[[socket.socket], Any], listener: socket.socket | None = None) -> Iterator[str]:
    """Run `handler(connection)` in a thread for each connection; yield the address.

    An OSError of the handler ends its connection, as its return does.
    """
    connections: list[socket.socket] = []

    def run(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            handler(connection)

    def accept(listener: socket.socket) -> None:
        with suppress(OSError):  # the listener was shut: the test is over
            while True:
                connection, _ = listener.accept()
                connections.append(connection)
                threads.append(threading.Thread(target=run, args=(connection,)))
                threads[-1].start()

    listener = listener or socket.create_server(("127.0.0.1", 0), backlog=512)
    threads = [threading.Thread(target=accept, args=(listener,))]
    threads[0].start()
    try:
        yield address_of(listener)
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        threads[0].join()
        for connection in connections:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(10)
        listener.close()
        assert not any(thread.is_alive() for thread in threads), "a handler does not end"


def address_of(listener: socket.socket) -> str:
    """Return a listener's address as `python -m clients` takes it."""
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    return f"[{name[0]}]:{name[1]}" if listener.family == socket.AF_INET6 else f"{name[0]}:{name[1]}"


def echo(connection: socket.socket) -> None:
    """Answer as a server that is right."""
    while data := connection.recv(65_536):
        connection.sendall(data)
