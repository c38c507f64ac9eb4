"""Right, but waits 5 ms before every reply: not a fault, a known answer for whoever measures time."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from _models import RECV_SIZE, in_threads

if TYPE_CHECKING:
    import socket

DELAY_S = 0.005


def echo(connection: socket.socket) -> None:
    """Send back what came, later."""
    while data := connection.recv(RECV_SIZE):
        time.sleep(DELAY_S)  # the delay is what this server is for
        connection.sendall(data)


serve = in_threads(echo)
