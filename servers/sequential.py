"""One connection at a time: the next client waits until this one has gone."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from servers import RECV_SIZE

if TYPE_CHECKING:
    import socket

TEACHING = True
CONNECTIONS_MAX = 1


def serve(listener: socket.socket) -> None:
    """Accept, echo until the client has finished, accept the next."""
    while True:
        connection, _ = listener.accept()
        with connection, suppress(OSError):  # a reset is the end of this client, not of the server
            while data := connection.recv(RECV_SIZE):
                connection.sendall(data)
