"""Several processes that carry one load, and what happens when one of them dies."""

from __future__ import annotations

import json
import signal
import time

import psutil
import pyarrow.parquet as pq
import pytest
from helpers.answering import answering, echo
from helpers.generator import load, start_clients, wait_until
from helpers.tracing import untraced

pytestmark = pytest.mark.traced

MILLISECOND_NS = 1_000_000


@pytest.mark.parametrize("load_model", [(), ("--rate", 1_500), ("--rate", 1_500, "--arrivals", "poisson")])
def test_workers_share_connections_and_schedule_and_their_results_add_up(echo_server, load_model):
    run = load(echo_server.address, "-c", 5, "--workers", 2, "-d", "0.4s", *load_model)
    assert set(run["errors"]) <= {"unsent"}
    assert (run["workers"], run["workers_lost"], run.status) == (2, 0, 0)
    assert (run["connections_requested"], run["connections_established"]) == (5, 5)
    assert run["workload"]["connections"] == 5
    if load_model:
        assert run["offered_per_s"] * run["window_s"] == pytest.approx(1_500 * run["window_s"], rel=0.15)
    assert len(run["timeline"]) == pytest.approx(4, abs=3)


def test_workers_start_together():
    begun_ns = []

    def notes(connection):
        data = connection.recv(65_536)
        begun_ns.append(time.monotonic_ns())
        connection.sendall(data)
        echo(connection)

    with untraced(), answering(notes) as address:
        given = ("-c", 4, "--workers", 4, "--warmup", "0s", "-d", "0.3s", "--coordinated")
        with start_clients(address, *given) as process:
            assert process.stdout.readline() == "CONNECTED 4 4\n"
            assert begun_ns == []
            start_ns = time.monotonic_ns() + 300 * MILLISECOND_NS
            process.communicate(f"GO {start_ns}\n", timeout=30)
    assert len(begun_ns) == 4
    assert min(begun_ns) >= start_ns


def started_workers(process, count):
    """Return the processes of the workers, once all of them load."""
    children = psutil.Process(process.pid).children()
    assert len(children) == count
    return children


@pytest.fixture
def coordinated(echo_server):
    """Return a function: a run of 3 workers, of which some are killed in mid-run; returns the process's end."""

    def run(victims, *arguments):
        given = ("-c", 6, "--workers", 3, "--warmup", "0s", "-d", "0.6s", "--rate", 600, "--coordinated", *arguments)
        with start_clients(echo_server.address, *given) as process:
            assert process.stdout.readline() == "CONNECTED 6 6\n"
            workers = started_workers(process, 3)
            start_ns = time.monotonic_ns() + 50 * MILLISECOND_NS
            process.stdin.write(f"GO {start_ns}\n")
            process.stdin.flush()
            wait_until(start_ns + 300 * MILLISECOND_NS)
            for worker in workers[:victims]:
                worker.send_signal(signal.SIGKILL)
            out, err = process.communicate(timeout=30)
        return json.loads(out), err, process.returncode

    return run


def test_a_killed_worker_is_reported_and_others_results_are_kept(coordinated, tmp_path):
    log, samples = tmp_path / "latency.hlog", tmp_path / "samples.parquet"
    result, err, status = coordinated(1, "--hlog", log, "--samples", samples)
    assert status == 4
    assert err == "clients: 1 of 3 workers died\n"
    assert (result["workers"], result["workers_lost"]) == (2, 1)
    assert result["connections_established"] == 4
    assert result["replies"] == pytest.approx(400 * result["window_s"], rel=0.25)
    assert result["sent"] == result["replies"] + result["failed"] + result["in_flight"]
    assert pq.read_table(samples).num_rows == result["replies"]
    assert "load.response" in log.read_text()


def test_when_all_workers_are_killed_there_is_still_a_result(coordinated, tmp_path):
    samples = tmp_path / "samples.parquet"
    result, err, status = coordinated(3, "--samples", samples)
    assert status == 4
    assert err == "clients: 3 of 3 workers died\n"
    assert (result["workers"], result["workers_lost"], result["replies"]) == (0, 3, 0)
    assert result["replies_per_s"] is None
    assert pq.read_table(samples).num_rows == 0


def test_workers_die_with_who_started_them(echo_server):
    """Killed, it cannot end them: they end when their standard input does, or when their window is over."""
    with untraced():  # a process that was killed has no coverage to save
        started = start_clients(echo_server.address, "-c", 2, "--workers", 2, "--coordinated")
    with started as process:
        assert process.stdout.readline() == "CONNECTED 2 2\n"
        workers = started_workers(process, 2)
        process.kill()
        _, alive = psutil.wait_procs(workers, timeout=10)
    assert alive == []
