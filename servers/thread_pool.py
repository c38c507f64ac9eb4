"""A pool of threads: each serves one connection at a time, and more clients wait in the backlog."""

from __future__ import annotations

import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import TYPE_CHECKING

from servers import RECV_SIZE, SWITCH_INTERVAL_S

if TYPE_CHECKING:
    import socket

CONNECTIONS_MAX = 256


def serve(listener: socket.socket) -> None:
    """Accept only while a thread is free. A client that waited here would hold a descriptor and get no answer."""
    sys.setswitchinterval(SWITCH_INTERVAL_S)
    pool, free = ThreadPoolExecutor(CONNECTIONS_MAX), threading.Semaphore(CONNECTIONS_MAX)
    while True:
        free.acquire()
        connection, _ = listener.accept()
        pool.submit(echo, connection).add_done_callback(lambda _: free.release())


def echo(connection: socket.socket) -> None:
    """Send back what comes until the client has finished, or is gone."""
    with connection, suppress(OSError):
        while data := connection.recv(RECV_SIZE):
            connection.sendall(data)
