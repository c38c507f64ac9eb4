"""Single trials with real servers, right and wrong ones, each in its status; and what the generator is told."""

from __future__ import annotations

import dataclasses
import json
import os
import shutil
import signal
import socket
import sys
import threading

import pytest

from bench import limits
from bench.experiment import schema
from bench.experiment.doubts import Doubt
from bench.experiment.host import machine
from bench.experiment.host.machine import Cores, usable_cpus
from bench.experiment.model import Block, Server, Status, Trial
from bench.experiment.planning.catalog import describe
from bench.experiment.trial import solo
from bench.experiment.trial.live import LiveBench, live_bench
from bench.experiment.trial.monitor import Usage
from bench.experiment.trial.process import free_port
from bench.experiment.trial.results import interval_lines, trial_metrics
from bench.experiment.trial.solo import generator_command
from clients.arguments import parser, workload_asked
from clients.shapes import Ramp, Steps, parse_shape
from clients.workload import Workload

ECHO = """
import os, signal, socket, sys, threading
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=64)
replies = 0
def talk(client):
    global replies
    with client:
        try:
            while data := client.recv(65536):
                replies += 1
                {before}
                client.sendall({data})
        except OSError:
            pass
{setup}
print("READY 127.0.0.1", listener.getsockname()[1], flush=True)
while True:
    client, _ = listener.accept()
    threading.Thread(target=talk, args=(client,), daemon=True).start()
"""


def server(name="mine", before="pass", data="data", setup="pass", **fields):
    code = ECHO.format(before=before, data=data, setup=setup)
    return Server(name=name, command=(sys.executable, "-c", code, "{port}"), **fields)


def trial(tested, **workload):
    asked = Workload(**{"connections": 2, "warmup_s": 0.1, "duration_s": 0.3, "timeout_s": 1.0, "seed": 5, **workload})
    return Trial(number=7, round=1, server=tested, workload_name="w", workload=asked)


@pytest.fixture
def bench(tmp_path):
    cpus = usable_cpus()
    return LiveBench(logs=tmp_path, cores=Cores((cpus[0],), (cpus[-1],), shared=False))


def measured(bench, trial):
    """Measure a block of one trial, and return its result."""
    (result,) = bench(Block(trials=(trial,)))
    return result


def test_a_right_server_is_measured_with_everything_that_was_asked(bench, tmp_path):
    result = measured(bench, trial(server()))
    assert (result.status, result.detail) == (Status.MEASURED, "")
    metrics = result.metrics
    assert metrics["replies"] > 0
    assert metrics["errors"] == 0
    assert metrics["server_cpu_us_per_reply"] == pytest.approx(
        1e6 * metrics["server_cpu_share"] / metrics["replies_per_s"]
    )
    assert metrics["connections_established"] == 2
    assert (metrics["server_cpus"], metrics["client_cpus"]) == (str(usable_cpus()[0]), str(usable_cpus()[-1]))
    assert metrics["interpreter"] == describe(sys.executable).description
    assert metrics["throughput_is_lower_bound"] == (Doubt.GENERATOR_SATURATED in result.doubts)
    assert set(metrics) <= {column.name for column in schema.TRIALS}
    assert sum(piece["replies"] for piece in result.timeline) == metrics["replies"]
    assert {sample["process"] for sample in result.samples} == {"server", "client", "machine"}
    assert all(line.startswith("Tag=0007.") for line in result.hlog.splitlines())
    assert "Tag=0007.response," in result.hlog
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0007-client.log", "0007-server.log"]
    json.dumps([metrics, result.timeline, result.samples])


@pytest.mark.skipif(len(usable_cpus()) < 2, reason="there is no CPU to move to")
def test_a_server_that_binds_itself_is_recorded_where_it_ran(bench):
    result = measured(bench, trial(server(setup=f"os.sched_setaffinity(0, {{{usable_cpus()[-1]}}})")))
    assert result.metrics["server_cpus"] == result.metrics["client_cpus"]
    assert Doubt.CORES_SHARED in result.doubts


@pytest.mark.parametrize(
    ("tested", "status", "words"),
    [
        (server(data="b'x' * len(data)"), Status.WRONG_ECHO, "mine echoed other bytes than it was sent"),
        (server(data="b''"), Status.NO_REPLIES, "mine gave no reply in the window"),
        (
            server(before="print('enough', file=sys.stderr, flush=True) or os._exit(3) if replies > 50 else None"),
            Status.SERVER_DIED,
            "mine ended with status 3 in mid-trial; its log ends:\n  | enough",
        ),
        (server(setup="sys.exit('no such loop')"), Status.NOT_READY, "mine ended with status 1 before it was ready"),
        (server(setup="sys.exit('x' * 4096)"), Status.NOT_READY, "x… (3,896 characters more in "),
        (server(setup="signal.pause()", ready_timeout_s=0.3), Status.NOT_READY, "did not print READY HOST PORT within"),
    ],
    ids=["wrong", "mute", "dies", "exits", "talks", "silent"],
)
def test_a_server_that_does_wrong_gives_a_status_and_a_sentence(bench, tested, status, words):
    result = measured(bench, trial(tested, timeout_s=0.2))
    assert result.status is status
    assert words in result.detail
    assert result.started_at


def test_what_was_measured_stays_if_the_server_dies_at_the_end(bench):
    dies_at_a_close = "echo = talk\ndef talk(client):\n    echo(client)\n    os._exit(3)"
    result = measured(bench, trial(server(setup=dies_at_a_close)))
    assert (result.status, result.detail) == (Status.MEASURED, "")
    assert result.metrics["replies"] > 0


def test_a_load_begins_when_its_server_has_local_ports(bench, monkeypatch):
    """How long that takes is tested on a /proc of its own."""
    asked, port = [], free_port("127.0.0.1")
    monkeypatch.setattr(solo, "await_ports", lambda *address: asked.append(address))
    assert measured(bench, trial(server(port=port))).status is Status.MEASURED
    assert asked == [("127.0.0.1", port)]


def test_connections_closed_while_idle_are_a_column_and_no_errors(bench):
    answers_once = "def talk(client):\n    with client:\n        client.sendall(client.recv(65536))"
    asked = {"connections": 1, "rate_per_s": 20.0, "arrivals": "constant", "duration_s": 0.5}
    result = measured(bench, trial(server(setup=answers_once), **asked))
    assert (result.status, result.metrics["errors"]) == (Status.MEASURED, 0)
    assert result.metrics["idle_closed"] >= 3
    assert Doubt.CLOSES_AFTER_REPLY in result.doubts


def test_a_server_that_will_not_stop_is_measured_and_doubted(bench):
    bench = dataclasses.replace(bench, stop_timeout_s=0.2)
    result = measured(bench, trial(server(setup="signal.signal(signal.SIGTERM, signal.SIG_IGN)")))
    assert result.status is Status.MEASURED
    assert Doubt.SERVER_KILLED in result.doubts


def test_a_rate_that_is_asked_to_change_is_no_doubt(bench):
    ramp = {"rate_per_s": 1100.0, "rate_profile": parse_shape("200..2000"), "arrivals": "constant", "duration_s": 1.0}
    result = measured(bench, trial(server(), **ramp))
    rates = [one["replies"] for one in result.timeline]
    assert rates[-2] > 2 * rates[1], "or it would say nothing"
    assert Doubt.NOT_STEADY not in result.doubts


def test_shared_cores_and_a_failed_check_are_doubts_of_every_trial(tmp_path):
    cpu = usable_cpus()[0]
    bench = LiveBench(logs=tmp_path, cores=Cores((cpu,), (cpu,), shared=True), nonconforming=frozenset({"mine"}))
    assert {Doubt.CORES_SHARED, Doubt.NONCONFORMING} <= set(measured(bench, trial(server())).doubts)


def test_a_calibrated_ceiling_marks_the_throughput_as_a_lower_bound(bench, tmp_path, monkeypatch):
    monkeypatch.setattr(limits, "GENERATOR_BUSY", dataclasses.replace(limits.GENERATOR_BUSY, trial=0.0))
    bench = LiveBench(logs=tmp_path, cores=bench.cores, ceiling_per_s=lambda workload: float(workload.connections))
    result = measured(bench, trial(server()))
    assert Doubt.GENERATOR_SATURATED in result.doubts
    assert result.metrics["throughput_is_lower_bound"] is True


def test_a_generator_that_fails_says_so_and_the_server_is_stopped(bench):
    result = measured(bench, trial(server(), connections=10_000, message_bytes=2**30))
    assert result.status is Status.GENERATOR_FAILED
    assert "the load generator did not connect; its log ends:" in result.detail
    assert "GiB of memory" in result.detail


def test_the_live_bench_honours_the_quota_of_the_cgroup(monkeypatch):
    monkeypatch.setattr(machine, "cpu_quota", lambda: 1.5)
    with live_bench() as bench:
        assert bench.cores.shared


def test_logs_that_nobody_asked_for_are_gone_with_the_bench():
    with live_bench() as bench:
        assert bench.logs.is_dir()
    assert not bench.logs.exists()


def test_an_interrupt_in_mid_trial_ends_both_sides(bench):
    timer = threading.Timer(0.6, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            measured(bench, trial(server(), duration_s=60.0))
    finally:
        timer.cancel()
        timer.join()  # that nothing is left is checked for the whole module


WORKLOADS = [
    Workload(),
    Workload(connections=64, message_bytes=17, pipeline=3, requests_per_connection=10, think_s=0.005, seed=12),
    Workload(rate_per_s=20000.0, arrivals="poisson", warmup_s=0.25, duration_s=1.5, timeout_s=0.1),
    Workload(rate_per_s=0.5, arrivals="constant"),
    Workload(rate_per_s=1500.0, rate_profile=Ramp(1000, 2000), arrivals="constant"),
    Workload(rate_per_s=1500.0, rate_profile=Steps((1000, 2000)), arrivals="constant"),
    Workload(connections=64, connections_profile=Steps((1, 8, 64))),
    Workload(message_bytes=16384, message_sizes="64:9,16KiB:1"),
]


@pytest.mark.parametrize("workload", WORKLOADS)
def test_the_generator_is_told_the_workload_that_was_planned(workload, tmp_path):
    planned = Trial(number=1, round=1, server=Server(name="a"), workload_name="w", workload=workload)
    *_, module = command = generator_command(planned, "127.0.0.1:7", tmp_path / "hlog")[:4]
    assert module == "clients"
    arguments = generator_command(planned, "127.0.0.1:7", tmp_path / "hlog")[len(command) :]
    assert workload_asked(parser().parse_args(arguments)) == workload


def test_what_is_not_known_is_absent_and_what_is_zero_is_zero():
    result = {
        "errors": {"reset": 2},
        "replies": 0,
        "replies_per_s": 0.0,
        "response_p99_ns": None,
        "workload": {},
        "window_s": 2.0,
        "client_cpu_s": 3.0,
        "client_spin_s": 1.0,
        "workers": 2,
    }
    metrics = trial_metrics(result, Usage({"server_cpu_share": 0.5, "server_cpu_user_s": None}, (), has_gaps=False))
    assert metrics["errors"] == metrics["errors_reset"] == 2
    assert metrics["errors_mismatch"] == 0
    assert metrics["client_cpu_share"] == 0.5
    assert not {"response_p99_ns", "workload", "server_cpu_us_per_reply", "server_cpu_user_s"} & set(metrics)


def test_only_interval_lines_are_taken_from_a_log():
    assert interval_lines('#[x]\n"Start"\nTag=1.a,0,1,2,H\nTag=1.b,0,1,2,H\n') == "Tag=1.a,0,1,2,H\nTag=1.b,0,1,2,H\n"


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler on the PATH")
def test_the_reference_generator_gives_a_trial_of_the_same_columns(bench):
    ours = measured(bench, trial(server()))
    its = measured(bench, dataclasses.replace(trial(server()), generator="reference"))
    assert its.status is Status.MEASURED, its.detail
    # It does not time its connections.
    assert {name for name in ours.metrics if not name.startswith("connect_")} <= set(its.metrics)
    assert its.metrics["replies"] > 0
    assert its.metrics["client_cpu_share"] <= 1.1


@pytest.mark.parametrize(
    ("fields", "cpu_s"),
    [({}, 0.5), ({"are_slices_blind": True}, 0.9), ({"are_slices_blind": True, "is_cpu_lost": True}, None)],
)
def test_the_cpu_of_a_block_is_of_slices_or_whole(fields, cpu_s):
    result = {
        **dict.fromkeys(("client_cpu_s", "client_spin_s"), 0.0),
        "errors": {},
        "window_s": 2.0,
        "workers": 1,
        "replies": 100,
        "replies_per_s": 50.0,
        "server_cpu_s": 0.5,
        "server_idle_cpu_share": 0.1,
    }
    whole = {"server_cpu_s": 0.9} if fields else {}
    metrics = trial_metrics(result, Usage(whole, (), has_gaps=False, **fields))
    assert metrics.get("server_cpu_s") == cpu_s
    assert metrics.get("server_cpu_share") == (None if cpu_s is None else cpu_s / 2)
    assert metrics.get("server_cpu_us_per_reply") == (None if cpu_s is None else pytest.approx(1e6 * cpu_s / 100))
    assert ("server_idle_cpu_share" in metrics) == (not fields)


ASKS = """
import socket, sys, time
with socket.create_connection(("127.0.0.1", int(sys.argv[2]))) as daemon:
    daemon.sendall(sys.argv[1].encode())
    while True:
        time.sleep(0.002)
"""
"""A command that has a daemon serve on its port, and works a little itself, as `docker run` does."""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_server_that_a_daemon_runs_for_a_command_has_no_cpu(bench):
    """This process is the daemon. What the command uses itself would be a number of nothing."""

    def echo(client):
        with client:
            while data := client.recv(65536):
                client.sendall(data)

    def daemon():
        with control.accept()[0] as asked, socket.create_server(("127.0.0.1", int(asked.recv(64)))) as listener:
            for _ in range(2):
                threading.Thread(target=echo, args=(listener.accept()[0],), daemon=True).start()

    with socket.create_server(("127.0.0.1", 0)) as control:
        thread = threading.Thread(target=daemon)
        thread.start()
        command = (sys.executable, "-c", ASKS, "{port}", str(control.getsockname()[1]))
        found = measured(bench, trial(Server(name="asks", command=command, ready="port")))
        thread.join(10)
    assert found.status is Status.MEASURED, found.detail
    assert Doubt.SERVER_UNSEEN in found.doubts
    assert not [name for name, value in found.metrics.items() if name.startswith("server_") and value is not None]
