"""An article's later step: a generator for each connection, over `select`, and no thought of errors."""

from __future__ import annotations

import select
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import socket

tasks: deque = deque()
waiting: dict[str, dict] = {"recv": {}, "send": {}}


def serve(listener: socket.socket) -> None:
    """Run generators until one raises anything but StopIteration, such as ConnectionResetError: that is the end."""
    tasks.append(accept(listener))
    while True:
        while not tasks:
            readable, writable, _ = select.select(waiting["recv"], waiting["send"], [])
            tasks.extend(waiting["recv"].pop(sock) for sock in readable)
            tasks.extend(waiting["send"].pop(sock) for sock in writable)
        task = tasks.popleft()
        try:
            why, sock = next(task)
        except StopIteration:
            continue
        waiting[why][sock] = task


def accept(listener):
    """Give every connection a generator of its own."""
    while True:
        yield "recv", listener
        connection, _ = listener.accept()
        tasks.append(echo(connection))


def echo(connection):
    """Send back what comes until the client has finished."""
    while True:
        yield "recv", connection
        data = connection.recv(10_000)
        if not data:
            break
        while data:
            yield "send", connection
            data = data[connection.send(data) :]
    connection.close()
