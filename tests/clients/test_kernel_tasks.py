"""Tasks of the kernel, on a clock that is moved by hand: results, cancellation, exceptions, and the end of a run."""

from __future__ import annotations

import pytest
from helpers.manual_time import World
from hypothesis import given
from hypothesis import strategies as st

from clients.kernel import Cancelled
from clients.traps import alarm, join, ready, sleep_until, watch

MICROSECOND_NS, MILLISECOND_NS, SECOND_NS = 1_000, 1_000_000, 1_000_000_000


def in_parallel(world, *coroutines):
    """Run coroutines side by side to their ends and return what they returned."""

    async def main():
        tasks = [world.kernel.spawn(coroutine) for coroutine in coroutines]
        return [await join(task) for task in tasks]

    return world.kernel.run(main())


def test_join_gives_the_result_whether_it_is_there_or_still_to_come(world):
    async def worker():
        await sleep_until(MILLISECOND_NS, world.clock)
        return "done"

    async def main():
        task = world.kernel.spawn(worker())
        others = [world.kernel.spawn(join(task)) for _ in range(2)]
        return [await join(task), await join(task), *[await join(other) for other in others]]

    assert world.kernel.run(main()) == ["done"] * 4


def test_join_of_a_task_that_was_cancelled_gives_none(world):
    async def endless():
        while True:
            await ready()

    async def main():
        task = world.kernel.spawn(endless())
        waiting = world.kernel.spawn(join(task))
        await sleep_until(MILLISECOND_NS, world.clock)
        world.kernel.cancel(task)
        assert task.done
        return await join(waiting), await join(task)

    assert world.kernel.run(main()) == (None, None)


def test_cancel_throws_where_the_task_is_suspended_and_before_it_returns(world):
    events = []

    async def worker():
        try:
            await sleep_until(SECOND_NS, world.clock)
        except Cancelled:
            events.append("cleaned up")
            raise

    async def main():
        task = world.kernel.spawn(worker())
        await sleep_until(MILLISECOND_NS, world.clock)
        world.kernel.cancel(task)
        events.append("cancelled")
        world.kernel.cancel(task)  # it is done: nothing happens

    world.kernel.run(main())
    assert events == ["cleaned up", "cancelled"]


def test_a_task_that_catches_what_was_thrown_goes_on(world):
    class NoticeError(Exception):
        pass

    async def worker():
        try:
            await sleep_until(SECOND_NS, world.clock)
        except NoticeError:
            await sleep_until(2 * MILLISECOND_NS, world.clock)
        return world.clock.now_ns

    async def main():
        task = world.kernel.spawn(worker())
        await sleep_until(MILLISECOND_NS, world.clock)
        world.kernel.cancel(task, NoticeError())
        return await join(task)

    assert world.kernel.run(main()) == 2 * MILLISECOND_NS


def test_cancellation_is_not_eaten_by_handlers_of_faults(world):
    async def worker():
        while True:
            try:
                await ready()
            except Exception:  # noqa: BLE001  # the point of the test
                pytest.fail("a handler of faults saw the cancellation")

    async def main():
        task = world.kernel.spawn(worker())
        await sleep_until(MILLISECOND_NS, world.clock)
        world.kernel.cancel(task)
        return task.done

    assert world.kernel.run(main())


def test_a_task_cancelled_before_its_first_turn_never_runs(world):
    async def never():
        pytest.fail("it ran")

    async def main():
        task = world.kernel.spawn(never())
        world.kernel.cancel(task)
        await sleep_until(MILLISECOND_NS, world.clock)
        return task.done

    assert world.kernel.run(main())


@pytest.mark.parametrize("by", ["start", "alarm", "descriptor"])
def test_an_exception_that_leaves_a_task_ends_the_run_and_every_task(world, by):
    world.poller.at(MILLISECOND_NS, 7)
    ended = []

    async def bystander():
        try:
            await sleep_until(SECOND_NS, world.clock)
        finally:
            ended.append("bystander")

    async def culprit():
        if by == "alarm":
            await alarm(MILLISECOND_NS)
        if by == "descriptor":
            await watch(7)
            await ready()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        in_parallel(world, bystander(), culprit())
    assert ended == ["bystander"]
    assert world.poller.is_closed


def test_run_ends_the_tasks_that_main_left_and_closes_the_poller(world):
    ended = []

    async def left():
        try:
            while True:
                await ready()
        finally:
            ended.append("left")

    async def main():
        world.kernel.spawn(left())
        await sleep_until(MILLISECOND_NS, world.clock)
        return "result"

    assert world.kernel.run(main()) == "result"
    assert ended == ["left"]
    assert world.poller.is_closed


@given(data=st.data())
def test_whatever_happens_every_task_comes_to_its_end_at_its_time(data):
    """Tasks that sleep, watch, join and are woken early, in any mixture: none is lost and none wakes too soon."""
    world = World()
    count = data.draw(st.integers(1, 6), label="tasks")
    for _ in range(data.draw(st.integers(0, 10), label="events")):
        fds = data.draw(st.lists(st.integers(0, count - 1), min_size=1, max_size=count, unique=True), label="ready")
        world.poller.at(data.draw(st.integers(0, 900), label="at") * MICROSECOND_NS, *fds)
    plans = [data.draw(st.lists(st.integers(0, 1_000), max_size=4), label=f"sleeps of {n}") for n in range(count)]
    cancelled = data.draw(st.sets(st.integers(0, count - 1)), label="cancelled at 500 us")

    async def worker(fd, plan):
        await watch(fd)
        for due_us in plan:
            await sleep_until(due_us * MICROSECOND_NS, world.clock)
            assert world.clock.now_ns >= due_us * MICROSECOND_NS
        world.kernel.unwatch(fd)
        return fd

    async def main():
        tasks = [world.kernel.spawn(worker(fd, plan)) for fd, plan in enumerate(plans)]
        await sleep_until(500 * MICROSECOND_NS, world.clock)
        for number in cancelled:
            world.kernel.cancel(tasks[number])
        return [await join(task) for task in tasks]

    results = world.kernel.run(main())
    for number, result in enumerate(results):
        latest_us = max(plans[number], default=0)
        if number not in cancelled or latest_us < 490:
            assert result == number
        elif latest_us > 510:
            assert result is None
