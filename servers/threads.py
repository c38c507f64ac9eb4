"""A thread for each connection: the calls block, and the kernel decides which thread runs."""

from __future__ import annotations

import sys
import threading
from contextlib import suppress
from typing import TYPE_CHECKING

from servers import RECV_SIZE, SWITCH_INTERVAL_S

if TYPE_CHECKING:
    import socket

STACK_SIZE = 256 * 1024  # the default of 8 MiB is address space that 10,000 threads may not get


def serve(listener: socket.socket) -> None:
    """Accept, and leave the client to a thread of its own."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    threading.stack_size(STACK_SIZE)
    while True:
        connection, _ = listener.accept()
        try:
            threading.Thread(target=echo, args=(connection,), daemon=True).start()
        except RuntimeError:  # the system gives no more threads
            connection.close()


def echo(connection: socket.socket) -> None:
    """Send back what comes until the client has finished, or is gone."""
    with connection, suppress(OSError):
        while data := connection.recv(RECV_SIZE):
            connection.sendall(data)
