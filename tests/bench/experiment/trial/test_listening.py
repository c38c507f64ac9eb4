"""A server is ready where it listens, and a stranger's listener is not the server."""

from __future__ import annotations

import os
import socket
import sys
from ipaddress import ip_address

import pytest

from bench.errors import ServerError
from bench.experiment.model import Server
from bench.experiment.trial import listening, sock_diag
from bench.experiment.trial.listening import ELSEWHERE_S, Listening, listeners
from bench.experiment.trial.process import free_port, launch

SERVE = "import socket, sys, time; s = socket.create_server({address}, family=socket.{family}); time.sleep(600)"
ON_IPV6 = SERVE.format(address="('::1', int(sys.argv[1]))", family="AF_INET6")
NEVER = "import time; time.sleep(600)"


def python(code, **fields):
    return Server(name="mine", command=(sys.executable, "-c", code, "{port}"), ready="port", **fields)


def stranger(host, port):
    """Return a listener that no server of the test holds."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    return socket.create_server((host, port), family=family)


def test_a_server_on_another_address_is_loaded_there(tmp_path):
    with launch(python(ON_IPV6), log=tmp_path / "log") as running:
        assert running.address == f"[::1]:{running.port}"
        socket.create_connection((running.host, running.port), timeout=5).close()


def test_a_strangers_listener_on_another_address_is_not_ready(tmp_path):
    port = free_port("127.0.0.1")
    server = python(NEVER, port=port, ready_timeout_s=0.4)
    with (
        stranger("::1", port),
        pytest.raises(ServerError, match="did not listen on the port it was given within"),
        launch(server, log=tmp_path / "log"),
    ):
        pass


@pytest.mark.parametrize(
    ("host", "asked", "expected"),
    [
        ("127.0.0.1", "127.0.0.1", "127.0.0.1"),
        ("127.0.0.1", "localhost", "localhost"),
        ("0.0.0.0", "127.0.0.1", "127.0.0.1"),
        ("::", "::1", "::1"),
        ("::", "127.0.0.1", "::1"),  # create_server makes it one of IPv6 alone
        ("0.0.0.0", "::1", "127.0.0.1"),
        ("127.0.0.2", "127.0.0.1", "127.0.0.2"),
        ("::1", "127.0.0.1", "::1"),
    ],
)
def test_a_listener_of_ours_is_where_it_can_be_reached(host, asked, expected):
    now_s = 0.0
    with stranger(host, 0) as listener:
        look = Listening(asked, listener.getsockname()[1], os.getpid(), clock=lambda: now_s)
        if expected != asked:
            assert look.at() is None  # it may yet listen where it was told
        now_s = ELSEWHERE_S
        assert look.at() == expected


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells whether a listener takes IPv6 alone")
@pytest.mark.parametrize(("only", "expected"), [(1, "::1"), (0, "127.0.0.1")])
def test_a_listener_of_ipv6_alone_is_reached_by_ipv6(only, expected):
    """Both stand in the kernel's table as [::], and the table does not tell them apart."""
    now_s = 0.0
    with socket.socket(socket.AF_INET6) as listener, stranger("::1", 0):
        listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only)
        listener.bind(("::", 0))
        listener.listen()
        look = Listening("127.0.0.1", listener.getsockname()[1], os.getpid(), clock=lambda: now_s)
        look.at()
        now_s = ELSEWHERE_S
        assert look.at() == expected


def test_a_kernel_that_may_not_be_asked_tells_nothing(monkeypatch):
    def refuse(*_):
        raise PermissionError

    monkeypatch.setattr(socket, "socket", refuse)
    assert sock_diag.listening_sockets(80) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked over netlink")
def test_a_kernel_that_answers_with_an_error_tells_nothing(monkeypatch):
    monkeypatch.setattr(sock_diag, "_BY_FAMILY", 0x7777)
    assert sock_diag.listening_sockets(80) is None


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux is asked over netlink")
def test_only_the_listeners_on_the_port_are_told():
    with stranger("127.0.0.1", 0) as one, stranger("::1", 0) as other, socket.create_connection(one.getsockname()):
        for listener in (one, other):
            host, port = listener.getsockname()[:2]
            inode = str(os.fstat(listener.fileno()).st_ino)
            assert [found[:2] for found in sock_diag.listening_sockets(port)] == [(ip_address(host), inode)]
        assert sock_diag.listening_sockets(0) == []


def test_what_a_process_holds_is_its_own_without_a_look_at_others(monkeypatch):
    monkeypatch.setattr(listening, "descendants", None)
    with stranger("127.0.0.1", 0) as listener:
        assert not listening.is_served_by_others(listener.getsockname()[1], os.getpid())


@pytest.mark.parametrize(("host", "expected"), [("127.0.0.1", "127.0.0.1"), ("127.0.0.2", None), ("::1", None)])
def test_a_listener_of_nobody_known_counts_where_the_server_was_told(host, expected):
    """A server may run as another user, so that its sockets cannot be seen."""
    now_s = 0.0
    with stranger(host, 0) as listener:
        look = Listening("127.0.0.1", listener.getsockname()[1], pid=1 << 30, clock=lambda: now_s)
        look.at()
        now_s = ELSEWHERE_S
        assert look.at() == expected


@pytest.mark.parametrize("source", ["kernel", "tables", "processes"])
@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_listeners_are_found_with_and_without_the_kernels_help(monkeypatch, tmp_path, host, source):
    if source == "tables":
        monkeypatch.setattr(listening, "listening_sockets", lambda _port: None)
    elif source == "processes":
        monkeypatch.setattr(listening, "_TABLES", (tmp_path / "tcp",))
    with stranger(host, 0) as listener:
        port = listener.getsockname()[1]
        assert [one.address for one in listeners(port, os.getpid())] == [ip_address(host)]
        assert Listening(host, port, os.getpid()).at() == host
    assert list(listeners(port, os.getpid())) == []
