"""The server of asyncio's streams, with work: each message costs 300 µs of CPU, and all other clients wait for it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from servers import BACKLOG, RECV_SIZE

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

WORK_NS = 300_000


def serve(listener: socket.socket, new_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop) -> None:
    """Run the server on a loop of the given make."""
    new_loop().run_until_complete(main(listener))


async def main(listener: socket.socket) -> None:
    """Hand each connection to `echo`, for ever."""
    server = await asyncio.start_server(echo, sock=listener, backlog=BACKLOG, start_serving=False)
    await server.serve_forever()


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send back what comes; `drain` waits while the client does not take it.

    asyncio's own transport would ask for 256 KiB at a time, and malloc may map a buffer of that size afresh for every
    message. It alone can be told to ask for less.
    """
    if hasattr(writer.transport, "max_size"):
        writer.transport.max_size = RECV_SIZE
    try:
        while data := await reader.read(RECV_SIZE):
            work()
            writer.write(data)
            await writer.drain()
    except OSError:
        pass  # a reset is the end of this client, not of the server
    finally:
        writer.close()


def work() -> None:
    """Use the CPU, as parsing, a template or a bit of cryptography would. No `await`: the loop stands still."""
    until = time.thread_time_ns() + WORK_NS
    while time.thread_time_ns() < until:
        pass
