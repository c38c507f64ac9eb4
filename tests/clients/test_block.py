"""The load of a block on real servers: who is loaded when, what is counted, what one server's fault costs others."""

from __future__ import annotations

import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import pytest
from helpers.generator import known_bad, serving

from clients.block import BlockLoad
from clients.faults import Failure
from clients.sliced import sliced
from clients.slices import Slicing
from clients.target import parse_target
from clients.workload import Workload

SLICING = Slicing(slice_s=0.02, passes=6, warmup_passes=2)


def load(addresses, workload, slicing=SLICING, pids=None):
    """Load a block, and return it with what it gave for each server."""
    block = BlockLoad(
        [parse_target(address) for address in addresses], workload, slicing, pids=pids or [None] * len(addresses)
    )
    block.run(lambda *_: time.monotonic_ns(), lambda: None)
    return block, [sliced(number, workload, block.opened[number], block.records) for number in range(len(addresses))]


class Witness:
    """An echo server in a thread, which notes when bytes came and when a reply left."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = "{}:{}".format(*self.listener.getsockname())
        self.seen_ns = []
        self.ends = []
        self.threads = []

    def accept(self):
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            self.threads.append(threading.Thread(target=self.echo, args=(connection,)))
            self.threads[-1].start()

    def echo(self, connection):
        with connection:
            try:
                while data := connection.recv(65536):
                    self.seen_ns.append(time.monotonic_ns())
                    connection.sendall(data)
                self.ends.append("end of file")
            except OSError as error:
                self.ends.append(type(error).__name__)


@contextmanager
def witnesses(number):
    found = [Witness() for _ in range(number)]
    for witness in found:
        witness.threads.append(threading.Thread(target=witness.accept))
        witness.threads[0].start()
    try:
        yield found
    finally:
        for witness in found:
            witness.listener.shutdown(socket.SHUT_RDWR)
            witness.listener.close()
        for witness in found:
            for thread in list(witness.threads):
                thread.join(10)


CLOSED = Workload(connections=4, message_bytes=256, duration_s=0.12, warmup_s=0.04, seed=3)
WORKLOADS = {
    "closed": CLOSED,
    "alone": CLOSED.replace(connections=1),
    "pipeline": CLOSED.replace(pipeline=4),
    "drawn sizes": CLOSED.replace(message_sizes="16..256"),
    "churn": CLOSED.replace(requests_per_connection=7),
    "think": CLOSED.replace(think_s=0.002),
    "open": CLOSED.replace(rate_per_s=2000.0, arrivals="constant"),
    "open, general": CLOSED.replace(rate_per_s=2000.0, arrivals="poisson", pipeline=3),
}


@pytest.mark.parametrize("name", WORKLOADS)
def test_block_load_has_only_one_server_busy_at_a_time(name):
    """Every byte that a server saw came in one of its own slices, and each reply is counted once."""
    workload = WORKLOADS[name]
    with witnesses(3) as servers:
        block, found = load([server.address for server in servers], workload)
    first_ns = block.records[0].begin_ns
    for number, (server, one) in enumerate(zip(servers, found, strict=True)):
        turns = [(record.begin_ns, record.end_ns) for record in block.records if record.slot.server == number]
        assert len(turns) == SLICING.passes
        measured = [at for at in server.seen_ns if at >= first_ns]
        outside = [at for at in measured if not any(begin <= at <= end for begin, end in turns)]
        assert outside == []
        assert one.result.replies > 0
        assert one.result.sent == one.result.replies + one.result.failed
        assert set(+one.result.failures) <= {Failure.UNSENT}, "what a busy machine could not send is no fault"
        assert sum(row["replies"] for row in one.slices) == one.result.replies
        assert set(server.ends) == {"end of file"}, "no connection is reset"
    assert [record.begin_ns for record in block.records] == sorted(record.begin_ns for record in block.records)


def test_block_load_keeps_churn_at_its_limit_across_slices():
    with witnesses(2) as servers:
        _, found = load([server.address for server in servers], WORKLOADS["churn"])
    for server, one in zip(servers, found, strict=True):
        connections = len(server.threads) - 1
        assert connections >= one.result.replies / 7


@pytest.mark.timing
def test_block_load_offers_an_open_loop_its_rate_in_its_slices():
    with witnesses(2) as servers:
        _, found = load(
            [server.address for server in servers], WORKLOADS["open"], Slicing(slice_s=0.05, passes=6, warmup_passes=1)
        )
    for one in found:
        offered = one.result.to_json()["offered_per_s"]
        assert offered == pytest.approx(2000, rel=0.1)
        assert one.result.histograms["lateness"].count == one.result.replies


def test_block_load_reads_the_cpu_of_each_server_and_of_its_children():
    with ExitStack() as stack:
        servers = [stack.enter_context(serving(name)) for name in ("coroutines", "processes")]
        _, found = load([server.address for server in servers], CLOSED, pids=[server.process.pid for server in servers])
    for one in found:
        assert all(row["server_cpu_s"] > 0 for row in one.slices)
        assert 1e-6 < one.server_cpu_s / one.result.replies < 1e-3
        assert 0 <= one.server_idle_cpu_share < 0.2


def test_block_load_tells_a_server_that_works_out_of_turn(tmp_path):
    file = tmp_path / "busy.py"
    file.write_text(
        "import threading, time\n"
        "from servers.threads import serve as echo\n"
        "def burn():\n"
        "    while True:\n"
        "        until = time.perf_counter() + 0.002\n"
        "        while time.perf_counter() < until: pass\n"
        "        time.sleep(0.002)\n"  # or each reply waits for the thread that burns
        "def serve(listener):\n    threading.Thread(target=burn, daemon=True).start()\n    echo(listener)\n"
    )
    with serving("coroutines") as quiet, serving(file) as busy:
        _, (calm, wild) = load([quiet.address, busy.address], CLOSED, pids=[quiet.process.pid, busy.process.pid])
    assert calm.server_idle_cpu_share < 0.05
    assert wild.server_idle_cpu_share > max(0.01, 4 * calm.server_idle_cpu_share), "of its share of a core"


def test_block_load_of_a_process_that_is_not_known_has_no_cpu():
    with witnesses(1) as (server,):
        _, (one,) = load([server.address], CLOSED)
    assert one.server_cpu_s is None
    assert {row["server_cpu_s"] for row in one.slices} == {None}
    assert one.to_json()["server_idle_cpu_share"] is None


FAULTS = {
    "wrong_byte": Failure.MISMATCH,
    "early_close": Failure.CLOSED_EARLY,
    "never_reads": Failure.TIMEOUT,
}


@pytest.mark.parametrize("name", FAULTS)
def test_block_load_counts_a_fault_at_its_server_only(name):
    workload = CLOSED.replace(timeout_s=0.2)
    with serving("coroutines") as right, known_bad(name) as wrong:
        _, (good, bad) = load([right.address, wrong.address], workload)
    assert not +good.result.failures
    assert good.result.replies > 0
    assert bad.result.failures[FAULTS[name]] > 0
    assert bad.result.sent == bad.result.replies + bad.result.failed


def test_block_load_goes_on_when_a_server_dies():
    with serving("coroutines") as survivor, serving("coroutines") as victim:
        killer = threading.Timer(0.15, victim.process.kill)
        killer.start()
        _, (good, bad) = load(
            [survivor.address, victim.address], CLOSED, Slicing(slice_s=0.02, passes=20, warmup_passes=0)
        )
        killer.join()
    assert not +good.result.failures
    assert all(row["replies"] for row in good.slices)
    assert bad.result.failures[Failure.REFUSED] > 0
    assert bad.slices[-1]["replies"] == 0


def test_block_load_that_is_interrupted_keeps_whole_passes():
    with witnesses(2) as servers:
        slicing = Slicing(slice_s=0.02, passes=1000, warmup_passes=1)
        block = BlockLoad([parse_target(server.address) for server in servers], CLOSED, slicing, pids=[None, None])
        stopper = threading.Timer(0.4, block.interrupt)
        stopper.start()
        block.run(lambda *_: time.monotonic_ns(), lambda: None)
        stopper.join()
    assert block.is_interrupted
    assert 0 < len(block.records) < 100
    assert len(block.records) % 2 == 0
