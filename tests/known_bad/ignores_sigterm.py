"""Does not end when it is told to."""

from __future__ import annotations

import signal
from typing import TYPE_CHECKING

from _models import RECV_SIZE, in_threads

if TYPE_CHECKING:
    import socket


def serve(listener: socket.socket) -> None:
    """Serve, come what may."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    in_threads(echo)(listener)


def echo(connection: socket.socket) -> None:
    """Send back what came."""
    while data := connection.recv(RECV_SIZE):
        connection.sendall(data)
