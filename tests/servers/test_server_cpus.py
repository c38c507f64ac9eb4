"""`--cpus`: a server is loaded wherever there is room, and stays on its CPUs from before it listens."""

from __future__ import annotations

import os
import sys
from concurrent.futures import ThreadPoolExecutor

import psutil
import pytest

from servers import __main__ as program
from servers._errors import ServerError

ALLOWED = os.sched_getaffinity(0) if sys.platform == "linux" else set()
pytestmark = pytest.mark.skipif(len(ALLOWED) < 2, reason="there are no two CPUs to choose from")


def test_a_server_is_loaded_anywhere_and_bound_before_it_listens(monkeypatch):
    seen = {}

    def load(_name):
        seen["loaded on"] = os.sched_getaffinity(0)
        return load_one("threads")

    def bind(*_arguments):
        seen["listens on"] = os.sched_getaffinity(0)
        raise ServerError("that was all")

    load_one = program.load
    monkeypatch.setattr(program, "load", load)
    monkeypatch.setattr(program, "bind", bind)
    monkeypatch.setattr(sys, "argv", ["servers", "threads", "--cpus", str(max(ALLOWED))])
    with ThreadPoolExecutor(1) as beside:  # a thread is bound, and not the one of the tests
        assert beside.submit(program.main).result() == 2
    assert seen == {"loaded on": ALLOWED, "listens on": {max(ALLOWED)}}


@pytest.mark.parametrize("name", ["threads", "processes"])
def test_threads_and_workers_of_a_server_stay_on_its_cpus(start, name):
    server = start(name, "--cpus", max(ALLOWED))
    with server.connect() as client:
        assert client.exchange(b"hello") == b"hello"
        family = [psutil.Process(server.pid), *psutil.Process(server.pid).children()]
        threads = [thread.id for process in family for thread in process.threads()]
        assert len(threads) > 1
        assert [os.sched_getaffinity(thread) for thread in threads] == [{max(ALLOWED)}] * len(threads)


def test_a_python_that_cannot_bind_itself_says_so(monkeypatch):
    monkeypatch.delattr(os, "sched_setaffinity")
    with pytest.raises(ServerError, match="--cpus needs Linux, and a Python that can bind itself"):
        program._stay_on({0})
