"""Never answers a connection again that has been silent for a second and a half."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from _models import RECV_SIZE, in_threads

if TYPE_CHECKING:
    import socket

SILENCE_S = 1.5


def echo(connection: socket.socket) -> None:
    """Send back what came, as long as it comes soon."""
    while True:
        connection.settimeout(SILENCE_S)
        try:
            data = connection.recv(RECV_SIZE)
        except TimeoutError:
            threading.Event().wait()
        connection.settimeout(None)
        if not data:
            return
        connection.sendall(data)


serve = in_threads(echo)
