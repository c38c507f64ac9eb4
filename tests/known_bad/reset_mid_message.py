"""Answers 50 times, then resets the connection after half a reply."""

from __future__ import annotations

import socket
import struct

from _models import RECV_SIZE, in_threads

RIGHT_REPLIES = 50


def echo(connection: socket.socket) -> None:
    """Send back what came; in the end cut the client off."""
    for _ in range(RIGHT_REPLIES):
        connection.sendall(connection.recv(RECV_SIZE))
    data = connection.recv(RECV_SIZE)
    connection.sendall(data[: len(data) // 2])
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


serve = in_threads(echo)
