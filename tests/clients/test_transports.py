"""Every way to reach a server: IPv4, IPv6, UNIX sockets, TLS; messages larger than any buffer; servers not ours."""

from __future__ import annotations

import shutil
import socket
import ssl
import subprocess
import threading
from contextlib import suppress

import pytest
from helpers import generator
from helpers.answering import answering, echo
from helpers.forked import clients, load

MIB = 2**20
PATIENT = ("--timeout", "20s")


def right(run):
    """Assert that there were right replies and nothing but them."""
    assert (run["errors"], run.status) == ({}, 0)
    assert run["replies"] > 0


# ---- large messages


@pytest.mark.timing
@pytest.mark.parametrize("load_model", [("-c", 2), ("-c", 1, "--pipeline", 2), ("-c", 2, "--rate", 20)])
def test_16_mib_go_both_ways_at_once(echo_server, load_model):
    run = load(echo_server.address, "-s", "16MiB", "-d", "0.6s", *PATIENT, *load_model)
    assert set(run["errors"]) <= {"unsent"}
    assert run["replies"] > 0


def test_16_mib_pass_a_server_that_sends_before_it_receives():
    """It holds at most 64 KiB: whoever sends all before receiving waits for ever."""

    def small_buffers(connection):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65_536)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65_536)
        while data := connection.recv(65_536):
            connection.sendall(data)

    with answering(small_buffers) as address:
        run = load(address, "-c", 1, "-s", "16MiB", "-d", "0.8s", *PATIENT)
    assert run["errors"] == {}
    assert run["sent"] >= 1


def test_messages_of_drawn_sizes(echo_server):
    right(load(echo_server.address, "-c", 4, "-s", "1:5,64KiB:1,1MiB:1", "--pipeline", 3, "-d", "0.4s"))


@pytest.mark.parametrize("size", [1, 7, 8, 65_536, 65_537])
def test_sizes_around_the_edges_of_stamps_and_buffers(echo_server, size):
    right(load(echo_server.address, "-c", 2, "-s", size, "-d", "0.15s"))


def test_replies_in_crumbs_are_put_together():
    def crumbles(connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := connection.recv(65_536):
            for at in range(0, len(data), 7):
                connection.sendall(data[at : at + 7])

    with answering(crumbles) as address:
        for load_model in ((), ("--pipeline", 5), ("--rate", 100)):
            right(load(address, "-c", 2, "-s", 100, "-d", "0.15s", *load_model))


# ---- addresses


def test_ipv6():
    try:
        listener = socket.create_server(("::1", 0), family=socket.AF_INET6)
    except OSError as error:
        pytest.skip(f"no IPv6 here: {error}")
    with answering(echo, listener) as address:
        assert address.startswith("[::1]:")
        right(load(address, "-c", 3, "-d", "0.2s"))


def test_unix_sockets(tmp_path):
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(tmp_path / "echo.sock"))
    listener.listen()
    with answering(echo, listener) as address:
        right(load(address, "-c", 3, "-d", "0.2s"))
        right(load(address, "-c", 2, "-s", "4MiB", "-d", "0.3s"))


def test_a_unix_socket_whose_queue_is_full_is_tried_again(tmp_path):
    """It cannot be waited for as a TCP connection can."""
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "echo.sock"))
        listener.listen(0)
        full = [socket.socket(socket.AF_UNIX) for _ in range(8)]
        for sock in full:
            sock.setblocking(False)
            sock.connect_ex(listener.getsockname())
        run = load(f"unix:{listener.getsockname()}", "-c", 2, "-d", "0.1s", "--timeout", "0.2s")
        for sock in full:
            sock.close()
    assert set(run["errors"]) == {"refused"}
    assert run["connections_established"] == 0


@pytest.mark.parametrize("workers", [1, 2])
def test_a_name_is_resolved_and_the_result_says_to_what(workers):
    with answering(echo) as address:
        name = address.replace("127.0.0.1", "localhost")
        run = clients(name, "-c", 2, "-d", "0.1s", "--warmup", "0s", "--json", "--workers", workers)
    right(run)
    assert run["address"] == address


@pytest.mark.parametrize("workers", [1, 2])
def test_a_name_whose_first_address_does_not_answer(tmp_path, workers):
    """The stand-in for a resolver gives a second address, to the parent and to its workers."""
    (tmp_path / "sitecustomize.py").write_text(
        "import socket\n"
        "resolve = socket.getaddrinfo\n"
        "def both(host, port, **options):\n"
        "    names = ('127.0.0.3', '127.0.0.1') if host == 'two.invalid' else (host,)\n"
        "    return [row for name in names for row in resolve(name, port, **options)]\n"
        "socket.getaddrinfo = both\n"
    )
    with answering(echo) as address:
        port = address.rpartition(":")[2]
        given = (f"two.invalid:{port}", "-c", 2, "-d", "0.1s", "--warmup", "0s", "--workers", workers)
        run = generator.clients(*given, "--json", beside=tmp_path)
        right(run)
        assert run["address"] == address
        assert run.err == f"clients: 127.0.0.3:{port} does not answer: using {address} for two.invalid:{port}\n"
        assert (
            f"two.invalid:{port} at {address}: 2 connections (2 stood)"
            in generator.clients(*given, beside=tmp_path).out
        )
    run = generator.clients(*given, "--json", beside=tmp_path)
    assert (set(run["errors"]), run["address"], run.err) == ({"refused"}, f"127.0.0.3:{port}", "")


# ---- TLS


@pytest.fixture
def over_tls(tls_certificate):
    """Return a handler that echoes over TLS."""
    key, cert = tls_certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    def handler(connection):
        with suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True) as secure:
            echo(secure)

    return handler


@pytest.mark.parametrize("load_model", [(), ("--rate", 300), ("-s", "1MiB", "-c", 1), ("--requests-per-connection", 5)])
def test_tls_with_an_authority_of_ones_own(over_tls, tls_certificate, load_model):
    with answering(over_tls) as address:
        run = load(address, "--tls", "--cafile", tls_certificate[1], "-c", 2, "-d", "0.25s", *load_model)
    assert set(run["errors"]) <= {"unsent"}
    assert run["replies"] > 0
    assert run["connect_mean_ns"] > 0


def test_insecure_tls_works_and_warns(over_tls):
    with answering(over_tls) as address:
        run = clients(address, "--tls", "--insecure", "-c", 2, "-d", "0.2s", "--warmup", "0s", "--json")
    right(run)
    assert run.err == "clients: warning: --insecure trusts any certificate\n"


def test_an_untrusted_certificate_is_wrong_use(over_tls):
    with answering(over_tls) as address:
        run = clients(address, "--tls", "-c", 2, "-d", "5s")
    assert (run.status, run.out) == (2, "")
    assert run.err.startswith(f"clients: the certificate of {address} is not trusted (")
    assert run.err.endswith("give --cafile or --insecure\n")


def test_a_certificate_for_another_name_is_wrong_use(over_tls, tls_certificate):
    with answering(over_tls) as address:
        other = address.replace("127.0.0.1", "127.0.0.2")
        listener_is_reached = clients(address, "--tls", "--cafile", tls_certificate[1], "-d", "0.2s", "--warmup", "0s")
        assert listener_is_reached.status == 0
    with answering(over_tls, socket.create_server(("127.0.0.2", 0))) as other:
        run = clients(other, "--tls", "--cafile", tls_certificate[1], "-d", "5s")
    assert run.status == 2
    assert "is not trusted" in run.err


@pytest.mark.parametrize("server", ["echoes", "is silent", "hangs up"])
def test_tls_against_a_plain_server_is_wrong_use(server):
    def is_silent(connection):
        while connection.recv(65_536):
            pass

    handler = {"echoes": echo, "is silent": is_silent, "hangs up": lambda connection: None}[server]
    with answering(handler) as address:
        run = clients(address, "--tls", "--insecure", "-c", 2, "-d", "5s", "--timeout", "0.5s")
    assert (run.status, run.out) == (2, "")
    assert f"{address} does not answer in TLS: leave --tls out" in run.err


def test_tls_where_nobody_listens_is_refused_and_no_wrong_use():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        run = load(f"127.0.0.1:{bound.getsockname()[1]}", "--tls", "-c", 1, "-d", "0.1s")
    assert (set(run["errors"]), run.status) == ({"refused"}, 4)


@pytest.mark.parametrize(
    "load_model",
    [
        (),
        ("--warmup", "0s"),
        ("--rate", 300),
        ("--workers", 2),
        ("-s", 1, "--timeout", "0.1s"),
        ("--samples",),
    ],
)
def test_a_plain_load_of_a_tls_server_is_wrong_use(over_tls, tmp_path, load_model):
    samples = (tmp_path / "samples.parquet",) if "--samples" in load_model else ()
    with answering(over_tls) as address:
        run = clients(address, "-c", 2, "-d", "0.2s", "--warmup", "0.1s", "--json", *load_model, *samples)
    assert (run.status, run.out) == (2, "")
    assert run.err == f"clients: {address} answers in TLS only: give --tls\n"


@pytest.mark.parametrize("server", ["hangs up", "is silent", "answers TLS with itself"])
def test_a_server_silent_to_a_plain_load_need_not_speak_tls(server):
    def handler(connection):
        data = connection.recv(65_536)
        if server == "answers TLS with itself" and data.startswith(b"\x16\x03"):
            connection.sendall(data)
        while server == "is silent" and connection.recv(65_536):
            pass

    with answering(handler) as address:
        run = load(address, "-c", 2, "-d", "0.4s", "--timeout", "0.1s")
    assert run.status == 4
    assert set(run["errors"]) <= {"timeout", "closed_early", "reset"}
    assert run["window_s"] == pytest.approx(0.4, abs=0.2)


def test_a_plain_load_makes_no_connection_but_its_own():
    seen = []

    def counts(connection):
        seen.append(connection)
        echo(connection)

    with answering(counts) as address:
        right(load(address, "-c", 3, "-d", "0.2s"))
    assert len(seen) == 3


# ---- a server that this project did not write


def test_socat():
    if (socat := shutil.which("socat")) is None:
        pytest.skip("no socat here")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [socat, f"TCP-LISTEN:{port},bind=127.0.0.1,fork,reuseaddr,backlog=64", "EXEC:cat"]
    with subprocess.Popen(command, start_new_session=True) as process:
        try:
            listens = threading.Event()
            while not listens.wait(0.01) and process.poll() is None:
                with socket.socket() as sock:
                    if sock.connect_ex(("127.0.0.1", port)) == 0:
                        listens.set()
            right(load(f"127.0.0.1:{port}", "-c", 4, "-d", "0.3s"))
            right(load(f"127.0.0.1:{port}", "-c", 2, "-s", "1MiB", "-d", "0.3s", *PATIENT))
        finally:
            import os
            import signal

            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
