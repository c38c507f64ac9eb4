"""What a server does wrong lands in its own class, is no reply, and has no latency. Through real sockets.

How a reset is told from the rest: a connection that the peer resets is `reset`, whether or not a part of the reply came
before; `short_reply` is a reply that ends before its time in any other way, by a close or by silence.
"""

from __future__ import annotations

import re
import socket
import struct
import threading
from contextlib import contextmanager

import pytest
from helpers.answering import answering
from helpers.forked import clients, load
from helpers.generator import known_bad

TIMEOUT_S = 0.25
alone_and_not = pytest.mark.parametrize("connections", [1, 3])  # one that is alone has a loop of its own
RESET_AT_CLOSE = struct.pack("ii", 1, 0)


def wrong(run, *failures, replies=None):
    """Assert that nothing but these failures was counted; `replies` says whether there must be right replies.

    In an open loop requests also stay unsent while a connection that failed is made anew.
    """
    allowed = {"unsent"} if run["workload"]["rate_per_s"] else set()
    assert set(run["errors"]) - allowed == set(failures)
    assert run["failed"] > 0
    assert replies is None or (run["replies"] > 0) == replies
    is_wrong_echo = {"mismatch", "short_reply"} & set(failures)
    assert run.status == (4 if is_wrong_echo or not run["replies"] else 0)


# ---- the bytes are wrong


@alone_and_not
def test_a_wrong_byte_is_a_mismatch(connections):
    with known_bad("wrong_byte") as served:
        wrong(load(served.address, "-c", connections, "-d", "0.2s"), "mismatch", replies=False)


def test_a_wrong_byte_beyond_the_message_is_not_met():
    with known_bad("wrong_byte") as served:
        run = load(served.address, "-c", 3, "-s", 200, "-d", "0.2s")
    assert (run["errors"], run.status) == ({}, 0)


@pytest.mark.parametrize(
    "load_model", [(), ("-c", 1), ("--pipeline", 4), ("--rate", 500), ("-s", "200..300"), ("-s", 4)]
)
def test_the_echo_of_the_message_before_is_a_mismatch(load_model):
    """In each way of sending: in closed_fast, alone, several in flight, by the clock, in drawn sizes, in 4 bytes."""
    with known_bad("stale_echo") as served:
        wrong(load(served.address, "-c", 2, "-d", "0.2s", *load_model), "mismatch", replies=None)


def test_an_echo_of_another_connections_message_is_a_mismatch():
    waiting = []

    def swaps(connection):
        while data := connection.recv(65_536):
            waiting.append((connection, data))
            if len(waiting) == 2:
                (one, first), (other, second) = waiting
                waiting.clear()
                one.sendall(second)
                other.sendall(first)

    with answering(swaps) as address:
        run = load(address, "-c", 2, "-d", "0.2s", "--timeout", f"{TIMEOUT_S}s")
    assert run["errors"]["mismatch"] >= 1
    assert run.status == 4


@pytest.mark.parametrize("load_model", [(), ("--rate", 100)])
def test_bytes_that_nobody_asked_for_are_a_mismatch(load_model):
    def greets(connection):
        connection.sendall(b"220 welcome\r\n")
        while data := connection.recv(65_536):
            connection.sendall(data)

    with answering(greets) as address:
        run = load(address, "-c", 2, "-d", "0.2s", *load_model)
    assert (set(run["errors"]) - {"unsent"}, run["replies"], run.status) == ({"mismatch"}, 0, 4)


@pytest.mark.parametrize("load_model", [(), ("-c", 1), ("--rate", 500), ("--pipeline", 2)])
@pytest.mark.parametrize("share", [(), ("--requests-per-connection", 1)])
def test_more_than_was_sent_is_a_mismatch(load_model, share):
    """Though nobody has to read on after the last reply of a connection."""

    def adds(connection):
        while data := connection.recv(65_536):
            connection.sendall(data + b"!")

    with answering(adds) as address:
        run = load(address, "-c", 2, "-d", "0.2s", *load_model, *share)
    assert set(run["errors"]) - {"unsent"} == {"mismatch"}
    assert run.status == 4


# ---- the reply ends too soon, or does not come


@alone_and_not
def test_half_a_reply_and_a_close_is_a_short_reply(connections):
    with known_bad("short_reply") as served:
        wrong(load(served.address, "-c", connections, "-d", "0.25s"), "short_reply", replies=True)


@alone_and_not
def test_half_a_reply_and_silence_is_a_short_reply(connections):
    def stops_halfway(connection):
        connection.sendall(connection.recv(65_536)[:-1])
        while connection.recv(65_536):
            pass

    with answering(stops_halfway) as address:
        wrong(
            load(address, "-c", connections, "-d", "0.6s", "--timeout", f"{TIMEOUT_S}s"), "short_reply", replies=False
        )


@alone_and_not
def test_a_close_instead_of_a_reply_is_closed_early(connections):
    def hangs_up(connection):
        connection.sendall(connection.recv(65_536))
        connection.recv(65_536)

    with answering(hangs_up) as address:
        run = load(address, "-c", connections, "-d", "0.25s")
    wrong(run, "closed_early", replies=True)
    assert run["replies"] <= run["failed"] + 2  # one right reply each time


def test_a_close_between_exchanges_is_closed_early_or_a_reset():
    with known_bad("early_close") as served:
        run = load(served.address, "-c", 2, "-d", "0.25s")
    assert set(run["errors"]) <= {"closed_early", "reset"}
    assert run["failed"] > 0
    assert run["replies"] <= 50 * (run["failed"] + 2)


@pytest.mark.parametrize("ends", ["closes", "resets"])
@pytest.mark.parametrize("load_model", [("--rate", 10), ("--rate", 10, "--pipeline", 2), ("--think", "100ms")])
def test_a_connection_that_ends_while_idle_is_no_failure(load_model, ends):
    def answers_once(connection):
        connection.sendall(connection.recv(65_536))
        if ends == "resets":
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)

    with answering(answers_once) as address:
        run = load(address, "-c", 1, "-d", "0.5s", *load_model)
    assert run["replies"] >= 3
    assert run["replies"] - 1 <= run["idle_closed"] <= run["replies"]
    assert (run["errors"], run["failed"]) == ({}, 0)


def test_people_are_told_of_connections_that_ended_while_idle():
    with answering(lambda connection: connection.sendall(connection.recv(65_536))) as address:
        run = clients(address, "-c", 1, "--rate", 20, "-d", "0.3s", "--warmup", "0s")
    assert re.search(r"\n  idle closed +\d+   connections that the server closed between two requests\n", run.out)


def test_a_reset_is_a_reset():
    def resets(connection):
        connection.recv(65_536)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET_AT_CLOSE)

    with answering(resets) as address:
        wrong(load(address, "-c", 2, "-d", "0.2s"), "reset", replies=False)


@alone_and_not
def test_a_reset_in_mid_message_is_a_reset(connections):
    with known_bad("reset_mid_message") as served:
        wrong(load(served.address, "-c", connections, "-d", "0.25s"), "reset", replies=True)


def silent_after(number):
    """Return how a server handles a connection that echoes so many messages, and then only reads."""

    def falls_silent(connection):
        for _ in range(number):
            connection.sendall(connection.recv(65_536))
        while connection.recv(65_536):
            pass

    return falls_silent


@pytest.mark.parametrize("load_model", [(), ("-c", 1), ("--pipeline", 3), ("--rate", 2_000)])
def test_silence_is_a_timeout_and_no_latency(load_model):
    with answering(silent_after(20)) as address:
        run = load(address, "-c", 2, "-d", "0.8s", "--timeout", f"{TIMEOUT_S}s", *load_model)
    assert set(run["errors"]) <= {"timeout", "unsent"}
    assert run["errors"]["timeout"] >= run["failed"] >= 2
    assert run["replies"] >= 20
    assert run["service_max_ns"] < TIMEOUT_S * 1e9
    assert run.status == (4 if "unsent" in run["errors"] else 0)


@pytest.mark.timing
@alone_and_not
def test_silence_does_not_hold_up_the_end_of_the_window(connections):
    with answering(silent_after(2)) as address:
        run = load(address, "-c", connections, "-d", "0.2s", "--timeout", "20s")
    assert run["window_s"] == pytest.approx(0.2, abs=0.06)
    assert (run["in_flight"], run["errors"]) == (connections, {})


# ---- the server does not take what is sent


def test_an_unfinished_message_is_not_sent_to_the_next_connection():
    """The first connection is never read, the second one echoes."""
    never_read = threading.Semaphore(1)

    def stalls_once(connection):
        if never_read.acquire(blocking=False):
            connection.recv(1)
            closed.wait()
        while data := connection.recv(1 << 20):
            connection.sendall(data)

    closed = threading.Event()
    with answering(stalls_once) as address:
        run = load(address, "-c", 1, "-s", "16MiB", "-d", "1.5s", "--warmup", "0s", "--timeout", f"{TIMEOUT_S}s")
        closed.set()
    assert run["errors"]["stalled"] == 1
    assert "mismatch" not in run["errors"]
    assert run["replies"] > 0


def test_a_server_that_never_reads_is_timed_out_or_stalled():
    with known_bad("never_reads") as served:
        patience = ("-d", "0.6s", "--timeout", f"{TIMEOUT_S}s")
        wrong(load(served.address, "-c", 2, *patience), "timeout", replies=False)
        wrong(load(served.address, "-c", 1, "-s", "16MiB", *patience), "stalled", replies=False)


def test_a_stalled_connection_holds_up_nothing_when_requests_fall_due():
    """Several in flight, by the clock: the second falls due while the first is still being sent."""
    with known_bad("never_reads") as served:
        run = load(
            served.address, "-c", 1, "-s", "16MiB", "--pipeline", 2, "--rate", 8, "-d", "0.8s", "--timeout", "0.4s"
        )
    assert run["errors"]["stalled"] >= 1
    assert run["client_cpu_s"] < 0.3 * run["window_s"]  # most of it is the making of the message


# ---- there is no connection


def test_where_nobody_listens_every_connection_is_refused():
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        run = load(f"127.0.0.1:{bound.getsockname()[1]}", "-c", 3, "-d", "0.2s")
    assert set(run["errors"]) == {"refused"}
    assert run["errors"]["refused"] >= 3
    assert (run["connections_requested"], run["connections_established"]) == (3, 0)
    assert (run["sent"], run["failed"], run.status) == (0, 0, 4)


def test_a_unix_socket_that_is_not_there_is_refused(tmp_path):
    run = load(f"unix:{tmp_path}/none", "-c", 2, "-d", "0.1s")
    assert (set(run["errors"]), run["connections_established"]) == ({"refused"}, 0)


def test_connections_beyond_a_servers_limit_are_refused_and_others_measured():
    with known_bad("refuses_after_n") as served:
        run = load(served.address, "-c", 70, "-d", "0.25s", "--timeout", "2s")
    # Some are made before the server stops listening, and reset when it does: the kernel had accepted them.
    assert run["errors"]["refused"] >= 6
    assert set(run["errors"]) <= {"refused", "reset", "closed_early"}
    assert run["replies"] > 64


@pytest.mark.parametrize("connections", [5, 150])
def test_a_server_that_closes_at_once_is_closed_early_or_reset(connections):
    """More connections than are opened at a time, so that one that was opened is closed while others are opened."""
    with answering(lambda connection: None) as address:
        run = load(address, "-c", connections, "-d", "0.2s")
    assert set(run["errors"]) <= {"closed_early", "reset", "refused"}
    assert (run["replies"], run.status) == (0, 4)


@contextmanager
def dead_end():
    """Yield an address whose connections never stand: the queue of those not accepted is full."""
    with socket.create_server(("127.0.0.1", 0), backlog=0) as listener:
        address = listener.getsockname()
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(address)
        yield f"127.0.0.1:{address[1]}"
        for filler in fillers:
            filler.close()


def test_a_connection_that_is_not_made_within_the_timeout_is_refused():
    with dead_end() as address:
        run = load(address, "-c", 2, "-d", "0.1s", "--timeout", "0.2s")
    assert run["connections_established"] == 0
    assert run["errors"] == {"refused": run["errors"]["refused"]}
