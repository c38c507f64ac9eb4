"""An article's first step: one connection at a time, and no thought of errors."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket


def serve(listener: socket.socket) -> None:
    """Accept, echo until the client has finished, accept the next. A reset is the server's end."""
    while True:
        connection, _ = listener.accept()
        while data := connection.recv(4096):
            connection.sendall(data)
        connection.close()
