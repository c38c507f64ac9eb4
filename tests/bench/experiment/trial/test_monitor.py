"""What the monitor sees of real processes that do a known thing, and what it says when it can see no more."""

from __future__ import annotations

import gc
import itertools
import os
import secrets
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from helpers.tracing import untraced

from bench.experiment.host.cgroups import Stops
from bench.experiment.host.machine import usable_cpus
from bench.experiment.schema import MONITOR, TRIALS
from bench.experiment.trial import block_monitor, lifeline, orphans, procfs
from bench.experiment.trial import monitor as monitor_module
from bench.experiment.trial import tree as tree_module
from bench.experiment.trial.block_monitor import BlockMonitor
from bench.experiment.trial.monitor import APART_SHARE, Edge, Monitor, edge_metrics
from bench.experiment.trial.procfs import GONE, Cpu, Machine, MachineClock, cpu_clock_s
from bench.experiment.trial.side import Side
from bench.experiment.trial.tree import Tree

SPIN = "while True: pass"
IDLE = "print('idle', flush=True); input()"
HOLD = "import sys; block = bytearray(b'x') * (64 << 20); print('held', flush=True); input()"
THREADS = """
import threading
def wait():
    with lock: pass
lock = threading.Lock()
lock.acquire()
threads = [threading.Thread(target=wait) for _ in range(5)]
for thread in threads: thread.start()
print('started', flush=True)
input()
lock.release()
"""


class Running:
    """A Python child that runs some code, and ends when the test does."""

    def __init__(self, code, *, is_apart=False, **env):
        self.code, self.env, self.is_apart = code, {**os.environ, **env}, is_apart

    def __enter__(self):
        command, pipes = [sys.executable, "-c", self.code], {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        with untraced():
            self.process = subprocess.Popen(command, text=True, env=self.env, start_new_session=self.is_apart, **pipes)
        return self.process

    def __exit__(self, *_):
        self.process.kill()
        self.process.communicate()


def watch(server_pid, client_pid, window_s=0.3, lead_s=0.06):
    start_ns = time.monotonic_ns() + round(lead_s * 1e9)
    with Monitor(server_pid, client_pid, (start_ns, start_ns + round(window_s * 1e9)), usable_cpus()) as monitor:
        return monitor.result()


def watch_block(server_pid, client_pid):
    """Return what a block's monitor saw of its only server, in a sample at least."""
    with BlockMonitor([server_pid], client_pid, usable_cpus()) as monitor:
        while not monitor._machine_samples:
            os.sched_yield()
        monitor.stop()
        (usage,) = monitor.usages({"passes": 1, "warmup_passes": 0, "slice_s": 0.1})
    return usage


@pytest.mark.timing
def test_a_busy_and_an_idle_side_are_told_apart():
    with Running(SPIN) as server, Running(IDLE) as client:
        assert client.stdout.readline() == "idle\n"
        deadline = time.monotonic() + 10
        while cpu_clock_s(server.pid) < 0.05 and time.monotonic() < deadline:
            os.sched_yield()
        before = cpu_clock_s(server.pid), time.monotonic()
        while (usage := watch(server.pid, client.pid)).has_gaps and time.monotonic() < deadline:
            pass  # the machine woke the monitor too late
        outer_s = cpu_clock_s(server.pid) - before[0]
    metrics = usage.metrics
    assert not usage.has_gaps
    assert 0 < metrics["server_cpu_s"] <= outer_s
    assert metrics["server_cpu_share"] == pytest.approx(
        metrics["server_cpu_s"] / 0.3, rel=APART_SHARE / (1 - APART_SHARE)
    )
    assert metrics["server_threads_max"] == 1
    assert metrics["server_rss_max_bytes"] >= metrics["server_uss_max_bytes"] > 1 << 20
    assert metrics["server_fds_max"] >= 3
    assert metrics["server_ctx_voluntary"] >= 0
    assert metrics["client_ctx_voluntary"] == 0
    assert 0 <= metrics["machine_foreign_cpu_share"] <= 1


def test_what_is_seen_has_columns_in_the_schema():
    with Running(IDLE) as server, Running(IDLE) as client:
        usage = watch(server.pid, client.pid)
    assert set(usage.metrics) <= {column.name for column in TRIALS}
    assert {name for sample in usage.samples for name in sample} <= {column.name for column in MONITOR}
    assert {sample["process"] for sample in usage.samples} == {"server", "client", "machine"}
    assert [sample["at_s"] for sample in usage.samples] == sorted(sample["at_s"] for sample in usage.samples)


def test_monitor_still_sees_the_side_that_has_not_ended():
    with Running(IDLE) as server, Running(IDLE) as client:
        server.communicate("\n")
        usage = watch(server.pid, client.pid)
    assert usage.has_gaps
    assert "server_cpu_s" not in usage.metrics
    assert usage.metrics["client_rss_max_bytes"] > 0
    assert "machine_steal_share" in usage.metrics


def test_monitor_knows_nothing_of_a_server_that_is_not_ours():
    with Running(IDLE) as client:
        usage = watch(None, client.pid)
    assert not usage.has_gaps
    assert not {name for name in usage.metrics if name.startswith("server")}
    assert "machine_foreign_cpu_share" not in usage.metrics


@pytest.mark.parametrize("stopped", ["server", "client", None])
def test_a_side_that_stands_still_is_told(stopped):
    with Running(IDLE) as server, Running(IDLE) as client:
        sides = {"server": server, "client": client}
        if stopped is not None:
            sides[stopped].send_signal(signal.SIGSTOP)
        usage, in_block = watch(server.pid, client.pid), watch_block(server.pid, client.pid)
    assert (usage.was_stopped, in_block.was_stopped) == (stopped is not None, stopped is not None)


def test_a_monitor_that_is_held_tells_so(monkeypatch):
    monkeypatch.setattr(monitor_module, "HELD_NS", -1)
    monkeypatch.setattr(block_monitor, "HELD_NS", -1)
    with Running(IDLE) as server, Running(IDLE) as client:
        assert watch(server.pid, client.pid).was_stopped
        assert watch_block(server.pid, client.pid).was_stopped


def test_a_trial_that_is_given_up_ends_the_monitor_at_once():
    began_s = time.monotonic()
    with Running(IDLE) as client:
        start_ns = time.monotonic_ns() + 60_000_000_000
        with Monitor(None, client.pid, (start_ns, start_ns + 1), usable_cpus()) as monitor:
            pass
        usage = monitor.result()
    assert time.monotonic() - began_s < 30
    assert usage.has_gaps
    assert usage.metrics == {}


def test_memory_and_threads_are_those_of_the_process():
    with Running(HOLD) as process:
        assert process.stdout.readline() == "held\n"
        assert 64 << 20 < Tree(process.pid).uss_bytes() < 128 << 20
    with Running(THREADS) as process:
        assert process.stdout.readline() == "started\n"
        tree = Tree(process.pid)
        assert tree.vitals().threads == 6
        whole = tree.counters()
        assert (
            whole.ctx_voluntary > psutil.Process(process.pid).num_ctx_switches().voluntary
        )  # which is the first thread's


CHILDREN = """
import subprocess, sys
burn = 'import time; end = time.process_time() + 0.2\\nwhile time.process_time() < end: pass'
input()
subprocess.run([sys.executable, '-c', burn], check=True)
print('burnt', flush=True)
input()
"""


def test_the_cpu_of_a_child_that_came_and_went_is_not_lost():
    with Running(CHILDREN) as process:
        tree = Tree(process.pid)
        before = tree.cpu().total_s
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "burnt\n"
        tree.refresh()
        assert tree.cpu().total_s - before >= 0.19


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_file_of_more_than_a_page_is_read_whole():
    """Of a thousand children the kernel tells no more than a page at a time; of a user's groups there may be more."""
    last = Path("/proc/self/maps").read_bytes().splitlines()[-1]
    assert procfs.read_file("/proc/self/maps", is_long=True).splitlines()[-1] == last
    assert last not in procfs.read_file("/proc/self/maps")


def test_the_clock_of_a_process_is_finer_than_a_tick():
    seen = sorted({cpu_clock_s(os.getpid()) for _ in range(2000)})
    assert len(seen) > 100
    assert min(later - earlier for earlier, later in itertools.pairwise(seen)) < 0.001


def edge(at_s, server, client, bench=0.0, machine=(0.0, 0.0, 0.0)):
    return Edge(round(at_s * 1e9), server, client, bench, Machine(*machine))


def test_metrics_are_the_differences_between_the_edges():
    before = edge(10.0, Cpu(1.0, 0.5, 0.5), Cpu(2.0, 1.0, 1.0), 0.5, (100.0, 1.0, 200.0))
    after = edge(12.0, Cpu(2.5, 0.8, 1.7), Cpu(3.5, 2.0, 1.5), 0.6, (103.5, 1.2, 204.0))
    metrics = edge_metrics(before, after)
    assert metrics["server_cpu_s"] == pytest.approx(1.5)
    assert metrics["server_cpu_user_s"] == pytest.approx(0.3)
    assert metrics["server_cpu_system_s"] == pytest.approx(1.2)
    assert metrics["server_cpu_share"] == pytest.approx(0.75)
    assert metrics["machine_steal_share"] == pytest.approx(0.05)
    assert metrics["machine_foreign_cpu_share"] == pytest.approx((3.5 - 1.5 - 1.5 - 0.1) / 4.0)


def test_a_quota_that_stopped_us_within_the_window_is_a_metric():
    sides = Cpu(1, 1, 1), Cpu(0, 0, 0)
    before, after = (edge(at_s, *sides)._replace(stops=stops) for at_s, stops in ((0, Stops(7, 1)), (2, Stops(9, 1.5))))
    metrics = edge_metrics(before, after)
    assert (metrics["machine_throttled"], metrics["machine_throttled_share"]) == (2, 0.25)


def test_no_ticks_means_that_the_split_is_not_known():
    before, after = edge(0.0, Cpu(1, 1, 1), Cpu(0, 0, 0)), edge(0.01, Cpu(1.004, 1, 1), Cpu(0, 0, 0))
    metrics = edge_metrics(before, after)
    assert metrics["server_cpu_user_s"] is None
    assert metrics["machine_foreign_cpu_share"] == 0.0


def test_only_the_cpus_that_count_are_counted():
    everything, first = MachineClock(range(1024)).read(), MachineClock({0}).read()
    assert 0 < first.total_s <= everything.total_s
    assert MachineClock(()).read().total_s == 0


def test_tree_vitals_are_those_of_psutil_each_time():
    name = "odd ) (name"  # as in /proc/PID/stat
    rename = f"open('/proc/self/comm', 'w').write({name!r})" if sys.platform == "linux" else ""
    with Running(f"{rename}\nprint('ready', flush=True)\ninput()\n{HOLD}") as process:
        assert process.stdout.readline() == "ready\n"
        tree, known = Tree(process.pid), psutil.Process(process.pid)
        for expected_min in (1 << 20, 64 << 20):
            vitals, times = tree.vitals(), known.cpu_times()
            assert vitals.rss_bytes == known.memory_info().rss >= expected_min
            assert (vitals.cpu.user_s, vitals.cpu.system_s) == (times.user, times.system)
            assert vitals.threads == known.num_threads()
            if expected_min == 1 << 20:
                process.stdin.write("\n")
                process.stdin.flush()
                assert process.stdout.readline() == "held\n"
    processes_s, steal_s, total_s = MachineClock(range(1024)).read()
    rows = psutil.cpu_times(percpu=True)
    ticks_s = 1  # that passed between the two readings
    assert processes_s == pytest.approx(sum(row.user + row.nice + row.system for row in rows), abs=ticks_s)
    assert steal_s == pytest.approx(sum(getattr(row, "steal", 0) for row in rows), abs=ticks_s)
    assert total_s == pytest.approx(sum(sum(row[:8]) for row in rows), abs=ticks_s)


PROC_STAT = b"""cpu  9 9 9 9 9 9 9 9 9 9
cpu0 100 10 20 1000 5 1 2 50 7 3
cpu1 1 1 1 1 1 1 1 1 1 1
cpu10 200 0 0 0 0 0 0 0 0 0
intr 12345 0 0
ctxt 5
"""


@pytest.mark.skipif(sys.platform != "linux", reason="there is no /proc/stat")
def test_machine_clock_counts_a_guest_once_and_tells_cpus_apart(tmp_path):
    stat = tmp_path / "stat"
    stat.write_bytes(PROC_STAT)
    seen = MachineClock({0}, stat=str(stat)).read()
    assert seen == pytest.approx([ticks / procfs.TICKS_PER_S for ticks in (130, 50, 1188)])


def test_the_most_is_kept_when_less_is_held_later():
    with Running(f"{HOLD}\ndel block\nprint('freed', flush=True)\ninput()") as process:
        assert process.stdout.readline() == "held\n"
        side = Side("server", process.pid)
        side.refresh()
        held = side.sample()["rss_bytes"]
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "freed\n"
        assert side.sample()["rss_bytes"] < held - (32 << 20)
        assert side.maxima["server_rss_max_bytes"] == held


MANY = """
import subprocess, sys
children = [subprocess.Popen(['cat'], stdin=subprocess.PIPE) for _ in range(40)]  # end with this one
print('started', flush=True)
input()
for child in children: child.communicate()
"""


def open_descriptors():
    return psutil.Process().num_fds()


def test_tree_keeps_few_files_open_and_closes_all():
    gc.collect()
    before = open_descriptors()
    with Running(MANY) as process:
        assert process.stdout.readline() == "started\n"
        tree = Tree(process.pid, kept_max=3)
        assert tree.vitals().threads == 41
        assert open_descriptors() - before <= 2 * (3 + 2)  # two of them are the child's pipes
        tree.refresh()
        assert tree.vitals().threads == 41
        process.communicate("\n")
        del tree
    assert open_descriptors() == before


def test_tree_drops_members_that_end_and_raises_after_the_last():
    with Running(CHILDREN) as process:
        tree = Tree(process.pid)
        process.stdin.write("\n")
        process.stdin.flush()
        deadline = time.monotonic() + 10
        while tree.vitals().threads < 2 and time.monotonic() < deadline:
            tree.refresh()
        assert tree.vitals().threads == 2
        assert process.stdout.readline() == "burnt\n"
        assert tree.vitals().threads == 1
        process.communicate("\n")
        with pytest.raises(GONE):
            tree.vitals()


FORKS = """
import os, signal, sys
signal.signal(signal.SIGCHLD, {disposition})
told, tell = os.pipe()
def burn(tag):
    if not (pid := os.fork()):
        end = os.times().user + 0.1
        while os.times().user < end: pass
        print(tag, flush=True)
        os.read(told, 1)
        os._exit(0)
    return pid
burn('first')
input()
os.write(tell, b'..')
if {waits}: os.wait()
burn('second')
if {waits}: os.wait()
else:
    try: os.wait()
    except ChildProcessError: pass
print('both', flush=True)
input()
"""


@pytest.mark.parametrize("waits", [True, False])
def test_a_process_that_ends_is_counted_or_known_lost(waits):
    disposition = "signal.SIG_DFL" if waits else "signal.SIG_IGN"
    with Running(FORKS.format(waits=waits, disposition=disposition)) as process:
        assert process.stdout.readline() == "first\n"
        side = Side("server", process.pid)
        side.refresh()
        before = side.cpu().total_s
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "second\n"
        assert process.stdout.readline() == "both\n"
        used_s = side.last_cpu(side.cpu()).total_s - before
        assert side.has_changed()
        assert side.is_cpu_lost is not waits
        if waits:
            assert used_s >= 0.08  # of the second one; what is waited for is told in ticks


UNSEEN = """
import os, signal, sys
signal.signal(signal.SIGCHLD, signal.{disposition})
print('ready', flush=True)
for line in sys.stdin:
    if not (pid := os.fork()):
        os._exit(0)
    try: os.waitpid(pid, 0)
    except ChildProcessError: pass
    print('gone', flush=True)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
@pytest.mark.parametrize("disposition", ["SIG_IGN", "SIG_DFL"])
def test_a_child_that_nobody_saw_is_counted_or_known_lost(disposition):
    """It comes and goes between two looks at the server, which has no child before and none after."""
    with Running(UNSEEN.format(disposition=disposition)) as process:
        assert process.stdout.readline() == "ready\n"
        side = Side("server", process.pid)
        side.refresh()
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "gone\n"
        side.last_cpu(side.cpu())
    assert side.is_cpu_lost is (disposition == "SIG_IGN")


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_server_that_drops_children_and_has_none_is_counted(monkeypatch):
    """Other processes of this machine are kept out of it, by a count of new ones that stands still."""
    monkeypatch.setattr(tree_module, "newest_pid", lambda: 7)
    with Running(UNSEEN.format(disposition="SIG_IGN")) as process:
        assert process.stdout.readline() == "ready\n"
        side = Side("server", process.pid)
        side.refresh()
        assert side.last_cpu(side.cpu()).total_s > 0
        assert not side.is_cpu_lost
        monkeypatch.setattr(tree_module, "newest_pid", lambda: None)
        side.last_cpu(side.cpu())
    assert side.is_cpu_lost, "what is not told is no proof"


def test_a_process_started_later_is_known_by_its_time():
    with Running(CHILDREN) as process:
        side = Side("server", process.pid)
        side.refresh()
        process.stdin.write("\n")
        process.stdin.flush()
        deadline = time.monotonic() + 10
        while not side.has_changed() and time.monotonic() < deadline:
            side.refresh()
        assert side.has_changed(time.time() - 60)
        assert not side.has_changed(time.time() + 60)
        assert not side.is_cpu_lost
        assert process.stdout.readline() == "burnt\n"


def test_a_side_whose_cpu_is_lost_has_no_metric():
    metrics = edge_metrics(edge(0.0, Cpu(1, 1, 1), Cpu(0, 0, 0)), edge(1.0, None, Cpu(0, 0, 0)))
    assert set(metrics) == {"machine_steal_share"}


BURN = """
import ctypes, os, sys, time
def burn():
    while time.process_time() < 0.1: pass
    print('burnt', flush=True)
    sys.stdin.readline()
    os._exit(0)
def fork(then):
    if not (pid := os.fork()): then()
    return pid
"""
ORPHAN = f"{BURN}\nos.waitpid(fork(lambda: (fork(burn), os._exit(0))), 0)\ntime.sleep(60)"
UNWAITED = f"""{BURN}
class Action(ctypes.Structure):
    _fields_ = [('handler', ctypes.c_void_p), ('mask', ctypes.c_ulong * 16), ('flags', ctypes.c_int)]
    _fields_ += [('restorer', ctypes.c_void_p)]
no_child_wait, sigchld = 2, 17
assert ctypes.CDLL(None).sigaction(sigchld, ctypes.byref(Action(flags=no_child_wait)), None) == 0
fork(burn)
try: os.wait()
except ChildProcessError: print('gone', flush=True)
time.sleep(60)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_the_cpu_of_a_process_forked_twice_is_counted():
    """Nothing but the mark that it inherits says whose it is. The generator does not find it."""
    with Running(ORPHAN, **{lifeline.NAME: secrets.token_hex(8)}) as process:
        assert process.stdout.readline() == "burnt\n"
        side = Side("server", process.pid)
        side.refresh()
        assert side.cpu().total_s >= 0.1
        assert side.has_changed()
        process.stdin.write("\n")
        process.stdin.flush()
        deadline = time.monotonic() + 10
        while not side.is_cpu_lost and time.monotonic() < deadline:
            side.sample()
    assert side.is_cpu_lost


FORKED_TWICE = """
import os
if not (pid := os.fork()):
    if {leaves}: os.setsid()
    if not os.fork():
        while os.getppid() != {bench}: pass
    os._exit(0)
os.waitpid(pid, 0)
print('forked', flush=True)
input()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux gives orphans to who asks for them")
@pytest.mark.parametrize("leaves", [False, True])
def test_a_process_forked_twice_that_nobody_saw_is_lost(leaves):
    code = "input()\n" + FORKED_TWICE.format(leaves=leaves, bench=os.getpid())
    with orphans.adopted(), Running(code, is_apart=True) as process:
        side = Side("server", process.pid)
        side.refresh()
        before = orphans.ended(process.pid)
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "forked\n"
        deadline = time.monotonic() + 10
        while orphans.ended(process.pid) == before and time.monotonic() < deadline:
            os.sched_yield()
        side.last_cpu(side.cpu())
    assert side.is_cpu_lost


def test_a_mark_that_all_we_start_share_makes_nobody_kin(monkeypatch):
    monkeypatch.setenv(lifeline.NAME, secrets.token_hex(8))
    with Running(IDLE) as process, Running(IDLE) as other:
        assert [one.stdout.readline() for one in (process, other)] == ["idle\n"] * 2
        assert Tree(process.pid).vitals().threads == 1


@pytest.mark.skipif(sys.platform != "linux", reason="SA_NOCLDWAIT by its number")
@pytest.mark.parametrize("is_read_before", [True, False])
def test_a_child_that_nobody_waits_for_is_lost_unless_read_before(is_read_before):
    with Running(UNWAITED) as process:
        assert process.stdout.readline() == "burnt\n"
        side = Side("server", process.pid)
        side.refresh()
        if is_read_before:
            assert side.last_cpu(side.cpu()).total_s >= 0.1
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "gone\n"
        if is_read_before:
            side.note_uss()
        else:
            side.last_cpu(side.cpu())
    assert side.is_cpu_lost is not is_read_before


@pytest.mark.skipif(sys.platform != "linux", reason="SA_NOCLDWAIT by its number")
def test_a_sample_meets_a_child_that_is_gone_at_the_end():
    with Running(f"sys = __import__('sys'); sys.stdin.readline()\n{UNWAITED}") as process:
        side = Side("server", process.pid)
        side.refresh()
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "burnt\n"
        side.sample()
        process.stdin.write("\n")
        process.stdin.flush()
        assert process.stdout.readline() == "gone\n"
        side.last_cpu(side.cpu())
    assert side.is_cpu_lost


def test_a_monitor_that_woke_too_late_knows_no_cpu(monkeypatch):
    """It has read the clocks, but what they say is not of the window."""
    edges = iter([edge(0.5, Cpu(1, 1, 1), Cpu(0, 0, 0)), edge(1.0, Cpu(1.1, 1.1, 1), Cpu(0, 0, 0))])
    monkeypatch.setattr(Monitor, "_edge", lambda _: next(edges))
    with Running(IDLE) as server, Running(IDLE) as client:
        usage = watch(server.pid, client.pid)
    assert usage.has_gaps
    assert not {name for name in usage.metrics if name.startswith("server_cpu_s")}
