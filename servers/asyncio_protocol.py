"""asyncio's protocols: callbacks, without a coroutine or a queue in between."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from servers import BACKLOG

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

LOOPS = ("uvloop", "rloop")


class Echo(asyncio.Protocol):
    """One connection. The transport decides how much it reads at a time; protocols have no say in it."""

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


def serve(listener: socket.socket, new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop) -> None:
    """Run the server on a loop of the given make."""
    new_loop().run_until_complete(main(listener))


async def main(listener: socket.socket) -> None:
    """Give every connection its own `Echo`, for ever."""
    server = await asyncio.get_running_loop().create_server(Echo, sock=listener, backlog=BACKLOG, start_serving=False)
    await server.serve_forever()
