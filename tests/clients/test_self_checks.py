"""The instrument against answers that are known: delays, a freeze, Little's law, an offered rate, an overload."""

from __future__ import annotations

import json
import math
import signal
import threading
import time

import numpy as np
import pytest
from helpers.answering import answering, echo
from helpers.forked import load
from helpers.generator import known_bad, serving, start_clients, wait_until

from clients.result import Interval, Result
from clients.workload import Workload

MILLISECOND_NS, SECOND_NS = 1_000_000, 1_000_000_000
DELAY_NS = 5 * MILLISECOND_NS


# ---- time


@pytest.mark.timing
@pytest.mark.parametrize("load_model", [(), ("--rate", 200), ("--pipeline", 2, "-c", 1)])
def test_a_delay_of_5_ms_is_measured_as_5_ms(load_model):
    with known_bad("fixed_delay") as served:
        run = load(served.address, "-c", 3, "-d", "0.4s", *load_model)
    assert run["errors"] == {}
    assert DELAY_NS <= run["service_p50_ns"] <= DELAY_NS * (2.5 if "--pipeline" in load_model else 1.25)


@pytest.mark.timing
def test_a_freeze_of_the_server_shows_in_response_times():
    """300 ms of 2 s are frozen: 15 % of the requests fall due in them, but only 4 of 2,000 are on their way.

    So the 99th percentile of response times, from the due time, is most of the freeze; that of service times, from
    the sending, does not know of it.
    """
    with serving("coroutines") as served:
        given = ("-c", 4, "--rate", 1_000, "-d", "2s", "--warmup", "0.2s", "--coordinated")
        with start_clients(served.address, *given) as generator:
            assert generator.stdout.readline() == "CONNECTED 4 4\n"
            start_ns = time.monotonic_ns() + 20 * MILLISECOND_NS
            print(f"GO {start_ns}", file=generator.stdin, flush=True)
            wait_until(start_ns + SECOND_NS)
            served.process.send_signal(signal.SIGSTOP)
            wait_until(start_ns + SECOND_NS + 300 * MILLISECOND_NS)
            served.process.send_signal(signal.SIGCONT)
            out, _ = generator.communicate(timeout=30)
    result = json.loads(out)
    assert result["errors"] == {}
    assert result["replies"] == pytest.approx(2_000, abs=8)
    assert result["response_p99_ns"] > 200 * MILLISECOND_NS
    assert result["service_p99_ns"] < 100 * MILLISECOND_NS
    assert result["service_max_ns"] > 250 * MILLISECOND_NS
    frozen = [piece["at_s"] for piece in result["timeline"] if piece["replies"] < 20]
    assert 1 <= len(frozen) <= 4
    assert all(0.6 < at_s < 1.2 for at_s in frozen)


def test_a_generator_that_was_stopped_itself_does_not_blame_the_server(echo_server):
    """After a stop longer than the timeout the replies are there, and only have to be read."""
    given = ("-c", 8, "-d", "0.9s", "--warmup", "0s", "--timeout", "0.4s", "--coordinated")
    with start_clients(echo_server.address, *given) as generator:
        assert generator.stdout.readline() == "CONNECTED 8 8\n"
        start_ns = time.monotonic_ns() + 20 * MILLISECOND_NS
        print(f"GO {start_ns}", file=generator.stdin, flush=True)
        wait_until(start_ns + 150 * MILLISECOND_NS)
        generator.send_signal(signal.SIGSTOP)
        wait_until(start_ns + 700 * MILLISECOND_NS)
        generator.send_signal(signal.SIGCONT)
        out, _ = generator.communicate(timeout=30)
    result = json.loads(out)
    assert result["errors"] == {}
    assert result["response_max_ns"] > 500 * MILLISECOND_NS


# ---- counts


@pytest.mark.timing
@pytest.mark.parametrize(("server", "connections"), [("echo", 64), ("fixed_delay", 8)])
def test_littles_law_holds_in_a_closed_loop(echo_server, server, connections):
    """Connections in use = throughput x mean latency, as far as the generator takes no time of its own."""
    if server == "echo":
        run = load(echo_server.address, "-c", connections, "-d", "0.6s")
    else:
        with known_bad(server) as served:
            run = load(served.address, "-c", connections, "-d", "0.6s")
    in_use = run["replies_per_s"] * run["response_mean_ns"] / 1e9
    cut_off = run["response_max_ns"] / (1e9 * run["window_s"])  # by an edge of the window, at most
    assert in_use == pytest.approx(connections, rel=0.04 + cut_off)


@pytest.mark.timing
@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_an_open_loop_offers_its_rate_and_achieves_what_it_offers(echo_server, arrivals):
    rate, duration_s = 4_000, 1.0
    run = load(echo_server.address, "-c", 16, "--rate", rate, "--arrivals", arrivals, "-d", f"{duration_s}s")
    offered = run["offered_per_s"] * run["window_s"]
    expected = rate * run["window_s"]
    spread = 1 if arrivals == "constant" else 4 * math.sqrt(expected)
    assert offered == pytest.approx(expected, abs=spread)
    assert set(run["errors"]) <= {"unsent"}
    # Give or take those that were on their way when the window began.
    assert run["replies"] + run["in_flight"] == pytest.approx(offered, abs=16 + 0.001 * offered)
    assert run["window_s"] == pytest.approx(duration_s, rel=0.02)


@pytest.mark.timing
def test_what_an_overloaded_server_leaves_unsent_is_counted_and_bounded():
    """2 connections of 5 ms each carry some 400 per second of 2,000."""
    with known_bad("fixed_delay") as served:
        run = load(served.address, "-c", 2, "--rate", 2_000, "-d", "1s", "--timeout", "0.25s")
    assert run["replies_per_s"] < 450
    assert run["offered_per_s"] == pytest.approx(2_000, rel=0.01)
    assert run["offered_per_s"] * run["window_s"] == pytest.approx(run["sent"] + run["errors"]["unsent"], abs=2)
    assert run["lateness_max_ns"] <= 0.26 * SECOND_NS  # one that waited longer than the timeout is not sent
    assert run["response_p50_ns"] > 10 * run["service_p50_ns"]
    assert 0.9 * run["replies"] <= run["late_sends"] <= run["replies"]


@pytest.mark.timing
def test_requests_that_waited_before_the_window_are_not_its_unsent():
    with known_bad("fixed_delay") as served:
        run = load(served.address, "-c", 2, "--rate", 2_000, "-d", "0.5s", "--warmup", "1s")
    assert run["offered_per_s"] * run["window_s"] == pytest.approx(run["sent"] + run["errors"]["unsent"], abs=2)
    assert run["response_p50_ns"] > 0.5 * SECOND_NS  # it was due in the warm-up


@pytest.mark.timing
def test_a_server_that_keeps_up_leaves_nothing_unsent(echo_server):
    """A request that falls due in the last moment, and has a free connection, is not one that had none."""
    run = load(echo_server.address, "-c", 64, "--rate", 5_000, "-d", "0.3s")
    assert run["errors"] == {}
    assert run.status == 0


@pytest.mark.parametrize("load_model", [(), ("--rate", 300), ("--pipeline", 3)])
def test_requests_on_their_way_when_the_window_began_count_once(load_model):
    """With 5 ms of delay, every connection has a request on its way at the window's begin and at its end."""
    with known_bad("fixed_delay") as served:
        run = load(served.address, "-c", 6, "--warmup", "0.1s", "-d", "0.2s", *load_model)
    assert run["sent"] == run["replies"] + run["in_flight"]
    assert 1 <= run["in_flight"] <= 6 * run["workload"]["pipeline"]


@pytest.mark.timing
def test_one_slow_connection_does_not_delay_the_others():
    first = threading.Lock()

    def one_is_slow(connection):
        if not first.acquire(blocking=False):
            return echo(connection)
        while data := connection.recv(65_536):
            threading.Event().wait(0.2)
            connection.sendall(data)
        return None

    with answering(one_is_slow) as address:
        closed = load(address, "-c", 8, "-d", "0.45s")
    first.release()
    with answering(one_is_slow) as address:
        opened = load(address, "-c", 8, "--rate", 400, "-d", "0.5s")
    assert closed["response_max_ns"] > 200 * MILLISECOND_NS
    assert closed["response_p50_ns"] < 20 * MILLISECOND_NS
    assert opened["lateness_p90_ns"] < 20 * MILLISECOND_NS
    assert opened["response_p90_ns"] < 50 * MILLISECOND_NS


@pytest.mark.timing
def test_thinking_is_no_latency_and_lowers_the_rate(echo_server):
    run = load(echo_server.address, "-c", 4, "--think", "20ms", "-d", "0.4s")
    assert 4 * 5 <= run["replies"] <= 4 * 21
    assert run["response_p50_ns"] < 10 * MILLISECOND_NS


@pytest.mark.timing
def test_connections_ramp_up_and_so_does_the_load():
    with known_bad("fixed_delay") as served:
        run = load(served.address, "-c", "1,4", "-d", "0.8s")
    pieces = [piece["replies"] for piece in run["timeline"]]
    half = len(pieces) // 2
    assert sum(pieces[half:]) > 2.5 * sum(pieces[: half - 1])


@pytest.mark.timing
@pytest.mark.parametrize(("connections", "first_s"), [("1,4", 0.2), ("1..4", 0.0666)])
def test_the_connections_of_a_ramp_are_opened_when_their_turn_comes(connections, first_s):
    """The first stands before the start is known, and the second comes no sooner than its turn after it.

    The server's thread notes an opening, and may do so late: so the start waits for its first note.
    """
    opened_ns = []
    is_opened = threading.Event()

    def notes(connection):
        opened_ns.append(time.monotonic_ns())
        is_opened.set()
        echo(connection)

    given = ("-c", connections, "-d", "0.4s", "--warmup", "0s", "--coordinated")
    with answering(notes) as address, start_clients(address, *given) as generator:
        assert generator.stdout.readline().startswith("CONNECTED 1 ")
        assert is_opened.wait(10)
        start_ns = time.monotonic_ns() + 20 * MILLISECOND_NS
        print(f"GO {start_ns}", file=generator.stdin, flush=True)
        out, _ = generator.communicate(timeout=30)
    first, second, *_ = sorted((at_ns - start_ns) / 1e9 for at_ns in opened_ns)
    assert first < 0 < first_s <= second
    assert (len(opened_ns), json.loads(out)["connections_established"]) == (4, 4)


@pytest.mark.timing
def test_a_ramp_of_the_rate_shows_in_the_timeline(echo_server):
    run = load(echo_server.address, "-c", 8, "--rate", "0..2000", "-d", "1s")
    pieces = run["timeline"]
    middles_s = np.array([piece["at_s"] + piece["slice_s"] / 2 for piece in pieces])
    rates = np.array([piece["replies"] / piece["slice_s"] for piece in pieces])
    assert run["offered_per_s"] == pytest.approx(1_000, rel=0.01)
    assert np.corrcoef(middles_s, rates)[0, 1] > 0.9


# ---- connections that come and go


@pytest.mark.parametrize("load_model", [(), ("--rate", 1_000), ("--pipeline", 3)])
def test_connections_are_replaced_after_their_requests_and_connecting_is_timed_apart(load_model):
    carried = []

    def counts(connection):
        size = 0
        try:
            while data := connection.recv(65_536):
                size += len(data)
                connection.sendall(data)
        finally:
            carried.append(size)

    with answering(counts) as address:
        run = load(address, "-c", 4, "-s", 100, "--requests-per-connection", 7, "-d", "0.3s", *load_model)
    assert set(run["errors"]) <= {"unsent"}
    assert run["connect_p50_ns"] is not None
    whole = [size for size in carried if size == 700]
    assert len(whole) >= len(carried) - 4  # all but those that were cut at the end
    assert max(carried) == 700
    assert sum(carried) >= 100 * run["replies"]


@pytest.mark.timing
def test_in_a_closed_loop_churn_is_no_waiting(echo_server):
    """Deadlines of connections that were made long ago are no reason to spin."""
    run = load(echo_server.address, "-c", 16, "--requests-per-connection", 3, "--timeout", "0.1s", "-d", "0.6s")
    assert run["client_spin_s"] < 0.02


# ---- the timeline and its merging


@pytest.mark.timing
def test_the_timeline_covers_the_window_without_a_gap(echo_server):
    run = load(echo_server.address, "-c", 4, "--rate", 500, "-d", "0.65s")
    pieces = run["timeline"]
    assert pieces[0]["at_s"] == 0
    for piece, following in zip(pieces, [*pieces[1:], None], strict=True):
        end_s = following["at_s"] if following else run["window_s"]
        assert piece["at_s"] + piece["slice_s"] == pytest.approx(end_s, abs=0.005)


def test_ticks_do_not_drift_when_one_is_late():
    from clients.load import next_tick_ns

    tick_ns = 100 * MILLISECOND_NS
    end_ns = 10 * tick_ns + 3
    assert next_tick_ns(3, end_ns, tick_ns) == tick_ns + 3
    assert next_tick_ns(tick_ns + 3, end_ns, tick_ns) == 2 * tick_ns + 3
    assert next_tick_ns(tick_ns + 30 * MILLISECOND_NS, end_ns, tick_ns) == 2 * tick_ns + 3  # late: the next one is not
    assert next_tick_ns(5 * tick_ns, end_ns, tick_ns) == 5 * tick_ns + 3
    assert next_tick_ns(end_ns - 1, end_ns, tick_ns) == end_ns


def interval(at_ms, length_ms, replies):
    from clients.histogram import Histogram

    response = Histogram()
    response.add(np.full(replies, 1_000))
    return Interval(at_ms * MILLISECOND_NS, length_ms * MILLISECOND_NS, 1, response.compact())


MERGES = [
    # the same grid => piece by piece
    ([(0, 100), (100, 100)], [(0, 100), (100, 100)], [(0, 2), (100, 2)]),
    # a few milliseconds apart => as well
    ([(0, 103), (103, 97)], [(0, 99), (99, 101)], [(0, 2), (99, 2)]),
    # one worker was held up and missed a tick => the pieces that follow still match
    (
        [(0, 190), (190, 110), (300, 50)],
        [(0, 100), (100, 100), (200, 100), (300, 50)],
        [(0, 2), (100, 1), (190, 2), (300, 2)],
    ),
    # one worker was interrupted before the other
    ([(0, 100)], [(0, 100), (100, 50)], [(0, 2), (100, 1)]),
]


@pytest.mark.parametrize(("mine", "theirs", "expected"), MERGES)
def test_timelines_of_workers_merge_by_their_times(mine, theirs, expected):
    merged, other = (
        Result(workload=Workload(), window_end_ns=1, timeline=[interval(*piece, 1) for piece in pieces])
        for pieces in (mine, theirs)
    )
    merged.merge(other)
    pieces = [(piece.at_ns // MILLISECOND_NS, piece.to_json()["replies"]) for piece in merged.timeline]
    assert pieces == expected
    assert sum(piece.errors for piece in merged.timeline) == len(mine) + len(theirs)


def test_a_worker_without_a_window_does_not_stretch_that_of_the_others():
    merged = Result(workload=Workload(), window_start_ns=5, window_end_ns=9)
    merged.merge(Result(workload=Workload()))
    assert (merged.window_start_ns, merged.window_end_ns) == (5, 9)
