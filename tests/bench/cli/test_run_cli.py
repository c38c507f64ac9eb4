"""`echobench run` as a person runs it: whole, wrong, interrupted and resumed; and `echobench servers`."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time

import pandas as pd
import psutil
import pytest
from helpers.checkout import CHECKOUT
from helpers.source_copy import SourceCopy
from helpers.tracing import untraced

import bench
from bench.cli import COMMANDS, main
from bench.experiment.schema import SCHEMA_VERSION

pytestmark = pytest.mark.traced

SHORT = ("--connections", "1", "--duration", "200ms", "--warmup", "50ms", "--trials", "1", "--seed", "3")
PLAIN = (*SHORT, "--no-report")


@pytest.fixture(scope="module")
def frozen(tmp_path_factory):
    """Copy the packages: nothing else is there to import, as where they were installed."""
    folder = tmp_path_factory.mktemp("checkout")
    SourceCopy(folder, packages=("bench", "clients", "servers"))
    return folder


@pytest.fixture
def echobench(frozen, tmp_path):
    """Run the command in a folder and process of its own, with nothing installed. The C is compiled once for all."""

    def start(*arguments, code=frozen):
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "bench", *map(str, arguments)],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": str(code), "XDG_CACHE_HOME": str(frozen / "cache")},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(*arguments):
        process = start(*arguments)
        out, err = process.communicate(timeout=100)
        return process.returncode, out, err

    run.start = start
    return run


@pytest.fixture
def here(frozen, tmp_path, monkeypatch, capsys):
    """Run the command in this process, in a folder of its own: where a process of its own proves nothing more.

    What it starts is not traced: tests of servers and of the generator run these lines.
    """
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(frozen / "cache"))
    monkeypatch.setattr("signal.signal", lambda *_: None)

    def run(*arguments):
        monkeypatch.setattr("sys.argv", ["echobench", *map(str, arguments)])
        with untraced():
            status = main()
        return status, *capsys.readouterr()

    return run


def the_run(folder):
    (found,) = folder.iterdir()
    return found


def test_a_whole_run_leaves_the_folder_of_the_contract(echobench, tmp_path):
    with untraced():  # what it runs and draws, tests in this process run too
        status, out, err = echobench("run", "smoke", "--server", "threads", *SHORT, "--out", tmp_path / "out")
    assert (status, err) == (0, "")
    run = the_run(tmp_path / "out")
    assert {"run.json", "trials.parquet", "monitor.parquet", "timeline.parquet", "latency.hlog", "report.html"} <= {
        path.name for path in run.iterdir()
    }
    assert list((run / "plots").glob("*.svg"))
    info = json.loads((run / "run.json").read_text())
    assert (info["schema_version"], info["state"], info["plan"]["seed"]) == (SCHEMA_VERSION, "complete", 3)
    assert info["command"] == [
        "echobench",
        "run",
        "smoke",
        "--server",
        "threads",
        *SHORT,
        "--out",
        str(tmp_path / "out"),
    ]
    assert info["machine"]["cpus"] == os.cpu_count()
    assert info["interpreter"]["executable"] == sys.executable
    assert info["libraries"]["psutil"] == psutil.__version__
    assert info["libraries"]["echobench"] == bench.__version__
    assert info["git"] is None
    trials = pd.read_parquet(run / "trials.parquet")
    assert list(trials["status"]) == ["measured"]
    assert list(trials["workload"]) == ["c1-1KiB"]
    assert f"Report: {run}/report.html" in out
    share = info["windows_s"] / info["wall_s"]
    assert info["windows_s"] == pytest.approx(0.2, rel=0.2)
    shown = float(re.search(r"^Measured for .* \(([\d.]+) %\)", out, re.MULTILINE)[1])
    assert shown == pytest.approx(100 * share, abs=0.051)


BAD = """
    [[server]]
    name = "silent"
    command = "sleep 60"
    ready = "line"
    ready_timeout_s = 0.2
    [[server]]
    name = "dies"
    command = ["sh", "-c", "echo 'no such loop' >&2; exit 3"]
    [[server]]
    name = "wrong"
    command = ["{python}", "{server}", "{{port}}"]
    [[workload]]
    duration_s = 0.2
    warmup_s = 0.05
"""
WRONG = """
    import socket, sys, threading
    def talk(client):
        with client:
            while data := client.recv(65536):
                client.sendall(bytes(len(data)))
    listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
    while True:
        threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()
"""


def test_bad_servers_are_rows_with_a_status_and_the_run_goes_on(here, tmp_path):
    (tmp_path / "wrong.py").write_text(textwrap.dedent(WRONG))
    plan = tmp_path / "bad.toml"
    plan.write_text(BAD.format(python=sys.executable, server=tmp_path / "wrong.py"))
    status, out, _ = here("run", plan, "--trials", "1", "--no-report", "--out", tmp_path / "refused")
    assert status == 4
    trials = pd.read_parquet(the_run(tmp_path / "refused") / "trials.parquet").set_index("server")
    assert trials["status"].to_dict() == {"silent": "not-ready", "dies": "not-ready", "wrong": "nonconforming"}
    assert "no such loop" in trials["status_detail"]["dies"]
    assert "echo: " in trials["status_detail"]["wrong"]
    assert "no such loop" in out

    anyway = ("--anyway", "--server", "wrong", "--no-report", "--out", tmp_path / "anyway")
    status, out, _ = here("run", plan, "--trials", "1", *anyway)
    assert status == 4
    trials = pd.read_parquet(the_run(tmp_path / "anyway") / "trials.parquet")
    assert list(trials["status"]) == ["wrong-echo"]
    assert "nonconforming" in trials["doubts"][0]


def test_an_interrupt_keeps_what_was_measured_and_resume_measures_the_rest(echobench, here, tmp_path):
    chosen = ("--server", "threads", *PLAIN, "--trials", "3", "--out", tmp_path / "out")
    process = echobench.start("run", "smoke", *chosen, code=CHECKOUT)  # a run is resumed by its own code, which is here
    first = [process.stdout.readline() for _ in range(2)]
    assert first[1].startswith("[1/3] threads c1-1KiB: ")
    children = psutil.Process(process.pid).children(recursive=True)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (4, "")
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]
    run = the_run(tmp_path / "out")
    assert f"echobench run --resume {run}" in out
    assert json.loads((run / "run.json").read_text())["state"] == "partial"
    assert 1 <= len(pd.read_parquet(run / "trials.parquet")) < 3

    status, out, err = here("run", "--resume", run, "--no-report")
    assert (status, err) == (0, "")
    assert json.loads((run / "run.json").read_text())["state"] == "complete"
    trials = pd.read_parquet(run / "trials.parquet")
    assert list(trials["trial"]) == [1, 2, 3]
    assert list(trials["status"]) == ["measured"] * 3

    status, _, err = here("run", "--resume", run, "--more", "--trials", "1", "--no-report")
    assert (status, err) == (0, "")
    trials = pd.read_parquet(run / "trials.parquet")
    assert list(trials["trial"]) == list(trials["round"]) == [1, 2, 3, 4]
    info = json.loads((run / "run.json").read_text())
    assert (info["state"], info["plan"]["trials"], info["plan"]["seed"]) == ("complete", 4, 3)

    status, _, err = here("run", "--resume", run)
    assert (status, err) == (2, f"echobench: {run} is complete: add to it with `echobench run --resume {run} --more`\n")


def test_a_terminated_run_ends_its_children_too(echobench, tmp_path):
    process = echobench.start(
        "run", "smoke", "--server", "threads", *PLAIN, "--duration", "60s", "--out", tmp_path / "out"
    )
    process.stdout.readline()
    parent = psutil.Process(process.pid)
    deadline = time.monotonic() + 30
    while len(children := parent.children()) < 2 and time.monotonic() < deadline:
        os.sched_yield()
    process.terminate()
    process.communicate(timeout=60)
    assert len(children) == 2
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["rnu"], "unknown command 'rnu': did you mean 'run'?"),
        (["run", "quikc"], "unknown preset 'quikc': did you mean 'quick'?"),
        (["run", "smoke", "--server", "treads"], "unknown server 'treads': did you mean 'threads'?"),
        (["run", "smoke", "--server", "x=/no/such {port}"], "x: cannot run '/no/such': there is no such program"),
        (["run", "smoke", "--server", "asyncio"], "choose one of asyncio-buffered, asyncio-protocol, asyncio-"),
        (["run", "smoke", "--server", "./noserve.py"], "defines no serve(listener)"),
        (["run", "smoke", "--connections", "1,x"], "--connections is 'x', and must be a whole number, 1 or more"),
        (["run", "smoke", "--duration", "0s"], "--duration is 0.0, and must be a number of seconds above 0"),
        (["run", "smoke", "--target", "127.0.0.1"], "write HOST:PORT"),
        (["run", "smoke", "--until", "0"], "--until 0 cannot be reached"),
        (["run", "smoke", "--until", "soon"], "--until is 'soon', and must be a percentage, such as 2%"),
        (["run", "smoke", "--server", "threads", "--until", "2%"], "measure several servers in blocks"),
        (["run", "smoke", "--baseline", "theads"], "unknown server of this plan 'theads': did you mean 'threads'?"),
        (["run", "smoke", "--out", "/proc/nowhere"], "choose another folder with --out"),
        (["run", "--resume", ".", "--trials", "3"], "leave the other options out"),
        (["run", "--trials", "0"], "Invalid value for '--trials'"),
    ],
)
def test_wrong_use_is_one_sentence_and_status_2_before_any_trial(here, tmp_path, arguments, words):
    (tmp_path / "noserve.py").write_text("x = 1\n")
    status, out, err = here(*arguments)
    assert status == 2
    assert words in err
    assert "Traceback" not in err
    assert out == ""
    assert not (tmp_path / "results").exists() or not list((tmp_path / "results").iterdir())


def test_a_dry_run_says_what_would_be_measured_and_measures_nothing(here, tmp_path):
    chosen = ("--server", "sequential", "--server", "threads", "--seed", "7")
    status, out, err = here("run", "quick", *chosen, "--dry-run")
    assert (status, err) == (0, "")
    assert "for 4 min, seed 7." in out
    status, out, _ = here("run", "quick", *chosen, "--design", "solo", "--trials", "3", "--dry-run")
    assert re.search(r"15 trials, about [1-9][\d.]+ s, or for 4 min, seed 7\.", out)
    assert "sequential serves 1 at a time, at most" in out
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ((), ["errors > 0"]),
        (
            ("threads: p99 > 5ms", "threads c2-1KiB: p50 >= 1ms"),
            ["p99 > 5ms with threads", "p50 >= 1ms with threads under c2-1KiB"],
        ),
    ],
)
def test_a_dry_run_lists_the_thresholds_that_hold(here, tmp_path, rules, said):
    plan = tmp_path / "mine.toml"
    plan.write_text(
        'servers = ["threads"]\ntrials = 1\n[[workload]]\nconnections = 2\n'
        '[[threshold]]\nmetric = "errors"\ncomparison = ">"\nvalue = 0\n'
    )
    options = [word for rule in rules for word in ("--fail-if", rule)]
    status, out, err = here("run", str(plan), *options, "--dry-run")
    assert (status, err) == (0, "")
    assert out.splitlines()[-len(said) :] == [f"It fails if {rule}." for rule in said]
    assert out.count("It fails") == len(said)


def test_a_server_that_runs_already_is_measured_and_left_alone(here, tmp_path):
    (tmp_path / "mine.py").write_text(
        textwrap.dedent("""
            import socket, threading
            def talk(client):
                try:
                    while data := client.recv(65536):
                        client.sendall(data)
                except OSError:
                    pass
                client.close()
            listener = socket.create_server(("127.0.0.1", 0))
            print(listener.getsockname()[1], flush=True)
            while True:
                threading.Thread(target=talk, args=(listener.accept()[0],), daemon=True).start()
        """)
    )
    with subprocess.Popen([sys.executable, tmp_path / "mine.py"], stdout=subprocess.PIPE, text=True) as theirs:
        try:
            target = f"127.0.0.1:{int(theirs.stdout.readline())}"
            for more, known in (((), False), (("--pid", theirs.pid), True)):
                out = tmp_path / f"out-{known}"
                status, _, err = here("run", "smoke", "--target", target, *more, *PLAIN, "--out", out)
                assert (status, err) == (0, "")
                trials = pd.read_parquet(the_run(out) / "trials.parquet")
                assert trials["server_cpu_s"].notna().all() == known
            assert theirs.poll() is None
        finally:
            theirs.kill()


def test_help_lists_every_command_that_there_is(here):
    status, out, _ = here("--help")
    assert status == 0
    for name in COMMANDS:
        assert f"  {name} " in out
        assert (CHECKOUT / "bench" / "cli" / f"{name}.py").exists(), f"{name} is listed and not written"


def test_servers_are_listed_for_people_and_for_programs(here):
    status, out, err = here("servers")
    assert (status, err) == (0, "")
    assert "  threads " in out
    status, out, err = here("servers", "--json")
    rows = {row["name"]: row for place in json.loads(out)["interpreters"] for row in place["servers"]}
    assert rows["threads"]["runnable"] is True
    assert rows["sequential"]["connections_max"] == 1
