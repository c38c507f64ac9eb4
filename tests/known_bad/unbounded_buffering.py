"""Reads on while the client does not: what it owes is kept in memory, without a bound."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    import socket


class Echo(asyncio.Protocol):
    """An asyncio protocol that leaves out `pause_writing`, as most do."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Send back what came, some day."""
        self.transport.write(data)


def serve(listener: socket.socket) -> None:
    """Give every connection its own `Echo`."""
    asyncio.run(main(listener))


async def main(listener: socket.socket) -> None:
    """Serve for ever."""
    server = await asyncio.get_running_loop().create_server(Echo, sock=listener)
    await server.serve_forever()
