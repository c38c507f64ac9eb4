"""Out of descriptors, asks for the next client again and again without a pause."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from _models import RECV_SIZE


def serve(listener: socket.socket) -> None:
    """Accept, or try to; past the listener's own way of bearing a shortage."""
    while True:
        with suppress(OSError):
            connection, _ = socket.socket.accept(listener)
            threading.Thread(target=echo, args=(connection,), daemon=True).start()


def echo(connection: socket.socket) -> None:
    """Send back what came."""
    with connection, suppress(OSError):
        while data := connection.recv(RECV_SIZE):
            connection.sendall(data)
