"""SIGKILL at random moments of every command that measures: nothing is left, and only the block in flight is lost.

`ECHOBENCH_KILLS=300 nox -s tests_live -- tests/bench/test_killed.py` kills 300 times, which takes 20 minutes.
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from helpers.checkout import CHECKOUT
from helpers.project import Project

from bench.experiment.trial import survivor
from bench.scratch import cleared

KILLS = int(os.environ.get("ECHOBENCH_KILLS", "25"))
WITHIN_S = 2.0
MARK = "ECHOBENCH_KILLED_BY_A_TEST"
SERVERS = ("--server", "threads", "--server", "coroutines")
SET_UP = "setsid sleep 600 & sleep 0.5"
COMMANDS = {
    "run": (("run", "smoke", *SERVERS, "--out", "runs"), 8.0),
    "regress": (
        ("regress", "--base", "HEAD^", "--command", "python -m myserver --port {port}", "--setup", SET_UP),
        12.0,
    ),
    "check": (("check", "threads"), 8.0),
    "calibrate": (("calibrate", "--pairs", "1", "--window", "0.2", "--out", "ceilings.json"), 10.0),
    "search": (("search", "threads", "--first-rate", "500", "-d", "0.5s"), 10.0),
}
"""Each command, and the seconds of it in which it is killed."""

pytestmark = [pytest.mark.live, pytest.mark.timeout(3600)]


@pytest.fixture(scope="module")
def project(tmp_path_factory):
    project = Project(tmp_path_factory.mktemp("killed") / "project")
    for burn in (0, 100):
        project.commit(burn=burn)
    (project.root / "tmp").mkdir()
    return project


def ours():
    """Return what carries the variable that the command was given, and what outlives a bench of this checkout."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            is_survivor = survivor.__file__ in process.cmdline()
            if process.status() != psutil.STATUS_ZOMBIE and (is_survivor or MARK in process.environ()):
                found.append(f"{process.pid} {process.cmdline()}")
    return found


def left_after(before, within_s):
    """Return the processes that are left when the time is up, or none as soon as there is none."""
    deadline_s = time.monotonic() + within_s
    while (left := [one for one in ours() if one not in before]) and time.monotonic() < deadline_s:
        time.sleep(0.02)  # no event tells of the end of a process that is not our child
    return left


def announced(text):
    """Return how many trials a run said it had measured."""
    return sum(line.startswith("[") for line in text.splitlines())


@pytest.mark.parametrize("number", range(KILLS))
def test_a_kill_leaves_nothing_and_loses_the_block_in_flight_only(project, number):
    draw = random.Random(number)
    (words, seconds) = COMMANDS[list(COMMANDS)[number % len(COMMANDS)]]
    before, records_before = ours(), set(project.root.glob("runs/*/trials/*.json"))
    tmp = project.root / "tmp"
    env = {**os.environ, MARK: "1", "PYTHONPATH": str(CHECKOUT), "TMPDIR": str(tmp)}
    heard = project.root / "heard"
    with heard.open("w") as sink:
        command = [sys.executable, "-P", "-m", "bench", *words]
        with subprocess.Popen(command, cwd=project.root, env=env, stdout=sink, stderr=sink) as process:
            with suppress(subprocess.TimeoutExpired):
                process.wait(draw.uniform(0, seconds))
            process.kill()
    assert left_after(before, WITHIN_S) == []
    assert len(project.git("worktree", "list").splitlines()) == 1
    assert not list(tmp.glob("echobench-*/*/tree"))
    assert all(map(cleared, tmp.glob("echobench-*"))), "the next command clears what is left"
    records = set(project.root.glob("runs/*/trials/*.json")) - records_before
    assert all(json.loads(Path(record).read_text()) for record in records)
    if words[0] == "run":
        assert len(records) >= announced(heard.read_text())
