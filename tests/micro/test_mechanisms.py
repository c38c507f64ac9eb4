"""Each mechanism suspends, so deep as it says, before `nox -s micro` times it; two of a kind take turns."""

from __future__ import annotations

import asyncio
import os
import resource
import sys

import pytest
from micro import mechanisms, own_kernel
from micro.measure import here
from micro.mechanisms import DEPTHS, MECHANISMS, OUT

from clients.clock import EpollPoller
from clients.kernel import Kernel

SLOW = {"thread", "process"}


@pytest.mark.parametrize("mechanism", here(), ids=lambda mechanism: mechanism.name)
def test_a_mechanism_opens_works_again_and_again_and_ends(mechanism):
    with mechanism.opened() as work:
        work(3)
        work(2)


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize(
    ("make", "inner"), [(mechanisms.delegating, "gi_yieldfrom"), (mechanisms.awaiting, "cr_await")]
)
def test_every_level_passes_a_suspension_on(make, inner, depth):
    outermost = make(depth)
    assert [outermost.send(None) for _ in range(3)] == [OUT] * 3
    levels, below = 0, outermost
    while (below := getattr(below, inner, None)) is not None:
        levels += 1
    assert levels == depth


def test_work_resumes_as_often_as_it_is_told():
    sent = []
    mechanisms.resuming(sent.append)(7)
    assert sent == [None] * 7


@pytest.mark.parametrize("main", [mechanisms.sleep_zero, mechanisms.await_futures])
def test_two_tasks_that_suspend_take_turns(main):
    seen = []

    async def task(name):
        for _ in range(2):
            seen.append(name)
            await main(1)

    async def both():
        await asyncio.gather(task("a"), task("b"))

    asyncio.run(both())
    assert seen == ["a", "b", "a", "b"]


@pytest.fixture
def one_core():
    """Bind this thread, and what it starts, to one core."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    yield
    os.sched_setaffinity(0, before)


@pytest.mark.parametrize("mechanism", [one for one in MECHANISMS if one.name in SLOW], ids=lambda one: one.name)
def test_the_other_side_runs_once_for_each_switch(mechanism, one_core):
    """On one core the other side can answer only while this thread does not run."""

    def switches():
        used = resource.getrusage(resource.RUSAGE_THREAD)
        return used.ru_nvcsw + used.ru_nivcsw

    with mechanism.opened() as work:
        work(1)
        before = switches()
        work(200)
        assert switches() - before >= 200


@pytest.mark.parametrize("name", ["spawning", "handing"])
def test_the_kernel_runs_another_task_each_time(name, monkeypatch):
    ran = []

    async def ends():
        ran.append("ended")

    async def listens(fd):
        await own_kernel.watch(fd)
        while True:
            await own_kernel.ready()
            ran.append("resumed")

    monkeypatch.setattr(own_kernel, "nothing", ends)
    monkeypatch.setattr(own_kernel, "listening", listens)
    with own_kernel.on_our_kernel(getattr(own_kernel, name)) as work:
        work(0)
        before = len(ran)
        ran.clear()
        work(20)
    assert len(ran) - before == 20


@pytest.mark.parametrize("main", [own_kernel.coming_due, own_kernel.becoming_ready])
def test_the_kernel_asks_its_poller_before_each_wake_up(main, monkeypatch):
    asked = []

    class Poller(EpollPoller):
        def __init__(self):
            super().__init__(batch=8)
            poll = self.poll
            self.poll = lambda: (asked.append(1), poll())[1]

        def wait(self, timeout_ns):
            asked.append(1)
            return super().wait(timeout_ns)

    monkeypatch.setattr(own_kernel, "Kernel", lambda: Kernel(poller=Poller()))
    with own_kernel.on_our_kernel(main) as work:
        work(20)
        before = len(asked)
        work(40)
    assert (len(asked) - before) - before == 20


@pytest.mark.parametrize("name", ["binary", "abinary"])
def test_a_tree_runs_63_of_a_kind(name, capsys):
    ran = []
    with mechanisms.tree(name) as work:
        sys.setprofile(lambda frame, event, _: ran.append(event == "call" and frame.f_code.co_name == name))
        work(2)
        sys.setprofile(None)
    assert sum(ran) == 2 * 63
    assert capsys.readouterr().out == ""


def test_names_are_unique_and_words_short():
    assert len({one.name for one in MECHANISMS}) == len({one.words for one in MECHANISMS}) == len(MECHANISMS)
    assert max(len(one.words) for one in MECHANISMS) <= 58
