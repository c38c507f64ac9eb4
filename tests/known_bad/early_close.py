"""Answers 50 times, then closes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _models import RECV_SIZE, in_threads

if TYPE_CHECKING:
    import socket

RIGHT_REPLIES = 50


def echo(connection: socket.socket) -> None:
    """Send back what came, for a while."""
    for _ in range(RIGHT_REPLIES):
        connection.sendall(connection.recv(RECV_SIZE))


serve = in_threads(echo)
