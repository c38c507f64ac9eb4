"""What every server that can run here promises, on real sockets. The long list of cases is `python -m bench check`."""

from __future__ import annotations

import os
import re
import signal
from contextlib import ExitStack

import pytest
from helpers.servers import launch

from servers._catalog import entries

pytestmark = pytest.mark.traced

RUNNABLE = [entry.name for entry in entries().values() if entry.reason is None]
NEVER_CLOSES = {  # rloop, 0.2 to 0.5, says that a connection is lost but leaves its descriptor open
    "rloop-streams",
    "rloop-protocol",
    "rloop-buffered",
}


@pytest.fixture(params=RUNNABLE, scope="module")
def server(request):
    """Each server in turn, started once for all tests of this file."""
    with ExitStack() as stack:
        yield launch(stack, request.param, "--port", "0")


def test_it_says_once_where_it_listens(server):
    assert re.fullmatch(r"READY 127\.0\.0\.1 [0-9]+\n", server.ready_line)


def test_it_echoes_what_a_person_types_with_nc(server):
    with server.connect() as client:
        assert client.exchange(b"hello\n") == b"hello\n"
        assert client.exchange(b"\0\xff\r\n") == b"\0\xff\r\n"


def test_it_outlives_a_reset(server):
    client = server.connect()
    client.sendall(bytes(100_000))
    client.reset()
    with server.connect() as client:
        assert client.exchange(b"still there?") == b"still there?"


def test_it_gives_every_byte_back_before_its_end_of_file(server, request):
    message = os.urandom(1_000_000)
    with server.connect() as client:
        if request.node.callspec.params["server"] in NEVER_CLOSES:
            request.applymarker(pytest.mark.xfail(raises=TimeoutError))
            client.settimeout(1)
        assert client.finish(message) == message


def test_sigterm_ends_it_and_it_had_nothing_to_say(server, request):
    status, out, err = server.stop()
    assert (status, out) == (-signal.SIGTERM, "")
    if request.node.callspec.params["server"] not in NEVER_CLOSES:  # rloop reports a reset as a RuntimeError, too
        assert err == ""


@pytest.mark.parametrize("name", ["threads", "thread-pool", "coroutines", "asyncio-streams"])
def test_ctrl_c_ends_it_without_a_word(start, name):
    server = start(name)
    with server.connect() as client:
        assert client.exchange(b"hello") == b"hello"
        server.process.send_signal(signal.SIGINT)
        assert server.process.wait(5) == -signal.SIGINT
    assert server.process.stderr.read() == ""
