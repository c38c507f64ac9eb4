"""How a load ends: what is under way is answered, connections are closed in order, and nobody is reset."""

from __future__ import annotations

import shutil
import socket
import ssl
import struct
import threading
import time

import pytest
from helpers.answering import answering
from helpers.checkout import CHECKOUT
from helpers.forked import clients, load
from helpers.generator import serving

from clients.hangup import hang_up
from clients.inflight import InFlight
from clients.recorder import Recorder
from clients.traps import join, sleep_until
from clients.workload import Workload

SIZE = 64

has_no_compiler = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler on the PATH")
LOADS = {
    "closed": (),
    "alone": ("-c", 1),
    "open": ("--rate", 3_000),
    "idle in the end": ("--rate", 20),
    "pipeline": ("--pipeline", 5),
    "think": ("--think", "5ms"),
    "churn": ("--requests-per-connection", 3),
    "drawn sizes": ("-s", "1..20000"),
    "large": ("-c", 2, "-s", "4MiB"),
    "workers": ("--workers", 2),
    "reference": ("--reference",),
    "reference, open": ("--reference", "--rate", 3_000),
    "reference, large": ("--reference", "-c", 2, "-s", "4MiB"),
}


def echoes(address):
    """Say whether a server still answers."""
    host, _, port = address.rpartition(":")
    with socket.create_connection((host, int(port)), timeout=5) as sock:
        sock.sendall(b"are you there?")
        return sock.recv(100) == b"are you there?"


@pytest.mark.parametrize("model", LOADS)
@pytest.mark.parametrize("server", ["clients/naive/generators.py", "known_bad/dies_on_reset.py"])
def test_a_server_that_dies_of_a_reset_survives_a_load(server, model):
    if "--reference" in LOADS[model] and shutil.which("cc") is None:
        pytest.skip("no C compiler on the PATH")
    with serving(CHECKOUT / "tests" / server) as served:
        run = load(served.address, "-c", 16, "-d", "0.2s", *LOADS[model])
        assert run["replies"] > 0
        assert set(run["errors"]) <= {"unsent"}
        assert echoes(served.address)
        assert served.process.poll() is None


@pytest.mark.parametrize("generator", [(), pytest.param(("--reference",), marks=has_no_compiler)])
def test_a_sequential_server_that_dies_of_a_reset_survives_a_load(generator):
    with serving(CHECKOUT / "tests" / "clients" / "naive" / "blocking.py") as served:
        for _ in range(3):
            assert load(served.address, "-c", 1, "-d", "0.1s", *generator)["replies"] > 0
        assert echoes(served.address)


@pytest.fixture
def ends():
    """How each connection of `watching` ended, as its server saw it."""
    return []


@pytest.fixture
def watching(ends):
    """A handler that echoes, after a moment, and notes the bytes of each connection, or that it was reset."""

    def handler(connection):
        size = 0
        try:
            while data := connection.recv(65_536):
                size += len(data)
                threading.Event().wait(0.02)
                connection.sendall(data)
        except OSError as error:
            ends.append(type(error))
        else:
            ends.append(size)

    return handler


GENERATORS = [(), ("-c", 1), ("--rate", 100), ("--pipeline", 3), pytest.param(("--reference",), marks=has_no_compiler)]


@pytest.mark.timing
@pytest.mark.parametrize("generator", GENERATORS)
def test_requests_under_way_at_the_end_are_answered_before_hanging_up(watching, ends, generator):
    """Give or take a reply that came before the window began, on a machine that stood still just then."""
    ends.clear()
    with answering(watching) as address:
        run = load(address, "-c", 4, "-s", SIZE, "-d", "0.15s", *generator)
    assert len(ends) == run["connections_established"]
    assert sum(ends) == SIZE * run["sent"]  # whole messages, those in flight among them, and no reset
    assert set(run["errors"]) <= {"unsent"}


@pytest.mark.parametrize("generator", [(), ("-c", 1), pytest.param(("--reference",), marks=has_no_compiler)])
def test_hanging_up_on_a_silent_server_takes_a_second_at_most(generator):
    released = threading.Event()

    def never_ends(connection):
        connection.sendall(connection.recv(65_536))
        released.wait(30)

    with answering(never_ends) as address:
        began_s = time.monotonic()
        run = clients(address, "-c", 2, "-d", "0.2s", "--warmup", "0s", "--timeout", "20s", "--json", *generator)
        took_s = time.monotonic() - began_s
        released.set()
    assert run.result["in_flight"] > 0
    assert took_s < 0.2 + 1 + 3  # and what Python takes to start


def test_over_tls_the_end_is_told_in_its_own_words(tls_certificate):
    """With `suppress_ragged_eofs` off, a server is told of an end that TLS did not announce by an exception."""
    key, cert = tls_certificate
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)
    ends = []

    def handler(connection):
        with context.wrap_socket(connection, server_side=True, suppress_ragged_eofs=False) as secure:
            try:
                while data := secure.recv(65_536):
                    secure.sendall(data)
            except OSError as error:
                ends.append(error)
            else:
                ends.append("in order")

    with answering(handler) as address:
        load(address, "--tls", "--cafile", cert, "-c", 3, "-d", "0.2s")
    assert ends[-3:] == ["in order"] * 3  # the first was the question whether it speaks TLS


# ---- one connection


@pytest.fixture
def hanging_up(world):
    """Return a function: hang up a connection that is owed the echo of one message, and say when that was done."""

    def run(script, *, within_ns=1_000_000, unsent=b""):
        ours, peer = socket.socketpair()
        with ours, peer:
            ours.setblocking(False)
            in_flight = InFlight(
                Workload(message_bytes=SIZE), kernel=world.kernel, recorder=Recorder(open_loop=False), clock=world.clock
            )
            in_flight.sent, in_flight.waiting_since_ns = 1, 1
            for at_ns in range(0, within_ns, 1_000):
                world.poller.at(at_ns, ours.fileno())

            async def main():
                task = world.kernel.spawn(hang_up(ours, in_flight))
                for step in script:
                    await sleep_until(world.clock() + 10_000, world.clock)
                    step(task, peer)
                return await join(task)

            world.kernel.run(main())
            in_flight.check_conservation()
            assert in_flight.requests == 1  # counted nowhere

    return run


def says(size):
    return lambda task, peer: peer.sendall(b"x" * size)


def ends_now(task, peer):
    peer.shutdown(socket.SHUT_WR)


def goes(task, peer):
    peer.close()


def is_under_way(task, peer):
    """Nothing was announced yet."""
    assert not task.done
    peer.setblocking(False)
    with pytest.raises(BlockingIOError):
        peer.recv(1)


def was_told(task, peer):
    assert not task.done
    assert peer.recv(1) == b""


SCRIPTS = [
    # the reply in two parts => the end is announced after both, and the server's awaited
    [is_under_way, says(SIZE - 1), is_under_way, says(1), was_told, ends_now],
    # what comes after the reply => is read
    [says(SIZE), was_told, says(10), says(10), ends_now],
    # more than the reply at once
    [says(SIZE + 9), was_told, ends_now],
    # the server closes before it has answered
    [says(3), ends_now],
    [goes],
]


@pytest.mark.parametrize("script", SCRIPTS)
def test_hanging_up_awaits_the_reply_announces_the_end_and_awaits_the_servers(hanging_up, script):
    hanging_up(script)


def test_a_reset_is_an_end_too(world):
    def resets(connection):
        connection.recv(1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    from clients.kernel import Kernel

    with answering(resets) as address:
        host, _, port = address.rpartition(":")
        with socket.create_connection((host, int(port))) as sock:
            sock.setblocking(False)
            kernel = Kernel()
            in_flight = InFlight(
                Workload(message_bytes=SIZE), kernel=kernel, recorder=Recorder(open_loop=False), clock=time.monotonic_ns
            )
            in_flight.sent, in_flight.waiting_since_ns = 1, 1
            sock.sendall(b"x" * SIZE)
            kernel.run(hang_up(sock, in_flight))
