"""Reads lines: a message without a newline is not answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _models import in_threads

if TYPE_CHECKING:
    import socket


def echo(connection: socket.socket) -> None:
    """Send back line after line."""
    with connection.makefile("rb") as lines:
        for line in lines:
            connection.sendall(line)


serve = in_threads(echo)
