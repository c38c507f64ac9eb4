"""What the known-bad servers are built on: two plain models of an echo server, right until a file here breaks one rule.

`python -m servers tests/known_bad/NAME.py` runs one. A file states one fault, and does everything else as it should.
"""

from __future__ import annotations

import selectors
import socket
import threading
from collections.abc import Callable
from contextlib import suppress

RECV_SIZE = 64 * 1024

Talk = Callable[[socket.socket], None]
Serve = Callable[[socket.socket], None]


def in_threads(talk: Talk) -> Serve:
    """Return a server that gives each connection a thread; when `talk` returns or raises OSError, it is closed."""

    def serve(listener: socket.socket) -> None:
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=run, args=(connection,), daemon=True).start()

    def run(connection: socket.socket) -> None:
        with connection, suppress(OSError):
            talk(connection)

    return serve


def on_selector(step: Talk) -> Serve:
    """Return a server of one thread that calls `step` on whatever can be read, until that raises EOFError."""

    def serve(listener: socket.socket) -> None:
        listener.setblocking(False)
        selector = selectors.DefaultSelector()
        selector.register(listener, selectors.EVENT_READ)
        while True:
            for key, _ in selector.select():
                if key.fileobj is listener:
                    with suppress(BlockingIOError):
                        selector.register(listener.accept()[0], selectors.EVENT_READ)
                    continue
                try:
                    step(key.fileobj)
                except EOFError:
                    selector.unregister(key.fileobj)
                    key.fileobj.close()

    return serve


def receive(connection: socket.socket) -> bytes:
    """Return what came. Raise EOFError at the end of file."""
    data = connection.recv(RECV_SIZE)
    if not data:
        raise EOFError
    return data
