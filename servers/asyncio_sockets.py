"""asyncio's bare sockets: a coroutine for each connection, over loop.sock_recv and loop.sock_sendall."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from servers import RECV_SIZE

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable


def serve(listener: socket.socket, new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop) -> None:
    """Run the server on a loop of the given make."""
    new_loop().run_until_complete(main(listener))


async def main(listener: socket.socket) -> None:
    """Give each connection a task of its own, for ever."""
    loop, tasks = asyncio.get_running_loop(), set()
    listener.setblocking(False)
    while True:
        connection, _ = await loop.sock_accept(listener)
        task = loop.create_task(echo(loop, connection))
        tasks.add(task)  # the loop itself holds its tasks weakly
        task.add_done_callback(tasks.discard)


async def echo(loop: asyncio.AbstractEventLoop, connection: socket.socket) -> None:
    """Send back what comes until the client has finished, or is gone."""
    try:
        while data := await loop.sock_recv(connection, RECV_SIZE):
            await loop.sock_sendall(connection, data)
    except OSError:
        pass  # a reset is the end of this client, not of the server
    finally:
        connection.close()
