"""Answers with the message before: right in length, wrong in content, from the second message on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _models import RECV_SIZE, in_threads

if TYPE_CHECKING:
    import socket


def echo(connection: socket.socket) -> None:
    """Send back what came before what came."""
    before = b""
    while data := connection.recv(RECV_SIZE):
        connection.sendall(before or data)
        before = data


serve = in_threads(echo)
