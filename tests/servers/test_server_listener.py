"""The socket that every server gets: where it is bound, what it carries over, and a shortage of descriptors."""

from __future__ import annotations

import errno
import os
import re
import socket
import time

import pytest
from helpers.servers import run

from servers import _listener
from servers._errors import ServerError
from servers._listener import bind, ready_line

pytestmark = pytest.mark.traced

TIMEOUT_S = 10.0


@pytest.fixture
def listener():
    """Return a listener on the loopback."""
    with bind("127.0.0.1", 0) as listener:
        yield listener
        os.close(listener.spare)


def test_it_listens_on_ipv6(start):
    server = start("coroutines", "--host", "::1")
    assert re.fullmatch(r"READY ::1 [0-9]+\n", server.ready_line)
    with server.connect() as client:
        assert client.exchange(b"six") == b"six"


@pytest.mark.parametrize("name", ["threads", "coroutines", "asyncio-streams"])
def test_it_listens_on_a_unix_socket(start, tmp_path, name):
    server = start(name, "--host", f"unix:{tmp_path}/socket")
    assert server.ready_line == f"READY unix:{tmp_path}/socket 0\n"
    with server.connect() as client:
        assert client.finish(b"local") == b"local"


def test_a_unix_socket_left_behind_is_replaced(start, tmp_path):
    address = f"unix:{tmp_path}/socket"
    start("threads", "--host", address).stop()
    with start("threads", "--host", address).connect() as client:
        assert client.exchange(b"again") == b"again"


def test_a_unix_socket_in_use_is_left_alone(start, tmp_path):
    address = f"unix:{tmp_path}/socket"
    server = start("threads", "--host", address)
    ended = run("threads", "--host", address)
    assert (ended.returncode, "Address already in use" in ended.stderr) == (2, True)
    with server.connect() as client:
        assert client.exchange(b"mine") == b"mine"


def test_a_file_in_the_way_is_left_alone(tmp_path):
    path = tmp_path / "precious"
    path.write_text("data")
    with pytest.raises(ServerError, match="Address already in use"):
        bind(f"unix:{path}", 0)
    assert path.read_text() == "data"


def test_accepted_connections_inherit_nodelay(listener):
    with socket.create_connection(listener.getsockname()):
        connection, _ = listener.accept()
        with connection:
            assert connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
            assert type(connection) is socket.socket


def test_the_ready_line_names_the_port_that_was_free(listener):
    assert ready_line(listener) == f"READY 127.0.0.1 {listener.getsockname()[1]}"


@pytest.fixture
def faulty(monkeypatch):
    """Return a listener with one client waiting, and the list of errors that its next accepts meet."""
    faults = []
    accept = socket.socket.accept

    def failing(self):
        if faults:
            raise faults.pop(0)
        return accept(self)

    monkeypatch.setattr(socket.socket, "accept", failing)
    with bind("127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        yield listener, faults
        os.close(listener.spare)


def shortage(number=errno.EMFILE):
    return OSError(number, os.strerror(number))


def test_a_client_that_left_the_queue_is_passed_over(faulty):
    listener, faults = faulty
    faults += [ConnectionAbortedError()]
    listener.accept()[0].close()
    assert faults == []


def test_a_client_is_kept_if_a_descriptor_is_free_by_then(faulty):
    listener, faults = faulty
    faults += [shortage()]
    with listener.accept()[0] as connection:
        assert connection.fileno() >= 0
    assert faults == []
    os.fstat(listener.spare)


def test_a_non_blocking_accept_without_a_client_says_so_in_a_shortage(faulty):
    listener, faults = faulty
    listener.setblocking(False)
    faults += [shortage(), BlockingIOError(errno.EAGAIN, "nobody")]
    with pytest.raises(BlockingIOError):
        listener.accept()
    assert faults == []
    os.fstat(listener.spare)


def test_a_shortage_of_the_whole_system_is_waited_for(faulty, monkeypatch):
    listener, faults = faulty
    naps = []
    monkeypatch.setattr(_listener.time, "sleep", naps.append)
    faults += [shortage(errno.ENFILE), shortage(errno.ENFILE)]
    listener.accept()[0].close()
    assert naps == [_listener.RETRY_S]


def test_any_other_fault_is_the_server_s_own(faulty):
    listener, faults = faulty
    faults += [OSError(errno.EINVAL, "not listening")]
    with pytest.raises(OSError, match="not listening"):
        listener.accept()


@pytest.mark.parametrize("name", ["sequential", "threads", "generators", "coroutines", "callbacks", "asyncio-sockets"])
def test_a_client_without_a_descriptor_is_hung_up_on(start, name):
    server = start(name, prefix=("sh", "-c", 'ulimit -n 12; exec "$@"', "-"))
    clients = [server.connect() for _ in range(16)]
    try:
        if name == "sequential":
            assert clients[0].exchange(b"hello") == b"hello"
        else:
            served = [client for client in clients if answered(client)]
            assert 0 < len(served) < len(clients)
            assert all(client.exchange(b"hello") == b"hello" for client in served)
    finally:
        for client in clients:
            client.close()
    deadline_s = time.monotonic() + TIMEOUT_S
    while not next_is_served(server):  # it may be taken before those that left have given their descriptors back
        assert time.monotonic() < deadline_s


def next_is_served(server):
    """Say whether the server has a descriptor for one more client."""
    with server.connect() as client:
        return answered(client)


def answered(client):
    """Say whether the server talks to this client rather than to hang up."""
    try:
        return client.exchange(b"?") == b"?"
    except ConnectionError:
        return False
