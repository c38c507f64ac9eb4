"""A block by the reference generator: slices in their order, nothing in flight between them, whatever a server does."""

from __future__ import annotations

import itertools
import random
import shutil
import socket
import subprocess
import threading
import time
from collections import Counter, defaultdict
from contextlib import ExitStack, closing

import psutil
import pytest

from clients.faults import Failure
from clients.load import soon
from clients.reference import BLOCK_SOURCE, SOURCE
from clients.reference_block import ReferenceBlock
from clients.target import parse_target
from clients.workload import Workload, WorkloadError

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler on the PATH")

CLOSED = Workload(connections=4, message_bytes=1024)
SLICE_S, SLICE_NS = 0.02, 20_000_000


def shuffled(servers, passes, seed=1):
    """Return an order of so many passes."""
    numbers, draw = range(servers), random.Random(seed)
    return [server for _ in range(passes) for server in draw.sample(numbers, servers)]


def open_loop(rate_per_s, **settings):
    return CLOSED.replace(rate_per_s=rate_per_s, arrivals="constant", **settings)


def new_block(addresses, workload=CLOSED, *, passes=5, pids=None, warmup_slices=0, slice_s=SLICE_S):
    return ReferenceBlock(
        [parse_target(address) for address in addresses],
        workload,
        order=shuffled(len(addresses), passes),
        warmup_slices=warmup_slices,
        slice_s=slice_s,
        pids=pids or [[] for _ in addresses],
    )


def measured(*arguments, **options):
    """Return the slices of a block, of which is asserted what holds for all of them."""
    slices = new_block(*arguments, **options).run(soon)
    for one in slices:
        assert one.replies == len(one.response_ns) == len(one.service_ns)
        assert (one.service_ns > 0).all()
        assert (one.service_ns <= one.response_ns).all()
        assert all(count > 0 for count in one.errors.values())
        assert one.client_cpu_ns >= 0
    for one, following in itertools.pairwise(slices):
        assert one.begin_ns <= one.end_ns <= following.begin_ns
    return slices


def of_server(slices, number):
    return [one for one in slices if one.server == number]


def errors(slices):
    return sum((one.errors for one in slices), Counter())


@pytest.fixture
def running(serving):
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
    order = shuffled(3, 6)
    slices = measured([served.address for served in servers], workload, passes=6, warmup_slices=3)
    assert [one.server for one in slices] == order
    assert [one.pass_number for one in slices] == [number for number in range(-1, 5) for _ in range(3)]
    assert all(one.end_ns - one.begin_ns >= SLICE_NS for one in slices)
    assert all(one.replies > 0 for one in slices)
    assert set(errors(slices)) <= {Failure.UNSENT}
    assert all((one.response_ns <= one.end_ns - one.begin_ns).all() for one in slices)


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
def test_a_server_gets_messages_in_its_slices_only_and_each_message_once(answering, noting, handler_of, workload):
    with ExitStack() as stack:
        handlers = [handler_of(number, workload.message_bytes) for number in range(3)]
        slices = measured([stack.enter_context(answering(handler)) for handler in handlers], workload, passes=8)
    assert set(errors(slices)) <= {Failure.UNSENT}
    for number in range(3):
        mine, connections = of_server(slices, number), noting[number]
        assert len(connections) == workload.connections
        assert sum(map(len, connections)) == sum(one.replies for one in mine)  # all were answered, none is left over
        for one in mine:
            within = [when for notes in connections for when, _ in notes if one.begin_ns <= when <= one.end_ns]
            assert len(within) == one.replies
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
        assert sum(one.replies for one in mine) + errors(mine)[Failure.UNSENT] == due


def test_what_waits_for_a_connection_when_a_slice_ends_is_unsent(known_bad):
    """One connection to a server of 5 ms answers four requests in 20 ms, the last of them after their end."""
    with known_bad("fixed_delay") as served:
        slices = measured([served.address], open_loop(1_000, connections=1), passes=3)
    for one in slices:
        assert 1 <= one.replies <= 4
        assert one.replies + one.errors[Failure.UNSENT] == 20
        assert (one.service_ns >= 5_000_000).all()
        assert one.response_ns[-1] - one.service_ns[-1] >= (one.replies - 1) * 4_000_000


# ---- CPU time


def test_the_cpu_time_of_a_server_is_that_of_its_slices(running):
    servers = running("coroutines", "threads")
    pids = [served.process.pid for served in servers]
    clocks = [((~pid) << 3) | 2 for pid in pids]
    before_ns = [time.clock_gettime_ns(clock) for clock in clocks]
    slices = measured([served.address for served in servers], pids=[[pid] for pid in pids], passes=10)
    for number, clock in enumerate(clocks):
        used_ns = time.clock_gettime_ns(clock) - before_ns[number]
        mine = of_server(slices, number)
        told_ns = sum(one.server_cpu_ns for one in mine)
        assert 0.5 * used_ns < told_ns <= used_ns  # the rest went into accepting and the end
        assert all(one.server_cpu_ns > 0 for one in mine)
        assert all(0 < one.client_cpu_ns <= one.end_ns - one.begin_ns + 2_000_000 for one in mine)


def test_the_cpu_time_of_several_processes_is_their_sum(running):
    (served,) = running("processes")
    children = [child.pid for child in psutil.Process(served.process.pid).children()]
    parent, sum_of_all = (
        sum(one.server_cpu_ns for one in measured([served.address], pids=[pids]))
        for pids in ([served.process.pid], [served.process.pid, *children])
    )
    assert children
    assert parent < 0.1 * sum_of_all


@pytest.mark.parametrize("gone", [[], [2**22 - 1]])
def test_a_cpu_time_that_cannot_be_read_is_unknown(running, gone):
    (served,) = running("coroutines")
    slices = measured([served.address], pids=[[*gone]], passes=2)
    assert [one.server_cpu_ns for one in slices] == [None, None]
    assert all(one.replies for one in slices)


# ---- servers that fail


def test_a_server_that_ends_its_connection_in_the_third_slice_leaves_the_others_alone(known_bad, running):
    """It answers 50 times; at 1,000 requests/s, that is the middle of its third slice of 20 ms."""
    (served,) = running("coroutines")
    with known_bad("early_close") as bad:
        slices = measured([bad.address, served.address], open_loop(1_000, connections=1), passes=8)
    ended, other = of_server(slices, 0), of_server(slices, 1)
    assert sum(one.replies for one in ended) == 50
    lost = errors(ended)
    assert sum(lost.values()) == 8 * 20 - 50 + (lost[Failure.CLOSED_EARLY] and lost[Failure.UNSENT] == 8 * 20 - 50)
    assert lost[Failure.CLOSED_EARLY] + lost[Failure.RESET] == 1
    assert [one.replies for one in ended[-3:]] == [0, 0, 0]
    assert all(one.begin_ns == one.end_ns for one in ended[-3:])
    assert all(one.replies and set(one.errors) <= {Failure.UNSENT} for one in other)


def test_a_server_that_dies_has_empty_slices_from_then_on(running):
    dead, served = running("coroutines", "threads")
    pids = [[dead.process.pid], [served.process.pid]]
    block = new_block([dead.address, served.address], passes=4, pids=pids)
    told = []

    def kill(established, requested):
        told.append((established, requested))
        dead.process.kill()
        dead.process.wait()
        return soon(established, requested)

    slices = block.run(kill)
    assert told == [(8, 8)]
    assert block.established == [4, 4]
    first, *rest = of_server(slices, 0)
    assert first.errors.total() == 4
    assert set(first.errors) <= {Failure.RESET, Failure.CLOSED_EARLY}
    assert all(one.begin_ns == one.end_ns and not one.replies and not one.errors for one in rest)
    assert [one.server_cpu_ns for one in of_server(slices, 0)] == [None] * 4
    assert all(one.replies and not one.errors and one.server_cpu_ns for one in of_server(slices, 1))


def test_a_server_that_refuses_connections_is_left_out(running):
    (served,) = running("coroutines")
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        nobody = f"127.0.0.1:{listener.getsockname()[1]}"
    block = new_block([nobody, served.address], passes=2)
    slices = block.run(lambda established, requested: soon(established, requested) if established == 4 else None)
    assert block.established == [0, 4]
    assert [bool(one.replies) for one in slices] == [one.server == 1 for one in slices]


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
def test_what_a_server_does_wrong_is_counted_by_its_name(known_bad, running, name, failures):
    (served,) = running("coroutines")
    with known_bad(name) as bad:
        slices = measured([bad.address, served.address], CLOSED.replace(timeout_s=0.2), passes=3, slice_s=0.2)
    wrong = errors(of_server(slices, 0))
    assert wrong
    assert set(wrong) <= failures
    assert Failure.MISMATCH in failures or wrong.total() == CLOSED.connections
    assert not errors(of_server(slices, 1))


def test_a_request_that_the_server_does_not_take_is_stalled(known_bad):
    workload = CLOSED.replace(timeout_s=0.1, message_bytes=16 << 20, connections=1)
    with known_bad("never_reads") as bad:
        (one,) = measured([bad.address], workload, passes=1)
    assert one.errors == {Failure.STALLED: 1}
    assert one.end_ns - one.begin_ns >= 100_000_000


def test_a_slice_lasts_until_its_last_reply_has_come_or_timed_out(answering, echo):
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
    assert [one.errors for one in mine] == [{Failure.TIMEOUT: 1}, {}, {}]
    assert mine[0].end_ns - mine[0].begin_ns >= 150_000_000
    assert all(one.replies and one.end_ns - one.begin_ns < 150_000_000 for one in mine[1:])


@pytest.mark.parametrize("greeting", [b"hello", b""])
def test_what_a_server_does_unasked_ends_the_connection(answering, echo, greeting):
    said = threading.Semaphore(0)

    def handler(connection):
        if greeting:
            connection.sendall(greeting)
        else:
            connection.shutdown(socket.SHUT_WR)
        said.release()
        echo(connection)

    def after_both(established, requested):
        assert said.acquire(timeout=10)
        assert said.acquire(timeout=10)
        return soon(established, requested)

    with answering(handler) as address:
        slices = new_block([address], open_loop(30, connections=2)).run(after_both)
    found = errors(slices)
    assert found[Failure.MISMATCH if greeting else Failure.CLOSED_EARLY] == 2
    assert sum(one.replies for one in slices) == 0


def test_a_server_that_dies_of_a_reset_survives_a_block(known_bad, running):
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
    assert block.run(lambda *_: None) == []
    assert block.interrupted


@pytest.mark.parametrize("workload", [CLOSED, open_loop(2_000)], ids=str)
def test_an_interrupt_keeps_the_slices_that_are_whole(answering, echo, workload):
    block = None
    served = threading.Semaphore(0)

    def handler(connection):
        while data := connection.recv(65_536):
            served.release()
            connection.sendall(data)

    def interrupt():
        for _ in range(500):
            served.acquire()
        block.interrupt()

    with answering(handler) as address, answering(echo) as other:
        block = new_block([address, other], workload, passes=2_000)
        thread = threading.Thread(target=interrupt)
        thread.start()
        slices = block.run(soon)
        thread.join()
    assert block.interrupted
    assert 2 < len(slices) < 4_000
    assert [one.server for one in slices] == shuffled(2, 2_000)[: len(slices)]
    assert all(one.end_ns - one.begin_ns >= SLICE_NS for one in slices)


@pytest.mark.parametrize(
    ("workload", "changes"),
    [
        (CLOSED.replace(pipeline=2), {}),
        (CLOSED.replace(think_s=0.1), {}),
        (CLOSED, {"order": [0, 1]}),
        (CLOSED, {"order": [-1]}),
        (CLOSED, {"pids": []}),
    ],
)
def test_a_block_that_it_cannot_make_is_refused(workload, changes):
    arguments = {"order": [0], "warmup_slices": 0, "slice_s": 0.1, "pids": [[]], **changes}
    with pytest.raises(WorkloadError):
        ReferenceBlock([parse_target("127.0.0.1:9")], workload, **arguments)
