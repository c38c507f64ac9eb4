"""Addresses as people write them."""

from __future__ import annotations

import os
import socket

import pytest

from clients.target import TargetError, parse_target

GOOD = [
    # IPv4
    ("127.0.0.1:5433", socket.AF_INET, ("127.0.0.1", 5433)),
    # IPv6 in brackets
    ("[::1]:5433", socket.AF_INET6, ("::1", 5433, 0, 0)),
    # the last port
    ("127.0.0.1:65535", socket.AF_INET, ("127.0.0.1", 65535)),
    # a UNIX socket, with a colon in its path
    ("unix:/tmp/a:1", socket.AF_UNIX, "/tmp/a:1"),
]
BAD = [
    ("unix:@echo", "is a socket without a file, which cannot be measured"),
    # no port, no host, nothing
    ("127.0.0.1", "is not understood: write HOST:PORT"),
    (":5433", "is not understood"),
    ("", "is not understood"),
    ("[]:5433", "is not understood"),
    # ports that cannot be
    ("[::1]", "is not understood: write HOST:PORT, [IPV6]:PORT"),
    ("http://127.0.0.1:5433", "is not understood"),
    ("127.0.0.1:0", "is not understood"),
    ("127.0.0.1:65536", "is not understood"),
    ("127.0.0.1:-1", "is not understood"),
    ("127.0.0.1:http", "is not understood"),
    ("127.0.0.1:٣", "is not understood"),
    # IPv6 without brackets
    ("::1:5433", "in brackets, as in [::1]:5433"),
    ("fe80::1", "in brackets"),
    # names that do not resolve, or are no names
    ("no-such-host.invalid:5433", "host 'no-such-host.invalid' does not resolve"),
    ("a..b:5433", "host 'a..b' does not resolve"),
    (f"{'x' * 64}.example:1", "does not resolve"),
    # UNIX sockets without a path, or with one that the kernel does not take
    ("unix:", "with a path of 1 to 107 bytes"),
    (f"unix:/tmp/{'x' * 103}", "with a path of 1 to 107 bytes"),
]


@pytest.mark.parametrize(("text", "family", "address"), GOOD)
def test_addresses_are_read(text, family, address):
    target = parse_target(text)
    assert (target.text, target.family, target.address) == (text, family, address)
    assert target.is_tcp == (family != socket.AF_UNIX)
    assert target.tls is None


@pytest.mark.parametrize(("text", "says"), BAD)
def test_addresses_that_cannot_be_are_refused_in_a_sentence(text, says):
    with pytest.raises(TargetError) as caught:
        parse_target(text)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.fixture
def localhost(monkeypatch):
    """Return a function that lets every name stand for these IPv4 addresses, each at a port of its own."""

    def is_at(*addresses):
        rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)

    return is_at


@pytest.fixture
def listener():
    with socket.create_server(("127.0.0.1", 0)) as made:
        made.setblocking(False)
        yield made


@pytest.fixture
def refusing():
    """The address of a port that nobody listens on, and nobody else can."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()


def test_of_several_addresses_the_first_that_accepts_is_used(localhost, listener, refusing):
    localhost(refusing, refusing, listener.getsockname(), ("127.0.0.1", 1))
    target = parse_target("localhost:5433")
    assert (target.address, len(target.others)) == (refusing, 2)
    reached = target.reached(5.0)
    assert reached.address == listener.getsockname()
    assert (reached.text, reached.where) == ("localhost:5433", f"127.0.0.1:{listener.getsockname()[1]}")


def test_where_no_address_accepts_the_first_one_stays(localhost, refusing):
    localhost(refusing, ("127.0.0.1", 1))
    target = parse_target("localhost:5433")
    assert target.reached(5.0) == target


def test_an_address_without_another_is_not_tried(localhost, listener):
    localhost(listener.getsockname())
    target = parse_target("localhost:5433")
    assert target.reached(5.0) is target
    with pytest.raises(BlockingIOError):
        listener.accept()


def test_a_worker_goes_where_its_parent_does():
    target = parse_target("no-such-host.invalid:5433", via="127.0.0.1")
    assert (target.text, target.where, target.others) == ("no-such-host.invalid:5433", "127.0.0.1:5433", ())


@pytest.mark.parametrize("text", ["127.0.0.1:5433", "[::1]:5433", "unix:/tmp/a:1"])
def test_an_address_in_numbers_is_written_as_it_is_read(text):
    assert parse_target(text).where == text


def test_a_path_as_long_as_the_kernel_takes_is_accepted(tmp_path):
    path = f"{tmp_path}/{'x' * (107 - len(os.fsencode(tmp_path)) - 1)}"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        assert parse_target(f"unix:{path}").address == path


@pytest.mark.parametrize("options", [{}, {"insecure": True}])
def test_tls_checks_names_unless_told_not_to(options):
    target = parse_target("127.0.0.1:5433", tls=True, **options)
    assert target.tls.check_hostname == (not options)
    assert target.server_name == "127.0.0.1"


def test_a_certificate_file_that_cannot_be_read_is_refused(tmp_path):
    for path in (tmp_path / "missing.pem", tmp_path):
        with pytest.raises(TargetError, match="cannot be read"):
            parse_target("127.0.0.1:5433", tls=True, cafile=str(path))


def test_sockets_do_not_block_and_send_at_once():
    with parse_target("127.0.0.1:5433").open() as sock:
        assert not sock.getblocking()
        assert sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
