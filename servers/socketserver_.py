"""The standard library's socketserver, with a thread for each connection."""

from __future__ import annotations

import socketserver
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

from servers import RECV_SIZE, SWITCH_INTERVAL_S

if TYPE_CHECKING:
    import socket


class Echo(socketserver.BaseRequestHandler):
    """One connection."""

    request: socket.socket

    def handle(self) -> None:
        """Send back what comes until the client has finished, or is gone."""
        with suppress(OSError):
            while data := self.request.recv(RECV_SIZE):
                self.request.sendall(data)


class Server(socketserver.ThreadingTCPServer):
    """A threading server that is given its socket."""

    daemon_threads = True

    def __init__(self, listener: socket.socket) -> None:
        socketserver.BaseServer.__init__(self, listener.getsockname(), Echo)
        self.socket = listener


def serve(listener: socket.socket) -> None:
    """Run the server."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    Server(listener).serve_forever()
