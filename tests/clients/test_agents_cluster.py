"""Agents on real Dask clusters of this machine: `nox -s cluster` runs these."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from helpers.agents import left_after, of_agents
from helpers.dask_cluster import QUIET, scheduler, worker
from helpers.generator import ENVIRONMENT, clients, start_clients, wait_until

from clients.histogram import Histogram
from clients.workload import Workload

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(180)]
LOST_S = 5
"""A keep-alive each second, three seconds without an answer, and one because this machine is busy."""


@pytest.fixture(autouse=True)
def nothing_is_left():
    yield
    ours = {process.pid for process in psutil.Process().children(recursive=True)}
    left = [process for process in of_agents() if process.pid in ours or process.ppid() == 1]
    assert psutil.wait_procs(left, timeout=10)[1] == []


def test_three_local_agents_share_one_load(echo_server, tmp_path):
    log = tmp_path / "agents.hlog"
    load = (echo_server.address, "-c", 7, "--rate", 3000, "--arrivals", "poisson", "-d", "1s", "--warmup", "0.2s")
    run = clients(*load, "--agents", "local:3", "--json", "--hlog", log, "--tag", "all", env=QUIET)
    assert run.status == 0, run.err
    result = run.result
    assert result["sent"] == result["replies"] + result["failed"] + result["in_flight"]
    assert result["connections_established"] == 7
    assert [one["connections"] for one in result["agents"]] == [3, 2, 2]
    assert sum(one["replies"] for one in result["agents"]) == result["replies"]
    assert result["replies_per_s"] == pytest.approx(3000, rel=0.15)
    assert all(abs(one["agent_offset_ns"]) <= one["agent_clock_error_ns"] for one in result["agents"])
    (line,) = [line for line in log.read_text().splitlines() if line.startswith("Tag=all.response,")]
    logged = Histogram.decode(line.split(",")[-1])
    assert logged.counts.sum() == result["replies"]
    assert logged.percentile_ns(0.99) == pytest.approx(result["response_p99_ns"], rel=0.01)


def processes_below(process, word):
    """Return the descendants with this word in their command, as soon as there are three."""
    deadline_s = time.monotonic() + 60
    while True:
        below = [one for one in psutil.Process(process.pid).children(recursive=True) if one.is_running()]
        found = []
        for one in below:
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess):
                if word in one.cmdline():
                    found.append(one)
        if len(found) == 3:
            return found
        assert time.monotonic() < deadline_s, "the agents did not start"
        time.sleep(0.05)  # nothing tells of another process's grandchildren


def heard(process):
    word, _, rest = process.stdout.readline().partition(" ")
    return word, json.loads(rest) if rest.startswith("{") else rest.split()


def said(process, what):
    process.stdin.write(f"{what}\n")
    process.stdin.flush()


@contextlib.contextmanager
def held(*cluster: str):
    """Run `python -m clients.agents`; yield the process and what it says of its agents."""
    command = [sys.executable, "-P", "-m", "clients.agents", *cluster]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen(command, text=True, env={**os.environ, **ENVIRONMENT, **QUIET}, **pipes) as process:
        try:
            yield process, heard(process)
        finally:
            process.stdin.close()
            try:
                assert process.wait(30) in (0, 2), process.stderr.read()
            finally:
                process.kill()


def go(process):
    """Give the word to go as soon as the connections stand."""
    word, (_, _, lead_ns) = heard(process)
    assert word == "CONNECTED"
    said(process, f"GO {time.monotonic_ns() + int(lead_ns)}")


def test_one_cluster_carries_load_after_load_and_goes_on_after_a_loss(echo_server):
    load = Workload(connections=4, warmup_s=0.1, duration_s=0.4)
    asked = json.dumps({"address": echo_server.address, "workload": load.to_json(), "hlog": None, "tag": "t"})
    with held("local:2") as (process, (word, found)):
        assert (word, found["is_networked"], len(found["agents"])) == ("AGENTS", False, 2)
        words = []
        for number in range(3):
            said(process, asked)
            if number == 1:
                assert heard(process)[0] == "CONNECTED"
                keepers(process)[1].kill()
            else:
                go(process)
            words.append(heard(process))
    assert [word for word, _ in words] == ["RESULT", "LOST", "RESULT"], words
    assert words[1][1]["agent"] in found["agents"]
    for _, result in words[::2]:
        assert result["sent"] == result["replies"] + result["failed"] + result["in_flight"]
        assert [one["agent"] for one in result["agents"]] == found["agents"]


def keepers(process):
    below = psutil.Process(process.pid).children(recursive=True)
    return [one for one in below if "clients.agents.keeper" in one.cmdline()]


@pytest.mark.parametrize(
    ("victim", "stage"), [("worker", "before GO"), *((part, "in the window") for part in ("worker", "keeper", "load"))]
)
def test_a_killed_part_of_an_agent_is_a_lost_agent(victim, stage, echo_server):
    process = start_clients(
        echo_server.address, "-c", 6, "-d", "60s", "--warmup", "0s", "--agents", "local:3", "--coordinated", env=QUIET
    )
    with process:
        try:
            assert process.stdout.readline() == "CONNECTED 6 6\n"
            if stage == "in the window":
                said(process, f"GO {time.monotonic_ns() + 10**9}")
            if victim == "worker":
                (chosen, *_) = [one.parent() for one in processes_below(process, "clients.agents.keeper")]
            else:
                chosen, *_ = processes_below(process, "--share" if victim == "load" else "clients.agents.keeper")
            chosen.send_signal(signal.SIGKILL)
            assert process.stdout.read() == ""
            why = process.stderr.read()
            assert process.wait(30) == 4, why
        finally:
            process.kill()
    assert why.startswith("clients: agent-lost: agent ")
    assert len(why.splitlines()) == 1


@pytest.mark.parametrize("victim", ["keeper", "load"])
def test_a_stopped_part_of_an_agent_is_a_lost_agent(victim, echo_server):
    process = start_clients(
        echo_server.address, "-c", 6, "-d", "1s", "--warmup", "0s", "--agents", "local:3", "--coordinated", env=QUIET
    )
    with process:
        try:
            assert process.stdout.readline() == "CONNECTED 6 6\n"
            chosen, *_ = processes_below(process, "--share" if victim == "load" else "clients.agents.keeper")
            chosen.suspend()
            process.stdin.write(f"GO {time.monotonic_ns() + 10**9}\n")
            process.stdin.flush()
            began_s = time.monotonic()
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
            if chosen.is_running():
                chosen.kill()
    assert "agent-lost: agent " in said
    assert process.returncode == 4, said
    assert time.monotonic() - began_s < 15  # 2 s of load, 3 s of silence, and the cluster's end


def test_an_interrupt_while_the_cluster_is_made_makes_no_load(echo_server):
    process = start_clients(
        *(echo_server.address, "-c", 6, "-d", "60s", "--agents", "local:3"), env=QUIET, start_new_session=True
    )
    with process:
        try:
            processes_below(process, "--multiprocessing-fork")
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all processes of the command
            out, said = process.communicate(timeout=30)
        finally:
            process.kill()
    assert (process.returncode, out, said) == (130, "", "")


def test_an_interrupt_ends_the_window_and_shows_what_was_measured(echo_server):
    process = start_clients(
        *(echo_server.address, "-c", 6, "-d", "60s", "--warmup", "0s", "--agents", "local:3", "--coordinated"),
        env=QUIET,
        start_new_session=True,
    )
    with process:
        try:
            assert process.stdout.readline() == "CONNECTED 6 6\n"
            start_ns = time.monotonic_ns() + 10**9
            process.stdin.write(f"GO {start_ns}\n")
            process.stdin.flush()
            wait_until(start_ns + 10**9)
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does, to all processes of the command
            out, said = process.communicate(timeout=30)
        finally:
            process.kill()
    result = json.loads(out)
    assert result["interrupted"]
    assert result["replies"] > 0
    assert "Traceback" not in said


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
def test_no_load_is_left_when_the_coordinator_is_lost(number, echo_server):
    process = start_clients(
        echo_server.address, "-c", 6, "-d", "60s", "--warmup", "0s", "--agents", "local:3", "--coordinated", env=QUIET
    )
    with process:
        assert process.stdout.readline() == "CONNECTED 6 6\n"
        process.stdin.write(f"GO {time.monotonic_ns() + 10**9}\n")
        process.stdin.flush()
        started = processes_below(process, "--share") + processes_below(process, "clients.agents.keeper")
        process.send_signal(number)
        try:
            assert left_after(LOST_S, started) == []
            if number == signal.SIGSTOP:
                process.send_signal(signal.SIGCONT)
                assert "agent-lost: agent " in process.communicate(timeout=30)[1]
                assert process.returncode == 4
        finally:
            process.kill()


def test_a_stopped_worker_is_lost_for_the_next_load(echo_server):
    load = Workload(connections=4, warmup_s=0.1, duration_s=0.4)
    asked = json.dumps({"address": echo_server.address, "workload": load.to_json(), "hlog": None, "tag": "t"})
    with held("local:2") as (process, _):
        said(process, asked)
        go(process)
        worker = keepers(process)[1].parent()
        worker.suspend()
        try:
            words = [heard(process)]
            said(process, asked)
            began_s = time.monotonic()
            words.append(heard(process))
            took_s = time.monotonic() - began_s
        finally:
            worker.kill()
    assert [word for word, _ in words] == ["RESULT", "LOST"], words
    assert "is silent: it is stopped" in words[1][1]["said"]
    assert took_s < LOST_S


def test_a_cluster_of_ours_listens_here_only_and_at_no_fixed_port():
    with held("local:2") as (process, _):
        ours = [process, *psutil.Process(process.pid).children(recursive=True)]
        heard_at = [one.laddr for each in ours for one in psutil.Process(each.pid).net_connections("tcp")]
    assert {one.ip for one in heard_at} == {"127.0.0.1"}
    assert 8787 not in {one.port for one in heard_at}, "another cluster wants it, and Dask warns of that"


def test_a_survey_examines_each_agent():
    with held("local:2", "--survey") as (_, (word, found)):
        assert word == "SURVEY"
    assert len(found["agents"]) == 2
    for one in found["agents"]:
        assert one["network"] == found["network"]
        assert abs(one["agent_offset_ns"]) <= one["agent_clock_error_ns"]
        assert {"cores", "load", "descriptors", "ports"} <= {finding["name"] for finding in one["findings"]}


def test_workers_of_a_cluster_share_one_load_after_another(echo_server):
    with scheduler() as address, worker(address), worker(address):
        load = (echo_server.address, "-c", 4, "-d", "0.5s", "--warmup", "0.1s", "--agents", address, "--json")
        runs = [clients(*load, env=QUIET) for _ in range(2)]
        assert of_agents() == []
    for run in runs:
        assert run.status == 0, run.err
        assert len(run["agents"]) == 2
        assert run["sent"] == run["replies"] + run["failed"] + run["in_flight"]
