"""asyncio's protocols, with a loop of fixed work before each reply: a server of a known extra cost.

The number at the end of the file's name is the rounds of that loop. So a copy under another name is a dearer server,
and two copies differ in nothing else. The work is fixed, not its time: where the machine is slow, the loop is slow too.
"""

from __future__ import annotations

import asyncio
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING

from servers import BACKLOG, asyncio_protocol

if TYPE_CHECKING:
    import socket

ROUNDS = int(Path(__file__).stem.rpartition("_")[2])
"""`repeat` makes each round cost the same. Those of a `range` cost more from 257 on, where integers are made anew."""


class DearerEcho(asyncio_protocol.Echo):
    """One connection."""

    def data_received(self, data: bytes) -> None:
        """Do the work, and send back what came."""
        for _ in repeat(None, ROUNDS):
            pass
        self.transport.write(data)


def serve(listener: socket.socket) -> None:
    """Run the server on asyncio's own loop."""
    asyncio.run(main(listener))


async def main(listener: socket.socket) -> None:
    """Give each connection its own `DearerEcho`, for ever."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(DearerEcho, sock=listener, backlog=BACKLOG, start_serving=False)
    await server.serve_forever()
