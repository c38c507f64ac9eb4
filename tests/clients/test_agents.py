"""Agents without a cluster: clocks, lines, keepers in processes of their own, and what adds up.

What needs Dask's processes is in test_agents_cluster.py, and how agents are lost in test_agents_lost.py.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import threading
import time
from contextlib import ExitStack, contextmanager

import numpy as np
import psutil
import pytest
from helpers.agents import TOKEN, agents, keeper, loads_of
from hypothesis import given
from hypothesis import strategies as st

from clients.agents.__main__ import _carried
from clients.agents.clocks import Relation, Trip, relation
from clients.agents.group import AgentReport, doubts, merged, related
from clients.agents.keeper import Keeper
from clients.agents.line import AgentLostError, Line, Seat, await_all, failure
from clients.agents.session import Carried
from clients.clock import now_ns
from clients.histogram import Histogram
from clients.reference import LoadError
from clients.result import Interval, Result
from clients.workload import Workload, WorkloadError

SECOND_NS = 1_000_000_000
DELAYS_NS = st.integers(0, SECOND_NS)


@given(st.integers(-(10**15), 10**15), st.lists(st.tuples(DELAYS_NS, DELAYS_NS), min_size=1, max_size=8))
def test_the_true_offset_lies_within_the_stated_error(true_offset_ns, ways_ns):
    trips = [Trip(at, at + out + true_offset_ns, at + out + back) for at, (out, back) in enumerate(ways_ns)]
    found = relation(trips)
    assert abs(found.offset_ns - true_offset_ns) <= found.error_ns
    assert found.error_ns == -(-min(out + back for out, back in ways_ns) // 2)


def test_what_clocks_drift_during_a_load_is_in_the_error():
    before, after = Relation(1_000, 10, 20), Relation(1_500, 30, 60)
    assert before.until(after) == Relation(1_000, 530, 20)
    assert before.until(Relation(1_000, 5, 10)).error_ns == 10


def test_times_are_told_in_both_clocks():
    clock = Relation(-7_000, 1, 2)
    assert clock.to_theirs(10_000) == 3_000
    assert clock.to_ours(clock.to_theirs(10_000)) == 10_000


def result_of(values_ns, start_ns):
    """Return the result of a window of a second, with one interval of its timeline."""
    made = Result(workload=Workload(connections=3), window_start_ns=start_ns, window_end_ns=start_ns + SECOND_NS)
    made.histograms["response"].add(values_ns)
    made.timeline = [Interval(0, SECOND_NS // 10, 0, made.histograms["response"].compact())]
    made.sent, made.in_flight = len(values_ns) + 1, 1
    return made


def test_merged_histograms_equal_the_pooled_one_and_counts_add_up():
    values_ns = np.random.default_rng(1).lognormal(12, 2, 3_000).astype(np.int64)
    offsets_ns = (10**12, -(10**12), 0)
    shares = [
        result_of(values_ns[number::3], 5 * SECOND_NS + offset + number * 1_000)
        for number, offset in enumerate(offsets_ns)
    ]
    total = merged(shares, [Relation(offset, 1, 2) for offset in offsets_ns], Workload(connections=3))
    pooled = Histogram()
    pooled.add(values_ns)
    assert total.histograms["response"].counts.tolist() == pooled.counts.tolist()
    assert total.histograms["response"].percentile_ns(0.99) == pooled.percentile_ns(0.99)
    assert total.sent == total.replies + total.in_flight == 3_003
    assert (total.window_start_ns, total.window_end_ns) == (5 * SECOND_NS, 6 * SECOND_NS + 2_000)
    assert [(interval.at_ns, interval.to_json()["replies"]) for interval in total.timeline] == [(0, 3_000)]


def test_a_timeline_is_told_from_the_start_of_the_first_window():
    values_ns = np.array([1_000], dtype=np.int64)
    early, late = result_of(values_ns, SECOND_NS), result_of(values_ns, 3 * SECOND_NS)
    late.merge(early)
    assert [interval.at_ns for interval in late.timeline] == [0, 2 * SECOND_NS]


def report(agent, rate_per_s, error_ns=1_000):
    return AgentReport(agent, 0, error_ns, 10, 1, 1, rate_per_s, None, None, None, 0.0)


def test_doubts_name_the_agent_that_stands_out():
    alike = [report("a", 1_000.0), report("b", 1_010.0), report("c", 990.0)]
    assert doubts(alike, SECOND_NS // 10) == {}
    assert "agent d made 0.40 times" in doubts([*alike, report("d", 400.0)], SECOND_NS // 10)["agents-differ"]
    apart = doubts([*alike, report("e", 1_000.0, 11_000_000)], SECOND_NS // 10)
    assert apart.keys() == {"clocks-apart"}
    assert "agent e is known to 11.0 ms" in apart["clocks-apart"]


def test_a_load_that_failed_says_whose_and_why():
    assert isinstance(failure("b", -9, ""), AgentLostError)
    assert "agent-lost: agent b lost its load generator, which was ended by SIGKILL" in str(failure("b", -9, ""))
    assert isinstance(failure("b", 2, "clients: no"), WorkloadError)
    assert str(failure("b", 4, "clients: no")) == "agent b cannot carry its share: no"


def test_a_loss_is_told_in_one_word_and_a_sentence():
    class Lost:
        def carry(self, *_):
            raise failure("b", -9, "")

    asked = {"address": "127.0.0.1:9", "workload": Workload(connections=3).to_json()}
    word, what = _carried(Lost(), asked, None)
    assert (word, what["agent"]) == ("LOST", "b")
    assert what["said"].startswith("agent b lost its load generator"), "the word for it is said already"


def test_a_log_of_agents_has_the_merged_window(tmp_path):
    path, result = tmp_path / "x.hlog", result_of(np.array([1_000, 2_000, 3_000], dtype=np.int64), now_ns())
    Carried(result, [], {}, 0).write_log(path, "t")
    ours = [line for line in path.read_text().splitlines() if line.startswith("Tag=t.response,")]
    assert len(ours) == 1
    _, start, length, _, payload = ours[0].split(",")
    assert Histogram.decode(payload).counts.tolist() == result.histograms["response"].counts.tolist()
    assert (float(length), abs(float(start) - time.time()) < 60) == (1.0, True)


def test_a_keeper_of_this_machine_has_our_clock():
    with keeper() as (process, seat):
        with Line(seat) as line:
            clock = related([line], 16)[0]
            assert abs(clock.offset_ns) <= clock.error_ns
        assert process.wait(10) == 0  # it ends when its line does


def test_a_keeper_ends_with_who_started_it():
    with keeper() as (process, seat), Line(seat) as line:
        line.trip()
        process.stdin.close()
        assert process.wait(10) == 0
        with pytest.raises(AgentLostError, match="agent-lost: agent a hung up"):
            line.trip()


def test_a_load_that_has_ended_is_not_taken_for_stopped():
    line, stops = socket.socketpair()
    with line, stops, subprocess.Popen(["true"], stdout=subprocess.DEVNULL) as load:
        agent = Keeper(line, stops)
        agent._load = load
        os.waitid(os.P_PID, load.pid, os.WEXITED | os.WNOWAIT)  # as when SIGCHLD comes before the end of its output
        agent._end_if_stopped()
        assert agent._put_away() == 0
        agent._said.close()


def test_a_stranger_is_hung_up_on():
    with keeper() as (_, seat):
        with Line(seat._replace(token="x" * len(TOKEN))) as stranger, pytest.raises(AgentLostError):
            stranger.trip()
        with Line(seat) as line:
            assert line.trip().theirs_ns > 0


def test_a_clock_a_thousand_seconds_off_is_found():
    unshare = shutil.which("unshare")
    prefix = (str(unshare), "-T", "--monotonic", "1000", "--fork", "--kill-child")
    if unshare is None or subprocess.run([*prefix, "true"], check=False, capture_output=True).returncode:
        pytest.skip("no time namespaces for us here")
    with keeper(*prefix) as (_, seat), Line(seat) as line:
        clock = related([line], 16)[0]
        assert abs(clock.offset_ns - 1_000 * SECOND_NS) <= clock.error_ns
        assert clock.error_ns < SECOND_NS // 10


@contextmanager
def delaying_relay(port: int, delay_s: float):
    """Pass everything on to a port of this machine, what we say late; yield the port of the relay."""

    def pump(source, sink, wait_s):
        while piece := source.recv(65536):
            time.sleep(wait_s)  # the network under test is the one that is slow
            sink.sendall(piece)

    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))

        def serve():
            ours, _ = listener.accept()
            theirs = socket.create_connection(("127.0.0.1", port))
            back = threading.Thread(target=pump, args=(theirs, ours, 0.0))
            back.start()
            pump(ours, theirs, delay_s)
            theirs.shutdown(socket.SHUT_WR)
            back.join()
            ours.close()
            theirs.close()

        thread = threading.Thread(target=serve)
        thread.start()
        stack.callback(thread.join)
        yield listener.getsockname()[1]


def test_a_way_that_is_5_ms_slower_shows_within_the_error():
    with keeper() as (_, seat), delaying_relay(seat.port, 0.005) as port, Line(seat._replace(port=port)) as line:
        clock = related([line], 8)[0]
    assert clock.error_ns >= 2_500_000
    assert 0 < clock.offset_ns <= clock.error_ns  # the true one is 0: this machine has one clock


@contextmanager
def lines_to(*names):
    """Yield lines to agents that a test plays, and the sockets at which it does; what the lines say first is read."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        lines, played = [], []
        for name in names:
            lines.append(stack.enter_context(Line(Seat(name, "127.0.0.1", listener.getsockname()[1], TOKEN))))
            played.append(stack.enter_context(listener.accept()[0]))
            assert played[-1].recv(100) == f"TOKEN {TOKEN}\n".encode()
        yield lines, played


def test_an_agent_that_answered_is_asked_on_and_its_words_kept(monkeypatch):
    monkeypatch.setattr("clients.agents.line.KEEP_ALIVE_NS", SECOND_NS // 100)
    asked = []
    with lines_to("a", "b") as (lines, (first, second)):

        def play():
            asked.extend(sock.recv(100)[:8] for sock in (first, second))
            second.sendall(b"CONNECTED 2 2\n")

        thread = threading.Thread(target=play)
        first.sendall(b"CONNECTED 1 1\n{}\n")
        thread.start()
        answers = await_all(lines, now_ns() + 10 * SECOND_NS, "did not connect")
        thread.join()
        later = await_all(lines, now_ns() + 10 * SECOND_NS, "gave no result", {lines[1]: "{1}"})
    assert asked == [b"CLOCK 1\n"] * 2
    assert [answers[line] for line in lines] == ["CONNECTED 1 1", "CONNECTED 2 2"]
    assert [later[line] for line in lines] == ["{}", "{1}"]


def test_an_agent_that_falls_silent_after_its_answer_is_lost(monkeypatch):
    monkeypatch.setattr("clients.agents.line.KEEP_ALIVE_NS", SECOND_NS // 100)
    monkeypatch.setattr("clients.agents.line.SILENCE_NS", SECOND_NS // 20)
    with lines_to("a") as (lines, (first,)), lines_to("b") as (others, _):
        first.sendall(b"{}\n")
        with pytest.raises(AgentLostError, match="agent a is silent"):
            await_all([*lines, *others], now_ns() + 10 * SECOND_NS, "gave no result")


def soon(_established, _requested):
    return now_ns() + SECOND_NS // 2


def test_agents_share_connections_and_schedule_and_add_up(echo_server):
    workload = Workload(connections=5, rate_per_s=400, arrivals="constant", warmup_s=0.0, duration_s=0.3)
    with agents(2, echo_server.address, workload) as (_, group):
        result = group.run(workload, soon)
    assert result.connections_established == 5
    assert [one.connections for one in group.reports] == [3, 2]
    assert result.sent == result.replies + result.failed + result.in_flight
    assert result.replies == sum(one.replies for one in group.reports)
    assert 100 <= result.due <= 122  # 400/s for 0.3 s
    assert all(abs(one.agent_offset_ns) <= one.agent_clock_error_ns for one in group.reports)


def test_an_interrupt_before_the_connections_stand_is_heard_when_they_can(echo_server):
    workload = Workload(connections=2, duration_s=30.0)
    with agents(2, echo_server.address, workload) as (_, group):
        group.interrupt()
        result = group.run(workload, soon)
    assert result.interrupted
    assert result.replies == 0


def test_a_start_that_was_heard_too_late_is_no_load(echo_server):
    workload = Workload(connections=2, warmup_s=0.0, duration_s=0.1)
    with agents(2, echo_server.address, workload) as (_, group), pytest.raises(LoadError, match="after it"):
        group.run(workload, lambda *_: now_ns() - SECOND_NS // 100)


def test_no_load_is_left_when_the_coordinator_is_gone(echo_server):
    workload = Workload(connections=1, warmup_s=0.0, duration_s=30.0)
    with keeper() as (process, seat):
        with Line(seat) as line:
            load = [echo_server.address, "--workload", json.dumps(workload.to_json())]
            line.say(f"LOAD {json.dumps([*load, '--coordinated', '--share', '0/1'])}")
            while (words := line.heard()) is None:
                pass
            assert words == "CONNECTED 1 1"
            line.say(f"GO {now_ns()}")
            started = loads_of(process)
        assert process.wait(10) == 0
        assert psutil.wait_procs(started, timeout=10)[1] == []
        assert len(started) == 1
