"""asyncio's buffered protocols: callbacks for each connection, which bring data in a buffer of ours."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from servers import BACKLOG, RECV_SIZE

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

BUFFER = memoryview(bytearray(RECV_SIZE))  # one for all: it is emptied before the loop turns to another connection


class Echo(asyncio.BufferedProtocol):
    """One connection."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where to write."""
        self.transport = cast("asyncio.Transport", transport)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002 - the size is the same for every server
        """Lend the buffer."""
        return BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        """Send back what came: a copy, because the transport may keep what it is given for a while."""
        self.transport.write(bytes(BUFFER[:nbytes]))

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
