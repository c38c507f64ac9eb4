"""`echobench run --agents` on Dask clusters: a load that is killed, Ctrl-C, a network between: `nox -s cluster`."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from contextlib import ExitStack

import psutil
import pytest
from helpers.agents import left_after
from helpers.checkout import CHECKOUT
from helpers.elsewhere import PYTHON, Network

from bench.analysis.runs import run_folder

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


def command(*words):
    return [*PYTHON, "bench", "run", *map(str, words)]


def environment(tmp_path):
    return {**os.environ, "PYTHONPATH": str(CHECKOUT), "XDG_CACHE_HOME": str(tmp_path)}


def ended(command, tmp_path):
    return subprocess.run(command, env=environment(tmp_path), capture_output=True, text=True, timeout=200, check=False)


def bench(tmp_path, *words):
    return ended(command(*words), tmp_path)


def loading_below(process, but=()):
    """Return a load generator that an agent has started, as soon as it is in its window: until then it waits."""
    deadline_s, waiting_s = time.monotonic() + 120, {}
    while time.monotonic() < deadline_s:
        for one in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
                if "--share" in one.cmdline() and one not in but and one.net_connections():
                    spent_s = one.cpu_times().user
                    if spent_s > waiting_s.setdefault(one, spent_s) + 0.03:
                        return one
        time.sleep(0.02)  # nothing tells of another process's grandchildren
    raise AssertionError("no agent makes a load")


def test_a_killed_load_costs_its_trial_and_an_interrupt_none(tmp_path):
    words = ("smoke", "--server", "threads", "--agents", "local:2", "--connections", 4, "--duration", "3s")
    out, more = tmp_path / "runs", ("--warmup", "0s", "--no-report")
    process = subprocess.Popen(
        command(*words, *more, "--trials", 2, "--out", out), env=environment(tmp_path), stdout=subprocess.PIPE
    )
    with process:
        try:
            killed = loading_below(process)
            killed.kill()
            loading_below(process, but=(killed,))
            below = psutil.Process(process.pid).children(recursive=True)
            process.send_signal(signal.SIGINT)
            said = process.communicate(timeout=200)[0].decode()
        finally:
            process.kill()
    assert left_after(5, below) == []
    assert process.returncode == 4, said
    assert "Interrupted: go on with `echobench run --resume" in said
    (folder,) = out.iterdir()
    first = run_folder.load(folder)
    assert first.trials["status"].tolist() == ["agent-lost"]
    assert "lost its load generator, which was ended by SIGKILL" in first.trials["status_detail"][0]

    again = bench(tmp_path, "--resume", folder, "--no-report")
    assert again.returncode == 0, again.stdout + again.stderr
    run = run_folder.load(folder)
    assert run.trials["status"].tolist() == ["measured"] * 2
    whole = run.agents.groupby("trial")[["sent", "replies"]].sum()
    assert (whole == run.trials.set_index("trial")[["sent", "replies"]]).all(axis=None)
    assert (run.agents["agent_offset_ns"].abs() <= run.agents["agent_clock_error_ns"]).all()
    assert run.info["load"] == {"agents": 2, "over_network": False}
    assert run.damage == ()
    assert json.loads((folder / "run.json").read_text())["state"] == "complete"


def test_a_scheduler_that_is_not_there_is_wrong_use(tmp_path):
    done = bench(tmp_path, "smoke", "--server", "threads", "--agents", "tcp://127.0.0.1:9", "--out", tmp_path / "runs")
    assert done.returncode == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in done.stderr
    assert not list((tmp_path / "runs").glob("*"))


def test_a_run_over_a_network_is_never_compared_with_one_over_loopback(tmp_path):
    words = ("smoke", "--server", "coroutines", "--connections", 6, "--trials", 1, "--duration", "0.3s", "--no-report")
    with ExitStack() as stack:
        network = Network(stack)
        agents = ("--agents", network.cluster, "--insecure-cluster", "--host", network.hub.address)
        inside = network.hub.inside(*command(*words, *agents, "--out", tmp_path / "far"))
        far = ended(inside, tmp_path)
        at_loopback = ended(network.hub.inside(*command(*words, *agents[:3], "--out", tmp_path / "no")), tmp_path)
    assert far.returncode == 0, far.stdout + far.stderr
    assert at_loopback.returncode == 2
    assert "agents are on other machines, where 127.0.0.1 is not this one: coroutines" in at_loopback.stderr
    near = bench(tmp_path, *words, "--out", tmp_path / "near")
    assert near.returncode == 0, near.stdout + near.stderr
    (there,), (here,) = (tmp_path / "far").iterdir(), (tmp_path / "near").iterdir()
    run = run_folder.load(there)
    assert run.info["load"] == {"agents": 3, "over_network": True}
    for name in ("sent", "replies"):
        assert run.agents[name].sum() == run.trials[name][0] > 0
    assert set(run.agents["host"]) == {machine.address for machine in network.agents}
    compared = ended([*PYTHON, "bench", "compare", str(here), str(there)], tmp_path)
    assert compared.returncode == 5
    assert "load.over_network is False in one and True in the other" in compared.stderr
