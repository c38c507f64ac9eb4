"""`echobench run --agents` on a Dask cluster of this machine, and an agent of it that is killed: `nox -s cluster`."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import time

import psutil
import pytest
from helpers.checkout import CHECKOUT

from bench.analysis.runs import run_folder

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(300)]


def command(*words):
    return [sys.executable, "-P", "-m", "bench", "run", *map(str, words)]


def environment(tmp_path):
    return {**os.environ, "PYTHONPATH": str(CHECKOUT), "XDG_CACHE_HOME": str(tmp_path)}


def bench(tmp_path, *words):
    return subprocess.run(
        command(*words), env=environment(tmp_path), capture_output=True, text=True, timeout=200, check=False
    )


def load_below(process):
    """Return a load generator that an agent has started, as soon as there is one."""
    deadline_s = time.monotonic() + 120
    while time.monotonic() < deadline_s:
        for one in psutil.Process(process.pid).children(recursive=True):
            with contextlib.suppress(psutil.NoSuchProcess, psutil.ZombieProcess, psutil.AccessDenied):
                if "--share" in one.cmdline():
                    return one
        time.sleep(0.02)  # nothing tells of another process's grandchildren
    raise AssertionError("no agent was started")


def test_a_killed_agent_costs_its_trial_and_resume_repeats_it(tmp_path):
    words = ("smoke", "--server", "threads", "--agents", "local:3", "--connections", 6, "--duration", "1s")
    out = tmp_path / "runs"
    process = subprocess.Popen(
        command(*words, "--trials", 3, "--out", out, "--no-report"), env=environment(tmp_path), stdout=subprocess.PIPE
    )
    with process:
        try:
            load_below(process).kill()
            said = process.communicate(timeout=200)[0].decode()
        finally:
            process.kill()
    assert process.returncode == 4, said
    assert "1 trial lost an agent: repeat what is missing with" in said
    (folder,) = out.iterdir()
    first = run_folder.load(folder)
    assert first.trials["status"].tolist() == ["agent-lost", "measured", "measured"]
    assert "agent-lost: agent " in first.trials["status_detail"][0]

    again = bench(tmp_path, "--resume", folder, "--no-report")
    assert again.returncode == 0, again.stdout + again.stderr
    run = run_folder.load(folder)
    assert run.trials["status"].tolist() == ["measured"] * 3
    whole = run.agents.groupby("trial")[["sent", "replies"]].sum()
    assert (whole == run.trials.set_index("trial")[["sent", "replies"]]).all(axis=None)
    assert (run.agents["agent_offset_ns"].abs() <= run.agents["agent_clock_error_ns"]).all()
    assert run.info["load"] == {"agents": 3, "over_network": False}
    assert run.damage == ()
    assert json.loads((folder / "run.json").read_text())["state"] == "complete"


def test_a_scheduler_that_is_not_there_is_wrong_use(tmp_path):
    done = bench(tmp_path, "smoke", "--server", "threads", "--agents", "tcp://127.0.0.1:9", "--out", tmp_path / "runs")
    assert done.returncode == 2
    assert "no Dask scheduler answers at tcp://127.0.0.1:9" in done.stderr
    assert not list((tmp_path / "runs").iterdir())
