"""Refuses connections while 64 stand: it stops listening until one of them has gone."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

from _models import RECV_SIZE

AT_ONCE = 64

places = threading.Semaphore(AT_ONCE)


def serve(listener: socket.socket) -> None:
    """Listen while there is a place, and do not while there is none."""
    address = listener.getsockname()
    while True:
        places.acquire()
        connection, _ = listener.accept()
        is_full = not places.acquire(blocking=False)
        if is_full:
            listener.close()  # before the last client is answered, so that whoever comes after it is refused
        threading.Thread(target=echo, args=(connection,), daemon=True).start()
        if is_full:
            places.acquire()
            listener = socket.create_server(address, family=listener.family)
        places.release()


def echo(connection: socket.socket) -> None:
    """Send back what came."""
    with connection, suppress(OSError):
        while data := connection.recv(RECV_SIZE):
            connection.sendall(data)
    places.release()
