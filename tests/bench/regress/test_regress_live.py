"""The check on this machine, with real servers under real load: each case prints its figure (`nox -s tests_live`).

A busy machine makes a host invalid, which is right and tells nothing about the statistics: so the words of the cells
are counted, which stand whatever the host was.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import math
import os
import shutil
import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from helpers.checkout import CHECKOUT
from helpers.quota import group_with_quota

from bench import limits
from bench.errors import ExitCode
from bench.experiment.drive import Silent, drive
from bench.experiment.planning.catalog import catalog
from bench.experiment.trial.live import live_bench
from bench.regress.planner import Knowledge, PairedCell
from bench.regress.session import Question, session
from bench.verdict.judge import judge
from bench.verdict.pairs import Arm, Observation
from bench.verdict.words import Word
from clients.workload import Workload

pytestmark = [pytest.mark.live, pytest.mark.timeout(1800)]

PAIRS = 12
WORKLOAD = Workload(connections=16, duration_s=0.5, warmup_s=0.4)

ECHO = """
import selectors, time

BURN, PAUSE_S = {burn}, {pause_s}

def serve(listener):
    chosen = selectors.DefaultSelector()
    chosen.register(listener, selectors.EVENT_READ)
    count = 0
    while True:
        for key, _ in chosen.select():
            if key.fileobj is listener:
                chosen.register(listener.accept()[0], selectors.EVENT_READ)
                continue
            count += 1
            for _ in range(BURN):
                pass
            if PAUSE_S and count % 100 == 0:
                time.sleep(PAUSE_S)
            try:
                data = key.fileobj.recv(65536)
                key.fileobj.sendall(data)
            except OSError:
                data = b""
            if not data:
                chosen.unregister(key.fileobj)
                key.fileobj.close()
"""


@pytest.fixture
def echo(tmp_path):
    """Return a function that writes a server which burns some loops per message, or pauses on every hundredth."""

    def write(burn=0, pause_s=0.0):
        path = tmp_path / f"burn{burn:06}-{pause_s:g}.py"
        path.write_text(ECHO.format(burn=burn, pause_s=pause_s))
        return path

    return write


@pytest.fixture
def regress(tmp_path):
    """Return a function that runs the real command, behind a `prefix`, and gives its exit status and its JSON."""

    def run(*arguments, cwd=CHECKOUT, prefix=()):
        done = subprocess.run(
            [
                *prefix,
                sys.executable,
                "-P",
                "-m",
                "bench",
                "regress",
                "--json",
                "--ledger",
                str(tmp_path / "ledger"),
                *arguments,
            ],
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr
        return done.returncode, json.loads(done.stdout)

    return run


def metric(found, name):
    return next(metric for metric in found["cells"][0]["metrics"] if metric["rule"]["metric"] == name)


def in_process(servers, *, measure=None, watcher=None, rules, workload=WORKLOAD, seed=0):
    cell = PairedCell(name="c", servers=servers, workload_name="c16", workload=workload)
    question = Question(cells=(cell,), rules=rules, seed=seed, machine="live", pairs=PAIRS, looks=(PAIRS,))
    with live_bench() as bench:
        experiment = session(question, Knowledge(pair_sd={}, trial_s={}))
        return drive(experiment, bench if measure is None else measure(bench), watcher=watcher)


def both(path):
    return {arm: catalog().file(path, label=f"c@{arm[:4]}") for arm in Arm}


def test_equal_servers_twenty_times(regress):
    given = ("--a", "asyncio-protocol", "--b", "asyncio-protocol", "--pairs", str(PAIRS))
    words = Counter(regress(*given)[1]["cells"][0]["word"] for _ in range(20))
    print(f"live A/A, 20 comparisons of {PAIRS} pairs: {dict(words)}")
    assert words[Word.REGRESSED] + words[Word.IMPROVED] <= 3


def loops_for(path_of, share):
    """Find how many loops raise the CPU per reply by a share.

    In three steps, since a server that burns has fewer idle moments, and each of these costs CPU too.
    """
    loops, rule = 100.0, _rule("server_cpu_us_per_reply")
    for seed in range(3):
        paths = {Arm.BASELINE: path_of(0), Arm.CANDIDATE: path_of(round(loops))}
        servers = {arm: catalog().file(path, label=f"c@{arm[:4]}") for arm, path in paths.items()}
        raised = in_process(servers, rules=(rule,), seed=seed).comparison.cells[0].metrics[0].slowdown.value
        loops *= min(4.0, max(0.25, share / max(raised, 0.01)))
    return round(loops)


def _rule(name):
    from bench.verdict.rules import RULES

    return dataclasses.replace(next(rule for rule in RULES if rule.metric == name), gating=True)


@pytest.mark.parametrize(("share", "least"), [(0.20, 9), (0.10, 8)])
def test_burnt_cpu_is_found(regress, echo, share, least):
    slower = echo(loops_for(echo, share))
    runs = [regress("--a", str(echo()), "--b", str(slower), "--pairs", str(PAIRS))[1] for _ in range(10)]
    found = sum(metric(run, "server_cpu_us_per_reply")["word"] == Word.REGRESSED for run in runs)
    cpu, rate = (
        np.median([metric(run, name)["change"]["value"] for run in runs])
        for name in ("server_cpu_us_per_reply", "replies_per_s")
    )
    sensitivity = -math.log1p(rate) / math.log1p(cpu)
    expected = np.median([run["cells"][0]["sensitivity"] for run in runs])
    print(f"live injection of {share:.0%}: achieved {cpu:+.1%} CPU per reply, {found} of 10 found")
    print(f"throughput moved by {rate:+.1%}: {sensitivity:.2f} of what the server's CPU moved, {expected:.2f} expected")
    assert found >= least
    assert sensitivity >= expected / 2


def test_a_pause_moves_the_tail_far_more_than_the_cpu(regress, echo):
    """It moves that too, by what it costs to fall asleep and to wake up: on a virtual machine some per cent."""
    found = regress("--a", str(echo()), "--b", str(echo(pause_s=0.0002)), "--pairs", str(PAIRS))[1]
    p99, cpu = metric(found, "response_p99_ns"), metric(found, "server_cpu_us_per_reply")
    print(
        f"live pause of 200 us in every hundredth: p99 {p99['change']['value']:+.0%}, CPU {cpu['change']['value']:+.1%}"
    )
    assert p99["change"]["value"] > 0.10
    assert cpu["change"]["value"] < p99["change"]["value"] / 5


class BusyFromTheMiddle(Silent):
    """A watcher that starts a busy loop, of the lowest priority, once half of the trials are done."""

    def __init__(self, stack):
        self.stack = stack
        self.values = []

    def ended(self, result):
        self.values.append(result.metrics.get("replies_per_s"))
        if len(self.values) == PAIRS:
            burner = subprocess.Popen(["nice", "-n", "19", sys.executable, "-c", "while True: pass"])
            self.stack.callback(burner.wait)
            self.stack.callback(burner.kill)


def test_a_noise_that_begins_in_the_middle_is_not_a_regression(echo):
    rule, words, blocks = _rule("replies_per_s"), Counter(), Counter()
    for seed in range(10):
        with contextlib.ExitStack() as stack:
            watcher = BusyFromTheMiddle(stack)
            compared = in_process(both(echo()), watcher=watcher, rules=(rule,), seed=seed)
        words[compared.comparison.cells[0].word] += 1
        rows = [
            Observation(cell="c", pair=i % PAIRS, arm=list(Arm)[i // PAIRS], values={rule.metric: value})
            for i, value in enumerate(watcher.values)
        ]
        blocks[judge(rows, cells=["c"], looks=(PAIRS,), rules=(rule,)).word] += 1
    print(f"live noise trap, A/A: {dict(words)}; the same trials as two blocks: {dict(blocks)}")
    assert words[Word.REGRESSED] <= 2


def test_a_generator_that_is_the_limit_is_invalid(echo):
    workload = WORKLOAD.replace(pipeline=64, message_bytes=64)
    compared = in_process(both(echo()), rules=(_rule("replies_per_s"),), workload=workload)
    print(f"live saturation: {compared.comparison.host_problem or compared.comparison.cells[0].reason}")
    assert compared.comparison.exit_code() is ExitCode.INVALID
    assert compared.comparison.host_problem or "load generator used" in compared.comparison.cells[0].reason


def test_a_project_not_written_here_with_a_slower_second_commit(project, regress):
    base = project.commit(0)
    project.commit(4000)
    command = f"{sys.executable} -m myserver --port {{port}}"
    amount = ("-c", "1", "--pairs", str(PAIRS))
    code, found = regress("--base", base, "--command", command, "--setup", "", *amount, cwd=project.root)
    print(f"live foreign repository: exit {code}, {found['cells'][0]['reason']}")
    assert found["cells"][0]["word"] == Word.REGRESSED
    assert code == ExitCode.REGRESSED or found["host_problem"]
    assert "slower, and beyond chance" in found["cells"][0]["reason"]


@pytest.mark.parametrize(("cpus", "is_enough"), [(0.6, False), (1.8, True)])
def test_a_quota_of_cpu_time_convicts_no_equal_code(project, regress, cpus, is_enough):
    project.commit(0)
    command = f"{sys.executable} -m myserver --port {{port}}"
    asked = ("--base", "HEAD", "--command", command, "--setup", "", "-c", "1", "--pairs", str(PAIRS))
    with group_with_quota(cpus) as procs:
        prefix = ("/bin/sh", "-c", 'echo $$ >"$0"; exec "$@"', str(procs))
        code, found = regress(*asked, cwd=project.root, prefix=prefix)
    print(f"live quota of {cpus} CPUs: exit {code}, {found['host_problem'] or found['cells'][0]['reason']}")
    assert code != ExitCode.REGRESSED
    if not is_enough and found["facts"]["machine_foreign_cpu_share"] > limits.FOREIGN_CPU.doctor_warns:
        pytest.skip("other processes leave us less than the quota does, so it stops nothing")
    assert ("the CPU quota of the cgroup stopped" in found["host_problem"]) is not is_enough
    assert is_enough or code == ExitCode.INVALID


@pytest.mark.parametrize("field", [("interpreter", "version"), ("libraries", "uvloop"), ("machine", "cpu_model")])
def test_a_stale_baseline_is_refused_with_the_field(tmp_path, field):
    def bench(*arguments):
        return subprocess.run(
            [sys.executable, "-P", "-m", "bench", *arguments],
            cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    bench("run", "smoke", "--server", "threads", "--trials", "2", "--out", str(tmp_path / "results"))
    (run,) = (tmp_path / "results").iterdir()
    stale = tmp_path / "stale"
    shutil.copytree(run, stale)
    info = json.loads((stale / "run.json").read_text())
    info[field[0]][field[1]] = "0.0.0"
    (stale / "run.json").write_text(json.dumps(info))
    done = bench("compare", str(stale), str(run))
    print(done.stderr.strip())
    assert done.returncode == ExitCode.NO_BASELINE
    assert ".".join(field) in done.stderr
