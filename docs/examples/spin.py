"""An echo server that never waits: it asks every socket in turn, and again, for ever."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

RECV_SIZE = 64 * 1024


def serve(listener: socket.socket) -> None:
    """Ask the listener for a client, and each client for data, without ever waiting for an answer."""
    listener.setblocking(False)
    clients: list[Client] = []
    while True:
        with suppress(BlockingIOError):
            connection, _ = listener.accept()
            clients.append(Client(connection))
        clients = [client for client in clients if client.ask()]


class Client:
    """A connection, and what of its data the kernel has not taken back yet."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection, self.unsent = connection, b""

    def ask(self) -> bool:
        """Move bytes if any can be moved. Return False when the client has gone."""
        try:
            if not self.unsent:
                self.unsent = self.connection.recv(RECV_SIZE)
                if not self.unsent:
                    self.connection.close()
                    return False
            self.unsent = self.unsent[self.connection.send(self.unsent) :]
        except BlockingIOError:
            pass  # nothing has come, or nothing more can go: ask again in the next round
        except OSError:
            self.connection.close()
            return False
        return True
