"""An open loop on one connection, `python FILE PORT`: each request is due at its time, whatever became of the last."""

from __future__ import annotations

import socket
import sys
import time

PERIOD_S = 0.001  # from one due time to the next
MESSAGE = bytes(64)


def load(connection: socket.socket, seconds: float) -> list[float]:
    """Return the response times in s, each counted from when the request was due."""
    times: list[float] = []
    due = time.monotonic()
    end = due + seconds
    while (due := due + PERIOD_S) < end:
        time.sleep(max(0, due - time.monotonic()))  # not at all if the last reply was late
        ask(connection)
        times.append(time.monotonic() - due)
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
