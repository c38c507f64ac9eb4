"""A task for each connection, in a nursery of trio."""

from __future__ import annotations

import socket

import trio

from servers import RECV_SIZE

LIBRARY = "trio"


def serve(listener: socket.socket) -> None:
    """Run the server. trio takes only sockets of the plain class."""
    trio.run(main, socket.socket(fileno=listener.detach()))


async def main(listener: socket.socket) -> None:
    """Hand each connection to `echo`, for ever."""
    await trio.serve_listeners(echo, [trio.SocketListener(trio.socket.from_stdlib_socket(listener))])


async def echo(stream: trio.SocketStream) -> None:
    """Send back what comes until the client has finished, or is gone."""
    try:
        while data := await stream.receive_some(RECV_SIZE):
            await stream.send_all(data)
    except trio.BrokenResourceError:
        pass  # a reset is the end of this client, not of the server
