"""A client that sends and does not read: the loops written here stop reading from it, and later send every byte."""

from __future__ import annotations

import os
import select

import pytest
from helpers.servers import rss_bytes

GROWTH_MAX_BYTES = 4 << 20
CHUNK = os.urandom(1 << 20)


@pytest.mark.parametrize("name", ["generators", "coroutines", "callbacks", "processes", "reference"])
def test_it_stops_reading_stays_small_serves_others_and_loses_nothing(start, name):
    server = start(name)
    with server.connect() as slow, server.connect() as other:
        assert slow.exchange(b"?") == b"?"
        before = rss_bytes(server.pid)
        sent = send_until_stuck(slow)
        assert rss_bytes(server.pid) - before < GROWTH_MAX_BYTES
        assert other.exchange(b"meanwhile") == b"meanwhile"
        slow.shutdown(1)
        expected = (CHUNK * (sent // len(CHUNK) + 1))[:sent]
        slow.settimeout(10)
        assert slow.rest() == expected


def send_until_stuck(client):
    """Send CHUNK over and over until the server takes no more; return how many bytes it was."""
    client.setblocking(False)
    sent = 0
    while select.select([], [client], [], 0.3)[1]:
        sent += client.send(CHUNK[sent % len(CHUNK) :])
    assert sent > len(CHUNK)
    return sent
