"""Stops answering a connection after 12 MiB."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from _models import RECV_SIZE, in_threads

if TYPE_CHECKING:
    import socket

ENOUGH_BYTES = 12 * 1024 * 1024


def echo(connection: socket.socket) -> None:
    """Send back what came, up to a point."""
    echoed = 0
    while data := connection.recv(RECV_SIZE):
        connection.sendall(data)
        echoed += len(data)
        if echoed >= ENOUGH_BYTES:
            threading.Event().wait()


serve = in_threads(echo)
