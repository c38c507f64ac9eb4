"""A task for each connection, on curio."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

import curio
import curio.io

from servers import RECV_SIZE

if TYPE_CHECKING:
    import socket

LIBRARY = "curio"
PYTHON_BELOW = (3, 12)  # curio 1.6, its last release, fails there as it is imported


def serve(listener: socket.socket) -> None:
    """Run the server."""
    curio.run(main, curio.io.Socket(listener))


async def main(listener: curio.io.Socket) -> None:
    """Give each connection a task of its own, for ever."""
    while True:
        connection, _ = await listener.accept()
        await curio.spawn(echo, connection, daemon=True)


async def echo(connection: curio.io.Socket) -> None:
    """Send back what comes until the client has finished, or is gone."""
    async with connection:
        with suppress(OSError):
            while data := await connection.recv(RECV_SIZE):
                await connection.sendall(data)
