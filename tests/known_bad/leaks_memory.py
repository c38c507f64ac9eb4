"""Keeps 128 KiB of memory for ever for each connection that sent 1 KiB or more."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _models import RECV_SIZE, in_threads

if TYPE_CHECKING:
    import socket

KEPT = b"\1" * 128 * 1024

history: list[bytearray] = []


def echo(connection: socket.socket) -> None:
    """Send back what came, and remember that it did."""
    remembered = False
    while data := connection.recv(RECV_SIZE):
        connection.sendall(data)
        if len(data) >= 1024 and not remembered:
            history.append(bytearray(KEPT))
            remembered = True


serve = in_threads(echo)
