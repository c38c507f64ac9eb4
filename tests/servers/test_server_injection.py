"""A server slowed by a known amount costs that amount."""

from __future__ import annotations

import time

import psutil
import pytest

pytestmark = pytest.mark.traced

READS = 40


@pytest.mark.parametrize("name", ["threads", "coroutines", "generators", "asyncio-protocol", "asyncio-buffered"])
def test_every_read_burns_what_was_asked_for(start, name):
    def cpu_s(*options):
        server = start(name, *options)
        with server.connect() as client:
            before = psutil.Process(server.pid).cpu_times()
            for _ in range(READS):
                client.exchange(b"x")
            after = psutil.Process(server.pid).cpu_times()
        return after.user + after.system - before.user - before.system

    tick_s = 0.01  # what the kernel counts in, user and system time each
    assert cpu_s("--burn-us", "5000") > READS * 0.005 - 2 * tick_s
    assert cpu_s() < READS * 0.005 / 2


def test_every_k_th_read_sleeps(start):
    server = start("coroutines", "--delay-us", "50000", "--delay-every", "10")
    with server.connect() as client:
        slow = [number for number in range(1, READS + 1) if takes_s(client) >= 0.05]
    assert set(slow) >= {10, 20, 30, 40}
    assert len(slow) < READS


def takes_s(client):
    start_s = time.monotonic()
    client.exchange(b"x")
    return time.monotonic() - start_s


def test_an_injected_server_still_tells_the_truth(start):
    server = start("coroutines", "--burn-us", "10", "--delay-us", "10", "--delay-every", "3")
    message = bytes(range(256)) * 4096
    with server.connect() as client:
        assert client.finish(message) == message
