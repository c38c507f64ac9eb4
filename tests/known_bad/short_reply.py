"""Answers 50 times, then sends half a reply and closes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _models import RECV_SIZE, in_threads

if TYPE_CHECKING:
    import socket

RIGHT_REPLIES = 50


def echo(connection: socket.socket) -> None:
    """Send back what came, the last time only half of it."""
    for _ in range(RIGHT_REPLIES):
        connection.sendall(connection.recv(RECV_SIZE))
    data = connection.recv(RECV_SIZE)
    connection.sendall(data[: len(data) // 2])


serve = in_threads(echo)
