"""A greenlet for each connection, on gevent: a call that would block switches to another greenlet."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import gevent.server
import gevent.socket

from servers import RECV_SIZE

if TYPE_CHECKING:
    import socket

LIBRARY = "gevent"


def serve(listener: socket.socket) -> None:
    """Run the server."""
    gevent.server.StreamServer(gevent.socket.socket(fileno=listener.detach()), echo).serve_forever()


def echo(connection: gevent.socket.socket, _: object) -> None:
    """Send back what comes until the client has finished, or is gone."""
    with suppress(OSError):
        while data := connection.recv(RECV_SIZE):
            connection.sendall(data)
