"""A block by the reference generator: slices in their order, nothing in flight between them, whatever a server does."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from contextlib import ExitStack, closing
from itertools import pairwise

import psutil
import pytest
from helpers.answering import answering, echo
from helpers.checkout import CHECKOUT
from helpers.generator import known_bad, serving

from clients.faults import Failure
from clients.load import soon
from clients.reference import BLOCK_SOURCE, SOURCE
from clients.reference_block import ReferenceBlock
from clients.slices import Slicing
from clients.target import parse_target
from clients.workload import Workload, WorkloadError

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler on the PATH")

CLOSED = Workload(connections=4, message_bytes=1024)
SLICE_S, SLICE_NS = 0.02, 20_000_000


def open_loop(rate_per_s, **settings):
    return CLOSED.replace(rate_per_s=rate_per_s, arrivals="constant", **settings)


def new_block(addresses, workload=CLOSED, *, passes=5, pids=None, warmup_passes=0, slice_s=SLICE_S):
    return ReferenceBlock(
        [parse_target(address) for address in addresses],
        workload,
        Slicing(slice_s=slice_s, passes=passes, warmup_passes=warmup_passes),
        pids=pids or [None] * len(addresses),
    )


def measured(addresses, workload=CLOSED, **options):
    """Return the slices of a block, of which is asserted what holds for all of them."""
    block = new_block(addresses, workload, **options)
    block.run(soon, lambda: None)
    assert not block.is_interrupted
    for one in block.records:
        response, service = one.recorded.durations("response"), one.recorded.durations("service")
        assert len(response) == one.counts.answered
        assert len(service) == (one.counts.answered if workload.is_open_loop else 0)
        assert (response > 0).all()
        assert (one.recorded.durations("lateness") >= 0).all()
        assert one.counts.sent == one.counts.answered + one.counts.failed
        assert all(count > 0 for count in one.recorded.failures.values())
        assert one.client_cpu_ns >= 0
    for one, following in pairwise(block.records):
        assert one.begin_ns <= one.end_ns <= following.begin_ns
    return block.records


def of_server(slices, number):
    return [one for one in slices if one.slot.server == number]


def cpu_ns(pid):
    return time.clock_gettime_ns((~pid << 3) | 2)


def replies(slices):
    return sum(one.counts.answered for one in slices)


def errors(slices):
    return sum((one.recorded.failures for one in slices), Counter())


@pytest.fixture
def running():
    """Return a function that starts servers of the family and returns them in their order."""
    with ExitStack() as stack:
        yield lambda *names: [stack.enter_context(serving(name)) for name in names]


# ---- the programs


@pytest.mark.parametrize("source", [SOURCE, BLOCK_SOURCE], ids=lambda source: source.name)
def test_the_programs_compile_without_a_warning(source, tmp_path):
    warnings = ("-Wall", "-Wextra", "-Werror", "-O2", "-std=gnu11")
    done = subprocess.run(
        [shutil.which("cc"), *warnings, "-o", tmp_path / "program", source], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


# ---- order and edges


@pytest.mark.parametrize("workload", [CLOSED, CLOSED.replace(connections=1), open_loop(2_000)], ids=str)
def test_each_slice_gives_its_server_the_load_for_its_time(running, workload):
    servers = running("reference", "coroutines", "threads")
    slices = measured([served.address for served in servers], workload, passes=6, warmup_passes=1)
    planned = Slicing(slice_s=SLICE_S, passes=6, warmup_passes=0).order(3, workload.seed)
    assert sorted(one.slot for one in slices) == sorted(planned)
    assert [one.slot.pass_number for one in slices] == [number for number in range(1, 7) for _ in range(3)]
    assert all(one.end_ns - one.begin_ns >= SLICE_NS for one in slices)
    assert all(one.counts.answered > 0 for one in slices)
    assert set(errors(slices)) <= {Failure.UNSENT}
    assert all((one.recorded.durations("response") <= one.end_ns - one.begin_ns).all() for one in slices)


@pytest.fixture
def noting():
    """What a server of `answering` got, by its number: (when, which message) for each connection."""
    return defaultdict(list)


@pytest.fixture
def handler_of(noting):
    """Return a function that makes the handler of a server: it echoes whole messages, and notes them."""

    def make(number, size):
        def handler(connection):
            mine = []
            noting[number].append(mine)
            while message := connection.recv(size, socket.MSG_WAITALL):
                mine.append((time.monotonic_ns(), message))
                connection.sendall(message)

        return handler

    return make


@pytest.mark.parametrize("workload", [CLOSED, open_loop(1_500), CLOSED.replace(message_bytes=9)], ids=str)
def test_a_server_gets_messages_in_its_slices_only_and_each_message_once(noting, handler_of, workload):
    with ExitStack() as stack:
        handlers = [handler_of(number, workload.message_bytes) for number in range(3)]
        slices = measured([stack.enter_context(answering(handler)) for handler in handlers], workload, passes=8)
    assert set(errors(slices)) <= {Failure.UNSENT}
    for number in range(3):
        mine, connections = of_server(slices, number), noting[number]
        assert len(connections) == workload.connections
        assert sum(map(len, connections)) == replies(mine)  # all were answered, none is left over
        for one in mine:
            within = [when for notes in connections for when, _ in notes if one.begin_ns <= when <= one.end_ns]
            assert len(within) == one.counts.answered
        for notes in connections:
            assert len({message for _, message in notes}) == len(notes)
            assert all(len(message) == workload.message_bytes for _, message in notes)


@pytest.mark.parametrize(("rate_per_s", "due"), [(2_500, 500), (10, 2), (33, 7), (1, 1)])
def test_the_schedule_of_a_server_runs_in_its_slices_only(running, rate_per_s, due):
    """Ten slices of 20 ms are 0.2 s of the schedule; the first request is due at its start."""
    addresses = [served.address for served in running("reference", "coroutines")]
    slices = measured(addresses, open_loop(rate_per_s), passes=10)
    for number in range(2):
        mine = of_server(slices, number)
        assert replies(mine) + errors(mine)[Failure.UNSENT] == due


def test_what_waits_for_a_connection_when_a_slice_ends_is_unsent():
    """One connection to a server of 5 ms answers four requests in 20 ms, the last of them after their end."""
    with known_bad("fixed_delay") as served:
        slices = measured([served.address], open_loop(1_000, connections=1), passes=3)
    for one in slices:
        assert 1 <= one.counts.answered <= 4
        assert one.counts.answered + one.recorded.failures[Failure.UNSENT] == 20
        assert (one.recorded.durations("service") >= 5_000_000).all()
        assert one.recorded.durations("lateness")[-1] >= (one.counts.answered - 1) * 4_000_000


# ---- CPU time


def test_the_cpu_time_of_a_server_is_that_of_its_slices(running):
    servers = running("coroutines", "threads")
    pids = [served.process.pid for served in servers]
    before_ns = [cpu_ns(pid) for pid in pids]
    slices = measured([served.address for served in servers], pids=pids, passes=10)
    for number, pid in enumerate(pids):
        used_ns = cpu_ns(pid) - before_ns[number]
        mine = of_server(slices, number)
        told_ns = sum(one.server_cpu_ns for one in mine)
        assert 0.5 * used_ns < told_ns <= used_ns  # the rest went into accepting and the end
        assert all(one.server_cpu_ns > 0 for one in mine)
        assert all(0 < one.client_cpu_ns <= one.end_ns - one.begin_ns + 2_000_000 for one in mine)


def test_the_cpu_time_of_several_processes_is_their_sum(running):
    (served,) = running("processes")
    readings = []

    def read():
        readings.append(sum(cpu_ns(child.pid) for child in psutil.Process(served.process.pid).children()))

    def start(established, requested):
        read()
        return soon(established, requested)

    block = new_block([served.address], pids=[served.process.pid])
    block.run(start, read)
    before_ns, after_ns = readings
    told_ns = sum(one.server_cpu_ns for one in block.records)
    assert 0.5 * (after_ns - before_ns) < told_ns < 1.1 * (after_ns - before_ns)  # the parent has next to nothing to do


@pytest.mark.parametrize("pid", [None, 2**22 - 1])
def test_a_cpu_time_that_cannot_be_read_is_unknown(running, pid):
    (served,) = running("coroutines")
    slices = measured([served.address], pids=[pid], passes=2)
    assert [(one.server_cpu_ns, one.idle_cpu_ns) for one in slices] == [(None, None)] * 2
    assert replies(slices) > 0


# ---- servers that fail


ANSWERS_FIVE = """
def serve(listener):
    while True:
        with listener.accept()[0] as connection:
            for _ in range(5): connection.sendall(connection.recv(65536))
"""


def test_a_server_that_ends_its_connections_leaves_the_others_alone(running, tmp_path):
    """At 1,000 requests/s, five answers are the beginning of a slice of 20 ms, or of a few on a busy machine."""
    file = tmp_path / "answers_five.py"
    file.write_text(ANSWERS_FIVE)
    (served,) = running("coroutines")
    with serving(file) as bad:
        slices = measured([bad.address, served.address], open_loop(1_000, connections=1), passes=16)
    ended, other = of_server(slices, 0), of_server(slices, 1)
    assert replies(ended) == 5
    lost = errors(ended)
    assert lost[Failure.CLOSED_EARLY] + lost[Failure.RESET] + sum(one.counts.idle_closed for one in ended) == 1
    assert sum(one.counts.sent for one in ended) + lost[Failure.UNSENT] == 16 * 20
    assert [one.counts.answered for one in ended[-3:]] == [0, 0, 0]
    assert all(one.begin_ns == one.end_ns for one in ended[-3:])
    assert all(one.counts.answered for one in other)
    assert set(errors(other)) <= {Failure.UNSENT}


def test_a_server_that_dies_has_empty_slices_from_then_on(running):
    dead, served = running("coroutines", "threads")
    block = new_block([dead.address, served.address], passes=4, pids=[dead.process.pid, served.process.pid])
    told = []

    def kill(established, requested):
        told.append((established, requested))
        dead.process.kill()
        dead.process.wait()
        return soon(established, requested)

    block.run(kill, lambda: None)
    assert told == [(8, 8)]
    assert [opened.established for opened in block.opened] == [4, 4]
    first, *rest = of_server(block.records, 0)
    assert (first.counts.failed, first.recorded.failures.total()) == (4, 4)
    assert set(first.recorded.failures) <= {Failure.RESET, Failure.CLOSED_EARLY}
    assert all(one.begin_ns == one.end_ns and not one.counts.sent and not one.recorded.failures for one in rest)
    assert [one.server_cpu_ns for one in of_server(block.records, 0)] == [None] * 4
    others = of_server(block.records, 1)
    assert all(one.counts.answered and not one.recorded.failures and one.server_cpu_ns for one in others)


def test_a_server_that_refuses_connections_is_left_out(running):
    (served,) = running("coroutines")
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        nobody = f"127.0.0.1:{listener.getsockname()[1]}"
    block = new_block([nobody, served.address], passes=2)
    block.run(soon, lambda: None)
    assert [opened.established for opened in block.opened] == [0, 4]
    assert [opened.recorded.failures for opened in block.opened] == [{Failure.REFUSED: 4}, {}]
    assert [bool(one.counts.answered) for one in block.records] == [one.slot.server == 1 for one in block.records]


@pytest.mark.parametrize(
    ("name", "failures"),
    [
        ("wrong_byte", {Failure.MISMATCH}),
        ("stale_echo", {Failure.MISMATCH}),
        ("short_reply", {Failure.SHORT_REPLY}),
        ("reset_mid_message", {Failure.SHORT_REPLY, Failure.RESET}),
        ("early_close", {Failure.CLOSED_EARLY, Failure.RESET}),
        ("never_reads", {Failure.TIMEOUT}),
    ],
)
def test_what_a_server_does_wrong_is_counted_by_its_name(running, name, failures):
    (served,) = running("coroutines")
    with known_bad(name) as bad:
        slices = measured([bad.address, served.address], CLOSED.replace(timeout_s=0.2), passes=3, slice_s=0.2)
    wrong = errors(of_server(slices, 0))
    assert wrong
    assert set(wrong) <= failures
    assert Failure.MISMATCH in failures or wrong.total() == CLOSED.connections
    assert not errors(of_server(slices, 1))


def test_a_request_that_the_server_does_not_take_is_stalled():
    workload = CLOSED.replace(timeout_s=0.1, message_bytes=16 << 20, connections=1)
    with known_bad("never_reads") as bad:
        (one,) = measured([bad.address], workload, passes=1)
    assert one.recorded.failures == {Failure.STALLED: 1}
    assert one.end_ns - one.begin_ns >= 100_000_000


def test_a_slice_lasts_until_its_last_reply_has_come_or_timed_out():
    """One of two connections is never answered, and nothing is sent to the other server before that is found out."""
    turns = iter(
        [echo, lambda connection: connection.recv(10, socket.MSG_PEEK) and connection.shutdown(socket.SHUT_RD)]
    )
    released = threading.Event()

    def handler(connection):
        if next(turns) is echo:
            echo(connection)
        else:
            released.wait(30)

    with answering(handler) as address, answering(echo) as other:
        workload = CLOSED.replace(connections=2, timeout_s=0.15)
        slices = measured([address, other], workload, passes=3)
        released.set()
    mine = of_server(slices, 0)
    assert [one.recorded.failures for one in mine] == [{Failure.TIMEOUT: 1}, {}, {}]
    assert mine[0].end_ns - mine[0].begin_ns >= 150_000_000
    assert all(one.counts.answered and one.end_ns - one.begin_ns < 150_000_000 for one in mine[1:])


@pytest.mark.parametrize("is_end", [False, True])
def test_what_a_server_does_unasked_ends_the_connection(is_end):
    """The first request is due at once, so one of the two connections has a request when that is seen."""
    done = threading.Semaphore(0)

    def handler(connection):
        if is_end:
            connection.shutdown(socket.SHUT_WR)
        else:
            connection.sendall(b"hello")
        done.release()
        echo(connection)

    def after_both(established, requested):
        assert all(done.acquire(timeout=10) for _ in range(2))
        return soon(established, requested)

    with answering(handler) as address:
        block = new_block([address], open_loop(30, connections=2))
        block.run(after_both, lambda: None)
    found, idle_closed = errors(block.records), sum(one.counts.idle_closed for one in block.records)
    assert replies(block.records) == 0
    assert sum(one.counts.failed for one in block.records) == 1
    # A wrong echo leaves the connection standing, with its last bytes unread.
    expected = (0, 1, 1) if is_end else (3, 0, 0)
    assert (found[Failure.MISMATCH], found[Failure.CLOSED_EARLY] + found[Failure.RESET], idle_closed) == expected


def test_a_server_that_dies_of_a_reset_survives_a_block(running):
    (served,) = running("coroutines")
    with known_bad("dies_on_reset") as bad:
        slices = measured([bad.address, served.address], passes=3)
        assert not errors(slices)
        host, _, port = bad.address.rpartition(":")
        with socket.create_connection((host, int(port)), timeout=5) as sock:
            sock.sendall(b"are you there?")
            assert sock.recv(100) == b"are you there?"


# ---- the course of a block


def test_without_a_word_to_go_there_are_no_slices(running):
    (served,) = running("coroutines")
    block = new_block([served.address])
    block.run(lambda *_: None, lambda: pytest.fail("nothing was loaded"))
    assert block.records == []
    assert block.is_interrupted
    assert [opened.established for opened in block.opened] == [4]


def test_the_connections_stand_until_it_was_said_that_the_load_is_over():
    ended = []

    def handler(connection):
        echo(connection)
        ended.append(True)

    seen = []
    with answering(handler) as address:
        block = new_block([address])
        block.run(soon, lambda: seen.append(len(ended)))
    assert seen == [0]
    assert len(ended) == 4


@pytest.mark.parametrize("workload", [CLOSED, open_loop(2_000)], ids=str)
def test_an_interrupt_keeps_the_passes_that_are_whole(workload):
    turns, several = [None], threading.Event()

    def handler_of(number):
        def handler(connection):
            while data := connection.recv(65_536):
                if turns[-1] != number:
                    turns.append(number)
                if len(turns) > 7:  # a pass has two turns at the most, so three are whole
                    several.set()
                connection.sendall(data)

        return handler

    with answering(handler_of(0)) as address, answering(handler_of(1)) as other:
        block = new_block([address, other], workload, passes=2_000)

        def interrupt():
            several.wait(60)
            block.interrupt()

        thread = threading.Thread(target=interrupt)
        thread.start()
        block.run(soon, lambda: None)
        thread.join()
    slots = [one.slot for one in block.records]
    planned = list(Slicing(slice_s=SLICE_S, passes=2_000, warmup_passes=0).order(2, workload.seed))
    assert block.is_interrupted
    assert 6 <= len(slots) < 4_000
    assert len(slots) % 2 == 0
    assert slots == planned[: len(slots)]
    assert all(one.end_ns - one.begin_ns >= SLICE_NS for one in block.records)


@pytest.mark.parametrize("change", [{"pipeline": 2}, {"think_s": 0.1}, {"requests_per_connection": 3}])
def test_a_load_that_it_does_not_know_is_refused(change):
    with pytest.raises(WorkloadError, match="the reference generator makes"):
        new_block(["127.0.0.1:9"], CLOSED.replace(**change))


@pytest.mark.parametrize("generator", ["reference", "python"])
def test_a_bench_can_ask_for_either_generator(running, generator):
    (served,) = running("coroutines")
    server = {"address": served.address, "pid": served.process.pid, "tag": "one"}
    workload = CLOSED.replace(warmup_s=0.02, duration_s=0.2).to_json()
    asked = {"servers": [server] * 2, "workload": workload, "generator": generator, "hlog": None}
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "clients.blocks"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONWARNINGS": "error"},
    ) as process:
        print(json.dumps(asked), file=process.stdin, flush=True)
        assert process.stdout.readline().startswith("CONNECTED 8 8")
        print(f"GO {time.monotonic_ns()}", file=process.stdin, flush=True)
        assert process.stdout.readline() == "LOADED\n"
        print("END", file=process.stdin, flush=True)
        assert process.stdout.readline() == "CLOSED\n"
        given = json.loads(process.stdout.readline())
        assert process.stdout.readline() == "ENDED 0\n"
        process.stdin.close()
    for one in given["servers"]:
        assert len(one["slices"]) == given["slicing"]["passes"]
        assert one["replies"] == sum(row["replies"] for row in one["slices"]) > 0
        assert one["errors"] == {}
        assert 0 < one["server_cpu_s"] <= one["window_s"] + 0.05
        assert all(row["response_p50_ns"] > 0 for row in one["slices"])
