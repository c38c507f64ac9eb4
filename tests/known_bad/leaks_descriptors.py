"""Forgets to close a connection on which nothing was sent."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from _models import RECV_SIZE, in_threads

if TYPE_CHECKING:
    import socket

forgotten: list[socket.socket] = []


def echo(connection: socket.socket) -> None:
    """Send back what came; without that, lose sight of the connection."""
    said = False
    with suppress(OSError):
        while data := connection.recv(RECV_SIZE):
            said = True
            connection.sendall(data)
        if not said:
            forgotten.append(connection.dup())


serve = in_threads(echo)
