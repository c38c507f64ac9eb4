"""Hangs up at the client's end of file with replies still to be sent."""

from __future__ import annotations

import select
import socket

from _models import RECV_SIZE, in_threads

SEND_BUFFER_BYTES = 64 * 1024  # small, so that it soon has something that is still to be sent
OUTBOX_MAX_BYTES = 2 * 1024 * 1024


def echo(connection: socket.socket) -> None:
    """Receive first, send when there is nothing to receive, or too much to send."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)
    connection.setblocking(False)
    outbox = bytearray()
    while True:
        readers = [connection] if len(outbox) < OUTBOX_MAX_BYTES else []
        readable, writable, _ = select.select(readers, [connection] if outbox else [], [])
        if readable:
            data = connection.recv(RECV_SIZE)
            if not data:
                return
            outbox += data
        elif writable:
            del outbox[: connection.send(outbox)]


serve = in_threads(echo)
