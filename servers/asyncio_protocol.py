"""asyncio's protocols: callbacks for each connection, without a coroutine."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from servers import BACKLOG, RECV_SIZE

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


class Echo(asyncio.Protocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write.

        asyncio's own transport would ask for 256 KiB at a time, and malloc may map a buffer of that size afresh for
        every message. It alone can be told to ask for less.
        """
        if hasattr(transport, "max_size"):
            transport.max_size = RECV_SIZE
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


def serve(listener: socket.socket, new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop) -> None:
    """Run the server on a loop of the given make."""
    new_loop().run_until_complete(main(listener))


async def main(listener: socket.socket) -> None:
    """Give each connection its own `Echo`, for ever."""
    server = await asyncio.get_running_loop().create_server(Echo, sock=listener, backlog=BACKLOG, start_serving=False)
    await server.serve_forever()
