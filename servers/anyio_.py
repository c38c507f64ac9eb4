"""A task for each connection, on anyio over asyncio."""

from __future__ import annotations

from typing import TYPE_CHECKING

import anyio
from anyio.abc import SocketListener, SocketStream

from servers import RECV_SIZE

if TYPE_CHECKING:
    import socket

LIBRARY = "anyio"


def serve(listener: socket.socket) -> None:
    """Run the server."""
    anyio.run(main, listener)


async def main(listener: socket.socket) -> None:
    """Hand each connection to `echo`, for ever."""
    server = await SocketListener.from_socket(listener)
    await server.serve(echo)


async def echo(stream: SocketStream) -> None:
    """Send back what comes until the client has finished, or is gone."""
    async with stream:
        try:
            while True:
                await stream.send(await stream.receive(RECV_SIZE))
        except anyio.EndOfStream:
            pass  # the client has finished
        except anyio.BrokenResourceError:
            pass  # a reset is the end of this client, not of the server
