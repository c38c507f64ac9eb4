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
    # no port, no host, nothing
    ("127.0.0.1", "is not understood: write HOST:PORT"),
    (":5433", "is not understood"),
    ("", "is not understood"),
    ("[]:5433", "is not understood"),
    # ports that cannot be
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
