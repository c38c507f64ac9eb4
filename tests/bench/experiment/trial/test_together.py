"""Blocks of several trials with real servers, right and wrong ones: each fails alone, and the others are measured."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import sys
import threading
from dataclasses import replace
from functools import partial

import psutil
import pytest
from helpers.checkout import CHECKOUT

from bench.experiment import schema
from bench.experiment.doubts import Doubt
from bench.experiment.drive import drive
from bench.experiment.host.cgroups import CgroupClock
from bench.experiment.host.machine import join_cpus
from bench.experiment.model import Block, BlockInterrupted, Server, Status, Trial
from bench.experiment.planning.catalog import catalog
from bench.experiment.planning.plan import NamedWorkload, Plan
from bench.experiment.rounds import rounds
from bench.experiment.trial.block_generator import BlockGenerator
from bench.experiment.trial.live import live_bench
from bench.slices import log_ratio
from clients.workload import Workload

WORKLOAD = Workload(connections=2, message_bytes=128, warmup_s=0.04, duration_s=0.2, timeout_s=0.3, seed=5)


def script(name, code, **fields):
    return Server(name=name, command=(sys.executable, "-c", code, "{port}"), **fields)


DIES = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("READY 127.0.0.1", listener.getsockname()[1], flush=True)
client, _ = listener.accept()
for _ in range(50):
    client.sendall(client.recv(65536))
print("enough", file=sys.stderr, flush=True)
os._exit(3)
"""
NEVER_READY = "import sys; sys.exit('no such loop')"


EXCLUSIVE = """
import fcntl, os, socket, sys, threading
lock = open(sys.argv[2], "a")
fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("READY 127.0.0.1", listener.getsockname()[1], flush=True)
def echo(client):
    while data := client.recv(65536):
        client.sendall(data)
while True:
    threading.Thread(target=echo, args=listener.accept()[:1], daemon=True).start()
"""
FORKS_LATE = """
import os, select, signal, socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("READY 127.0.0.1", listener.getsockname()[1], flush=True)
first_s, child, clients = None, None, []
while True:
    for one in select.select([listener, *clients], [], [])[0]:
        if one is listener:
            clients.append(listener.accept()[0])
        elif data := one.recv(65536):
            one.sendall(data)
            first_s = first_s or time.monotonic()
            if child is None and time.monotonic() - first_s > 0.25:
                child = os.fork()
                if not child:
                    began_s = time.process_time()
                    while time.process_time() < began_s + 0.05: pass
                    signal.pause()
        else:
            clients.remove(one)
"""


DROPS_CHILDREN = """
import os, signal, socket, sys
signal.signal(signal.SIGCHLD, signal.SIG_IGN)
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("READY 127.0.0.1", listener.getsockname()[1], flush=True)
while True:
    client, _ = listener.accept()
    if os.fork():
        client.close()
    else:
        while data := client.recv(65536):
            client.sendall(data)
        os._exit(0)
"""
"""A process for each connection, and the kernel drops the count of what each has used."""

DIES_AT_A_CLOSE = EXCLUSIVE.replace("        client.sendall(data)\n", "        client.sendall(data)\n    os._exit(3)\n")


NUMBERS = itertools.count(1)
"""No two trials have the same number, as in a run: their logs are named by it."""


def block(*servers, workload=WORKLOAD, generator="python"):
    return Block(
        trials=tuple(
            Trial(
                number=next(NUMBERS),
                round=1,
                block=1,
                server=server,
                workload_name="w",
                workload=workload,
                generator=generator,
            )
            for server in servers
        )
    )


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """Return a bench whose generator stays for all blocks, as in a run."""
    with live_bench(logs=tmp_path_factory.mktemp("logs")) as made:
        yield made


@pytest.fixture(scope="module")
def ours():
    return partial(catalog().server, binds_itself=True)


def test_a_block_measures_every_server_with_everything_that_was_asked(bench, ours):
    results = bench(block(ours("coroutines"), ours("threads"), ours("asyncio-protocol")))
    for result in results:
        metrics = result.metrics
        assert (result.status, result.detail) == (Status.MEASURED, "")
        assert set(metrics) <= {column.name for column in schema.TRIALS}
        assert metrics["window_s"] == pytest.approx(sum(one["slice_s"] for one in result.slices))
        assert metrics["replies"] == sum(one["replies"] for one in result.slices)
        assert metrics["replies_per_s"] == pytest.approx(metrics["replies"] / metrics["window_s"])
        assert metrics["server_cpu_us_per_reply"] == pytest.approx(1e6 * metrics["server_cpu_s"] / metrics["replies"])
        assert metrics["server_rss_max_bytes"] > 1 << 20
        assert metrics["server_ctx_voluntary_per_reply"] >= 0
        assert metrics["server_idle_cpu_share"] >= 0
        assert ("machine_throttled_share" in metrics) == (CgroupClock().read() is not None)
        assert 0 < metrics["client_cpu_share"] < 2
        assert metrics["interpreter"] == result.trial.server.interpreter
        assert metrics["server_cpus"] == join_cpus(bench.cores.server)
        assert [one["pass"] for one in result.slices] == list(range(1, len(result.slices) + 1))
        assert set(result.slices[0]) <= {column.name for column in schema.SLICES}
        assert all(line.startswith(f"Tag={result.trial.number:04}.") for line in result.hlog.splitlines())
        assert f"Tag={result.trial.number:04}.response," in result.hlog
        assert {sample["process"] for sample in result.samples} == {"server", "client", "machine"}
    assert abs(log_ratio(results[0].slices, results[1].slices, "server_cpu_us_per_reply")) < 2
    assert not list(bench.logs.glob("*-hlog"))


def test_a_server_that_does_not_start_fails_its_own_trial_only(bench, ours):
    right, wrong, other = bench(block(ours("coroutines"), script("broken", NEVER_READY), ours("threads")))
    assert (right.status, other.status) == (Status.MEASURED, Status.MEASURED)
    assert wrong.status is Status.NOT_READY
    assert "no such loop" in wrong.detail
    assert log_ratio(right.slices, other.slices, "replies_per_s") is not None


def test_a_block_in_which_nothing_starts_has_a_reason_for_each(bench):
    results = bench(block(script("one", NEVER_READY), script("two", NEVER_READY)))
    assert [result.status for result in results] == [Status.NOT_READY] * 2


def test_a_server_that_dies_fails_its_own_trial_only(bench, ours):
    right, dead = bench(block(ours("coroutines"), script("mortal", DIES)))
    assert right.status is Status.MEASURED
    assert not right.metrics["errors"]
    assert dead.status is Status.SERVER_DIED
    assert "mortal ended with status 3 in mid-trial; its log ends:\n  | enough" in dead.detail


def test_what_a_block_measured_stays_if_a_server_dies_at_the_end(bench, ours, tmp_path):
    command = (sys.executable, "-c", DIES_AT_A_CLOSE, "{port}", str(tmp_path / "lock"))
    dead, right = bench(block(Server(name="mortal", command=command), ours("coroutines")))
    assert (dead.status, dead.detail) == (Status.MEASURED, "")
    assert log_ratio(dead.slices, right.slices, "replies_per_s") is not None


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("others", [0, 1])
def test_a_server_that_drops_its_children_shows_no_cpu(bench, ours, others):
    servers = [script("drops", DROPS_CHILDREN), *[ours("coroutines")] * others]
    dropping, *calm = bench(block(*servers, workload=WORKLOAD.replace(requests_per_connection=5)))
    assert (dropping.status, dropping.metrics["errors"]) == (Status.MEASURED, 0), dropping.detail
    assert Doubt.CPU_LOST in dropping.doubts
    assert not [name for name in dropping.metrics if name.startswith("server_cpu_")], "neither zero nor a part of it"
    assert {one["server_cpu_s"] for one in dropping.slices} <= {None}
    assert all(one.metrics["server_cpu_us_per_reply"] > 0 for one in calm)


def test_a_wrong_echo_fails_its_own_trial_only(bench, ours):
    bad = catalog().file(CHECKOUT / "tests" / "known_bad" / "wrong_byte.py", label="bad")
    workload = WORKLOAD.replace(message_bytes=4096)  # long enough to hold the byte that it gets wrong
    right, wrong = bench(block(ours("coroutines"), bad, workload=workload))
    assert right.status is Status.MEASURED
    assert wrong.status is Status.WRONG_ECHO


def test_a_server_that_is_busy_out_of_turn_is_doubted(bench, ours, tmp_path):
    file = tmp_path / "busy.py"
    file.write_text(
        "import threading, time\nfrom servers.threads import serve as echo\n"
        "def burn():\n"
        "    while True:\n"
        "        until = time.perf_counter() + 0.002\n"
        "        while time.perf_counter() < until: pass\n"
        "        time.sleep(0.002)\n"  # or each reply waits for the thread that burns
        "def serve(listener):\n    threading.Thread(target=burn, daemon=True).start()\n    echo(listener)\n"
    )
    calm, busy = bench(block(ours("coroutines"), catalog().file(file, label="busy")))
    assert Doubt.DISTURBS in busy.doubts
    assert Doubt.DISTURBS not in calm.doubts


def test_one_loader_process_serves_block_after_block(bench, ours):
    first = bench(block(ours("coroutines"), ours("threads")))
    second = bench(block(ours("coroutines"), ours("threads")))
    assert {result.status for result in (*first, *second)} == {Status.MEASURED}
    assert all(result.hlog.startswith(f"Tag={result.trial.number:04}.") for result in second)


def test_a_fork_loads_one_server_as_a_process_of_its_own_does(bench, ours):
    alone = block(ours("coroutines"))
    (one,), (other,) = replace(bench, forks=True)(alone), bench(alone)
    assert (one.status, other.status) == (Status.MEASURED, Status.MEASURED)
    assert set(one.metrics) == set(other.metrics)
    assert 0 < one.metrics["client_cpu_share"] < 2
    assert one.hlog.startswith(f"Tag={one.trial.number:04}.")


def test_the_next_block_starts_when_no_server_of_the_last_one_lives(bench, tmp_path):
    """The same server twice at one time would find its lock taken."""
    command = (sys.executable, "-S", "-c", EXCLUSIVE, "{port}")
    servers = [Server(name=name, command=(*command, str(tmp_path / f"{name}.lock"))) for name in ("one", "two")]
    first, second = block(*servers), block(*servers)
    results = bench(replace(first, following=second.trials))
    early = {one.pid for one in bench.early._launch._found}
    results += bench(second)
    assert [(result.status, result.detail) for result in results] == [(Status.MEASURED, "")] * 4
    assert len(early) == 2
    assert not any(map(psutil.pid_exists, early)), "they were the servers of the second block, and have ended with it"


def test_the_cpu_of_a_process_that_comes_late_is_in_the_trial(bench, ours):
    late, calm = bench(block(script("late", FORKS_LATE), ours("coroutines")))
    assert {one["server_cpu_s"] for one in late.slices} == {None}
    assert late.metrics["server_cpu_s"] > 0.05 / 2
    assert all(one["server_cpu_s"] > 0 for one in calm.slices)


def test_a_loader_that_was_killed_is_started_again(bench, ours):
    bench(block(ours("coroutines"), ours("threads")))
    os.kill(bench.generator._child.pid, signal.SIGKILL)
    again = bench(block(ours("coroutines"), ours("threads")))
    assert {result.status for result in again} == {Status.MEASURED}


class Interrupted(BlockGenerator):
    """A generator whose load is interrupted by Ctrl-C half a second after the word to go."""

    def go(self, start_ns):
        super().go(start_ns)
        self.timer = threading.Timer(0.5, os.kill, (os.getpid(), signal.SIGINT))
        self.timer.start()

    def stop(self):
        super().stop()
        self.timer.join()


def test_an_interrupted_block_keeps_its_whole_passes(bench, ours):
    long = block(ours("coroutines"), ours("threads"), workload=WORKLOAD.replace(duration_s=30.0))
    with (
        Interrupted(log=bench.logs / "generator.log", cpus=bench.cores.client) as generator,
        pytest.raises(BlockInterrupted) as raised,
    ):
        replace(bench, generator=generator)(long)
    passes = {len(result.slices) for result in raised.value.results}
    assert len(passes) == 1
    assert 5 <= passes.pop() < 1500
    assert {result.status for result in raised.value.results} == {Status.MEASURED}


def test_a_run_that_is_interrupted_in_a_block_keeps_what_was_whole(bench, ours):
    plan = Plan(
        name="p",
        servers=(ours("coroutines"), ours("threads")),
        workloads=(NamedWorkload(name="w", workload=WORKLOAD.replace(duration_s=30.0)),),
        rounds=5,
        seed=1,
    )
    kept = []
    with Interrupted(log=bench.logs / "generator.log", cpus=bench.cores.client) as generator:
        tally = drive(rounds(plan), replace(bench, generator=generator), keep=kept.append)
    assert tally.was_interrupted
    assert [result.status for result in kept] == [Status.MEASURED] * 2


@pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler on the PATH")
def test_the_reference_generator_loads_a_block_with_the_same_columns(bench, ours):
    servers = ours("coroutines"), ours("threads")
    by_ours = bench(block(*servers))
    by_reference = bench(block(*servers, generator="reference"))
    for one, other in zip(by_ours, by_reference, strict=True):
        assert other.status is Status.MEASURED, other.detail
        missing = set(one.metrics) - set(other.metrics)
        rare = {name for name in missing if name.endswith("_p999_ns")}  # a busy machine answers too few for them
        assert {name for name in missing - rare if not name.startswith(("connect_", "server_"))} == set()
        assert len(other.slices) == len(one.slices)
    assert abs(log_ratio(by_reference[0].slices, by_reference[1].slices, "server_cpu_us_per_reply")) < 2
