"""The workers of `processes` end with their parent, whatever ended it."""

from __future__ import annotations

import os
import select
import signal
from contextlib import ExitStack

import psutil
import pytest


@pytest.fixture
def workers(start):
    """Return a server, and for each of its workers a descriptor that can be read once that worker has ended."""
    server = start("processes")
    with server.connect() as client:
        assert client.exchange(b"hello") == b"hello"
    with ExitStack() as stack:
        descriptors = {child.pid: os.pidfd_open(child.pid) for child in psutil.Process(server.pid).children()}
        for descriptor in descriptors.values():
            stack.callback(os.close, descriptor)
        yield server, descriptors


def all_ended(descriptors):
    """Wait until every worker has ended; say whether it came to that."""
    return all(select.select([descriptor], [], [], 5)[0] for descriptor in descriptors.values())


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGKILL])
def test_no_worker_outlives_its_parent(workers, signal_number):
    server, descriptors = workers
    assert len(descriptors) >= 2
    server.process.send_signal(signal_number)
    assert all_ended(descriptors)
    assert server.process.wait(5) == -signal_number


def test_the_parent_ends_when_a_worker_does(workers):
    server, descriptors = workers
    first = next(iter(descriptors))
    os.kill(first, signal.SIGKILL)
    assert server.process.wait(5) == 1
    assert f"worker {first} ended with wait status {signal.SIGKILL:d}" in server.process.stderr.read()
    assert all_ended(descriptors)
