"""Dies of a client's reset."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from _models import RECV_SIZE, in_threads

if TYPE_CHECKING:
    import socket


def echo(connection: socket.socket) -> None:
    """Send back what came; one client's error is everybody's end."""
    try:
        while data := connection.recv(RECV_SIZE):
            connection.sendall(data)
    except OSError:
        os._exit(1)


serve = in_threads(echo)
