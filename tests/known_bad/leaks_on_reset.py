"""Forgets to close a connection that ended in an error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _models import RECV_SIZE, in_threads

if TYPE_CHECKING:
    import socket

forgotten: list[socket.socket] = []


def echo(connection: socket.socket) -> None:
    """Send back what came; when that fails, lose sight of the connection."""
    try:
        while data := connection.recv(RECV_SIZE):
            connection.sendall(data)
    except OSError:
        forgotten.append(connection.dup())


serve = in_threads(echo)
