"""How both ends of a line notice that the other machine is gone. Light, because agents start with it."""

from __future__ import annotations

import socket

KEEP_ALIVE_S = 1
KEEP_ALIVE_MISSED = 3
KEEP_ALIVE_NS = KEEP_ALIVE_S * 1_000_000_000
SILENCE_NS = KEEP_ALIVE_MISSED * KEEP_ALIVE_NS
"""An agent that leaves a question unanswered for so long is lost."""


def keep_alive(sock: socket.socket) -> None:
    """Have the kernel notice that the other machine is gone, in a few seconds, without a word of ours."""
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for option, value in (("KEEPIDLE", KEEP_ALIVE_S), ("KEEPINTVL", KEEP_ALIVE_S), ("KEEPCNT", KEEP_ALIVE_MISSED)):
        if hasattr(socket, f"TCP_{option}"):
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, f"TCP_{option}"), value)
