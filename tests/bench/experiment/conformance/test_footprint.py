"""What a server holds: counted as it is at rest, and waited for until it is given back."""

from __future__ import annotations

import subprocess
import sys

import psutil
import pytest

from bench.experiment.conformance import footprint
from bench.experiment.conformance.case import BrokenError
from bench.experiment.conformance.footprint import Footprint, measure, wait_released, wait_until
from bench.experiment.conformance.wire import Deadline

ACCEPTS = """
import os, socket
listener = socket.create_server(("127.0.0.1", 0))
print(len(os.listdir("/proc/self/fd")) - 1, flush=True)  # one of them is the listing's own
listener.accept()
"""


def held(descriptors):
    return Footprint(rss_bytes=0, descriptors=descriptors, processes=1, cpu_s=0.0)


@pytest.fixture
def counts(monkeypatch):
    """Let each reading of the server's process give the next of these numbers of descriptors, and the last for ever."""

    def given(*numbers):
        left = list(numbers)
        monkeypatch.setattr(footprint, "measure", lambda _pid: held(left.pop(0) if len(left) > 1 else left[0]))
        return left

    return given


@pytest.mark.skipif(sys.platform != "linux", reason="it is Linux that reserves one")
def test_the_descriptor_that_a_blocked_accept_reserves_is_not_counted():
    """Else a server that was not waiting when it was measured first would seem to hold one more ever after."""
    with subprocess.Popen([sys.executable, "-c", ACCEPTS], stdout=subprocess.PIPE, text=True) as server:
        try:
            open_ones = int(server.stdout.readline())
            status = psutil.Process(server.pid).status
            assert wait_until(lambda: status() == psutil.STATUS_SLEEPING, within_s=10)
            assert measure(server.pid).descriptors == open_ones
        finally:
            server.kill()


def test_footprint_waits_for_what_is_given_back_late(counts):
    left = counts(9, 9, 9, 5)
    assert wait_released(1, held(5), deadline=Deadline(60), within_s=30).descriptors == 5
    assert left == [5]


def test_footprint_says_what_is_not_given_back_after_which_time(counts):
    counts(6)
    with pytest.raises(BrokenError, match=r"^1 descriptors more than before are still held 0\.05 s after the clients"):
        wait_released(1, held(5), deadline=Deadline(60), within_s=0.05)
    with pytest.raises(BrokenError, match=r"are still held 0\.(1|0\d+) s after"):
        wait_released(1, held(5), deadline=Deadline(0.1), within_s=30)
