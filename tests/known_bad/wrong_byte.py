"""Changes one bit of the 201st byte of whatever it receives."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _models import RECV_SIZE, in_threads

if TYPE_CHECKING:
    import socket

PLACE = 200


def echo(connection: socket.socket) -> None:
    """Send back what came, or nearly so."""
    while data := bytearray(connection.recv(RECV_SIZE)):
        if len(data) > PLACE:
            data[PLACE] ^= 1
        connection.sendall(data)


serve = in_threads(echo)
