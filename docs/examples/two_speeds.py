"""An asyncio server as most people write it: one line less than `asyncio-protocol`, and two speeds."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import socket


class Echo(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Send back what came."""
        self.transport.write(data)

    def pause_writing(self) -> None:
        """Read no more while the client does not take what it was sent."""
        self.transport.pause_reading()

    def resume_writing(self) -> None:
        """Read on: the client has caught up."""
        self.transport.resume_reading()


def serve(listener: socket.socket) -> None:
    """Run the server on asyncio's loop."""
    asyncio.run(main(listener))


async def main(listener: socket.socket) -> None:
    """Give each connection its own `Echo`, for ever."""
    server = await asyncio.get_running_loop().create_server(Echo, sock=listener, start_serving=False)
    await server.serve_forever()
