"""Serves all from one thread and waits for the slow: while one client does not read, nobody else is answered."""

from __future__ import annotations

from typing import TYPE_CHECKING

from _models import on_selector, receive

if TYPE_CHECKING:
    import socket


def step(connection: socket.socket) -> None:
    """Send back what came, however long it takes."""
    try:
        connection.sendall(receive(connection))
    except ConnectionError:
        raise EOFError from None


serve = on_selector(step)
