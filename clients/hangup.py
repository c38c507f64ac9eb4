"""Ending one connection on the kernel, in order: the counterpart of `dial.py`. Nothing is counted or compared here.

A socket that is closed while replies are unread, or still come, resets its connection, and a simple server may not
survive a reset. So the replies under way are awaited first. Then the server is told that nothing more will come, and
the end of what it sends is awaited.
"""

from __future__ import annotations

import socket
import ssl
from contextlib import suppress
from typing import TYPE_CHECKING

from clients.inflight import RECEIVE_BYTES_MAX, WOULD_BLOCK
from clients.traps import ready, watch

if TYPE_CHECKING:
    from clients.inflight import InFlight


async def hang_up(sock: socket.socket, in_flight: InFlight) -> None:
    """Return when the server has closed the connection too, or cut it off. The caller limits the time, and closes."""
    await watch(sock.fileno())
    owed_bytes, is_told = in_flight.owed_bytes, False
    with suppress(OSError):  # the server cut it off: there is nothing left to end
        while True:
            if owed_bytes <= 0 and not is_told:
                _tell(sock)
                is_told = True
            await ready()
            if in_flight.unsent:
                in_flight.send_rest(sock)
            try:
                data = sock.recv(RECEIVE_BYTES_MAX)
            except WOULD_BLOCK:
                continue
            if not data:
                return
            owed_bytes -= len(data)


def _tell(sock: socket.socket) -> None:
    """Say that nothing more will be sent."""
    if isinstance(sock, ssl.SSLSocket):
        with suppress(ssl.SSLError):  # TLS's own notice has left; the server's is not there yet
            sock.unwrap()
    sock.shutdown(socket.SHUT_WR)
