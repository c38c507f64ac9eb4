"""Forgets what the kernel did not take: a send that is cut short loses the rest."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from _models import on_selector, receive

if TYPE_CHECKING:
    import socket


def step(connection: socket.socket) -> None:
    """Send back as much as fits."""
    connection.setblocking(False)
    try:
        data = receive(connection)
        with suppress(BlockingIOError):
            connection.send(data)
    except ConnectionError:
        raise EOFError from None


serve = on_selector(step)
