"""A closed loop on one connection, `python FILE PORT`: the next request is sent when the last reply is in."""

from __future__ import annotations

import socket
import sys
import time

PAUSE_S = 0.001  # between a reply and the next request
MESSAGE = bytes(64)


def load(connection: socket.socket, seconds: float) -> list[float]:
    """Return the response times in s, each counted from when the request was sent."""
    times: list[float] = []
    end = time.monotonic() + seconds
    while (sent := time.monotonic()) < end:
        ask(connection)
        times.append(time.monotonic() - sent)
        time.sleep(PAUSE_S)
    return times


def ask(connection: socket.socket) -> None:
    """Send one message, and wait for all of its echo."""
    connection.sendall(MESSAGE)
    missing = len(MESSAGE)
    while missing:
        missing -= len(connection.recv(missing)) or sys.exit("the server has closed the connection")


if __name__ == "__main__":
    with socket.create_connection(("127.0.0.1", int(sys.argv[1]))) as ours:
        found = sorted(load(ours, seconds=3))
    print(f"{len(found)} requests, p99 {found[len(found) * 99 // 100] * 1000:.1f} ms")
