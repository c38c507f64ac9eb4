"""The loop of the tutorial, step by step: how far each step may go, which cases it passes, and what is new in it."""

from __future__ import annotations

import difflib
import importlib.util
import re
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from helpers.checkout import CHECKOUT

from bench.experiment.conformance import CASES, Group, Outcome, cases_of, check
from bench.experiment.model import Server
from bench.experiment.planning.catalog import catalog

LOOP = CHECKOUT / "docs" / "examples" / "loop"
STEPS = sorted(LOOP.glob("step*.py"))
GROWN = CHECKOUT / "servers" / "coroutines.py"  # the step after the last
LINES_MAX = 40
CHAPTER = CHECKOUT / "docs" / "tutorial" / "08-growing-the-loop.md"
SCALES = {
    "crowd-500": {"connections": 100, "count": 100},
    "idle": {"seconds": 0.2},
    "vanish": {"clients": 60},
    "connect-close": {"clients": 300},
    "churn-short": {"seconds": 0.8, "rounds_max": 5},
    "descriptors": {"seconds": 0.5},
    "slow-reader": {"turns": 5},
}
MENDED_BY = {"descriptors": "step06_sleeping", "slow-reader": "step09_back_pressure"}


def step(name):
    (path,) = LOOP.glob(f"step*_{name}.py")
    return path


def command(path):
    return Server(name=path.stem, command=(sys.executable, str(path), "{port}"), ready="port")


def failed(path, cases):
    results = check(command(path), cases, patience_s=2)
    return {result.case for result in results if result.outcome is not Outcome.PASSED}


@pytest.mark.parametrize(("old", "new"), list(pairwise([*STEPS, GROWN])), ids=lambda path: path.stem)
def test_a_step_adds_at_most_forty_lines(old, new):
    before, after = (path.read_text().splitlines() for path in (old, new))
    added = [line for line in difflib.unified_diff(before, after, n=0) if line.startswith("+")]
    assert 0 < len(added) - 1 <= LINES_MAX


def test_the_chapter_shows_each_step_as_a_difference_to_the_last():
    shown = re.findall(r"\{literalinclude\} \S+/(\w+)\.py\n:diff: \S+/(\w+)\.py", CHAPTER.read_text())
    steps = [path.stem for path in (*STEPS[1:], GROWN)]
    assert shown == [(new, old) for old, new in pairwise(steps)]


@pytest.mark.parametrize("path", [STEPS[0], STEPS[-1]], ids=lambda path: path.stem)
def test_the_first_and_last_step_echo_correctly(path):
    assert failed(path, cases_of(Group.BASIC)) == set()


@pytest.mark.docs
def test_every_step_passes_the_cases_it_can():
    cases = [case.scaled(**SCALES.get(case.name, {})) for case in cases_of(Group.BASIC, Group.STANDARD)]
    with ThreadPoolExecutor(4) as pool:  # they mostly wait
        found = dict(zip(STEPS, pool.map(lambda path: failed(path, cases), STEPS), strict=True))
    for path, cases_failed in found.items():
        assert cases_failed == {case for case, mender in MENDED_BY.items() if path.stem < mender}, path.stem


@pytest.mark.docs
@pytest.mark.parametrize("path", [*STEPS[9:], GROWN], ids=lambda path: path.stem)
def test_the_steps_from_epoll_on_hold_ten_thousand_connections(path):
    (_, found) = check(catalog().file(path), [CASES["crowd-10000"]])
    assert found.outcome is Outcome.PASSED, found.detail


@pytest.mark.docs
def test_with_an_event_one_client_too_many_waits():
    """A server that is told its limit is held to it exactly."""
    server = catalog().file(step("events"))
    assert server.connections_max == 1000
    (_, found) = check(server, [CASES["crowd-10000"]])
    assert (found.outcome, found.detail[-14:]) == (Outcome.LIMITED, "one more waits")


@pytest.mark.parametrize(
    ("arguments", "said"), [((), "usage"), (("echo",), "usage"), (("99999",), "usage"), (("{taken}",), "cannot listen")]
)
def test_wrong_use_is_said_in_a_sentence(arguments, said):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        given = [argument.format(taken=taken.getsockname()[1]) for argument in arguments]
        done = subprocess.run(
            [sys.executable, "-S", str(STEPS[0]), *given], capture_output=True, text=True, check=False, timeout=20
        )
    assert done.returncode == 2
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


# ---- what is new in a step, with its classes


@pytest.fixture
def load(monkeypatch):
    """Return a function that imports a step."""
    monkeypatch.syspath_prepend(str(LOOP))

    def imported(name):
        spec = importlib.util.spec_from_file_location(name, step(name))
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    yield imported
    sys.modules.pop("_main", None)


def run(module, main):
    """Run the coroutine that `main` makes for a loop, and return what it returned."""
    loop = module.Loop()
    return loop.run(module.Task(loop, main(loop)))


def test_a_task_is_the_future_of_what_its_coroutine_returns(load):
    tasks = load("tasks")

    async def child(loop):
        return 7

    async def main(loop):
        one = tasks.Task(loop, child(loop))
        return [await one, await one]

    assert run(tasks, main) == [7, 7]


def test_an_event_lets_all_go_that_wait_until_it_is_cleared(load):
    events = load("events")
    went = []

    async def waiter(event, name):
        await event.wait()
        went.append(name)

    async def main(loop):
        event = events.Event(loop)
        tasks = [events.Task(loop, waiter(event, name)) for name in "ab"]
        event.set()
        for task in tasks:
            await task
        event.clear()
        assert not event.future.done

    run(events, main)
    assert went == ["a", "b"]


@pytest.mark.parametrize("name", ["sleeping", "epoll"])
def test_tasks_that_sleep_wake_when_they_are_due(load, name):
    module = load(name)
    woke = []

    async def sleeper(loop, seconds):
        await loop.sleep(seconds)
        woke.append(seconds)

    async def main(loop):
        for task in [module.Task(loop, sleeper(loop, seconds)) for seconds in (0.03, 0.01, 0.02)]:
            await task

    began = time.monotonic()
    run(module, main)
    assert woke == [0.01, 0.02, 0.03]
    assert time.monotonic() - began >= 0.03


@pytest.mark.parametrize("name", ["timeouts", "epoll"])
def test_a_wait_that_takes_too_long_fails(load, name):
    module = load(name)

    async def main(loop):
        with pytest.raises(TimeoutError):
            await loop.within(0.01, module.Future(loop))
        return await loop.within(60, loop.sleep(0))

    assert run(module, main) is None


def test_timers_of_waits_that_are_over_are_forgotten(load):
    module = load("timeouts")

    async def main(loop):
        for _ in range(1000):
            await loop.within(60, loop.sleep(0))
        return len(loop.timers)

    assert run(module, main) < 10


@pytest.mark.parametrize("name", ["timeouts", "epoll"])
def test_a_client_that_is_silent_for_too_long_is_hung_up_on(load, name, monkeypatch):
    module = load(name)
    monkeypatch.setattr(module, "IDLE_S", 0.02)
    ours, theirs = socket.socketpair()

    async def main(loop):
        clients = {theirs: None}
        extra = {"room": module.Event(loop)} if hasattr(module, "Event") else {}
        await module.Task(loop, module.echo(loop, theirs, clients, **extra))
        return clients

    with ours:
        assert run(module, main) == {}
        assert ours.recv(1) == b""


@pytest.mark.parametrize("name", ["cancellation", "epoll"])
def test_a_cancelled_task_cleans_up_where_it_waits(load, name):
    module = load(name)
    seen = []

    async def waits(loop):
        try:
            await module.Future(loop)
        finally:
            seen.append("cleaned up")

    async def main(loop):
        task = module.Task(loop, waits(loop))
        await loop.sleep(0)
        task.cancel()
        task.cancel()
        await task

    run(module, main)
    assert seen == ["cleaned up"]


@pytest.mark.parametrize("name", ["cancellation", "epoll"])
def test_sigterm_ends_every_client_in_order(name):
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with subprocess.Popen([sys.executable, "-S", str(step(name)), str(port)]) as server:
        with connected(port) as client:
            client.sendall(b"hello")
            assert client.recv(5) == b"hello"
            server.send_signal(signal.SIGTERM)
            assert client.recv(1) == b""
        assert server.wait(timeout=10) == 0


def connected(port):
    """Connect as soon as somebody listens."""
    give_up = time.monotonic() + 10
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=10)
        except ConnectionRefusedError:
            assert time.monotonic() < give_up
            time.sleep(0.01)  # polled: a server of `python FILE PORT` says nothing when it listens
