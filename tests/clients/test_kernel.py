"""The kernel, on a clock that is moved by hand: who is resumed, when, in which order, and what waiting costs."""

from __future__ import annotations

import pytest
from helpers.manual_time import POLL_NS, World
from hypothesis import given
from hypothesis import strategies as st

from clients.kernel import SPIN_NS
from clients.traps import alarm, join, ready, sleep_until, watch

MICROSECOND_NS, MILLISECOND_NS, SECOND_NS = 1_000, 1_000_000, 1_000_000_000


def in_parallel(world, *coroutines):
    """Run coroutines side by side to their ends and return what they returned."""

    async def main():
        tasks = [world.kernel.spawn(coroutine) for coroutine in coroutines]
        return [await join(task) for task in tasks]

    return world.kernel.run(main())


# ---- alarms


@given(dues_ns=st.lists(st.integers(MILLISECOND_NS, 3 * SECOND_NS) | st.just(SECOND_NS), max_size=20))
def test_alarms_wake_in_order_of_time_then_of_asking(dues_ns):
    world = World()
    woken = []

    async def sleeper(number, due_ns):
        await sleep_until(due_ns, world.clock)
        woken.append(number)
        return world.clock.now_ns

    times_ns = in_parallel(world, *(sleeper(number, due_ns) for number, due_ns in enumerate(dues_ns)))
    assert woken == sorted(range(len(dues_ns)), key=lambda number: dues_ns[number])
    for due_ns, time_ns in zip(dues_ns, times_ns, strict=True):
        assert due_ns <= time_ns <= due_ns + len(dues_ns) * POLL_NS


def test_an_alarm_in_the_past_goes_off_at_the_next_turn(world):
    async def main():
        world.clock.now_ns = 5 * SECOND_NS
        await alarm(SECOND_NS)
        return world.clock.now_ns

    assert world.kernel.run(main()) == 5 * SECOND_NS
    assert world.poller.waits_ns[-1] == 0


def test_alarms_in_the_past_do_not_starve_descriptors_and_tasks(world):
    world.poller.at(20 * MICROSECOND_NS, 7)
    seen = []

    async def stubborn():
        while not seen:
            await alarm(0)

    async def reader():
        await watch(7)
        await ready()
        seen.append(world.clock.now_ns)

    in_parallel(world, stubborn(), reader())
    assert seen == [20 * MICROSECOND_NS]


def test_only_the_latest_alarm_of_a_task_counts(world):
    world.poller.at(MILLISECOND_NS, 7)
    wakings = []

    async def main():
        await watch(7)
        await alarm(2 * MILLISECOND_NS)
        wakings.append(world.clock.now_ns)  # by the descriptor
        await alarm(9 * MILLISECOND_NS)
        wakings.append(world.clock.now_ns)  # not by the first alarm

    world.kernel.run(main())
    assert wakings == [MILLISECOND_NS, 9 * MILLISECOND_NS]


def test_an_alarm_that_no_longer_counts_is_silent(world):
    world.poller.at(MILLISECOND_NS, 7)
    wakings = []

    async def main():
        await watch(7)
        await alarm(2 * MILLISECOND_NS)
        wakings.append(world.clock.now_ns)
        await alarm(9 * MILLISECOND_NS)
        wakings.append(world.clock.now_ns)

    in_parallel(world, sleep_until(2 * MILLISECOND_NS, world.clock), main())
    assert wakings == [MILLISECOND_NS, 9 * MILLISECOND_NS]


@given(
    wakings_us=st.lists(st.integers(0, 5_000), max_size=20),
    dues_us=st.lists(st.integers(0, 5_000), min_size=1, max_size=5),
)
def test_sleep_outlasts_every_early_wake_up(wakings_us, dues_us):
    world = World()
    for waking_us in wakings_us:
        world.poller.at(waking_us * MICROSECOND_NS, 7)

    async def main():
        await watch(7)
        for due_us in dues_us:
            await sleep_until(due_us * MICROSECOND_NS, world.clock)
            assert world.clock.now_ns >= due_us * MICROSECOND_NS
        return world.clock.now_ns

    latest_ns = max(dues_us) * MICROSECOND_NS
    assert latest_ns <= world.kernel.run(main()) <= latest_ns + 2 * POLL_NS


# ---- descriptors


def test_a_ready_descriptor_resumes_the_task_that_watches_it(world):
    world.poller.at(3 * MILLISECOND_NS, 7)
    world.poller.at(5 * MILLISECOND_NS, 8)

    async def reader(fd):
        await watch(fd)
        await ready()
        return world.clock.now_ns

    assert in_parallel(world, reader(8), reader(7)) == [5 * MILLISECOND_NS, 3 * MILLISECOND_NS]


def test_watching_is_registered_once_and_passes_to_the_last_who_asks(world):
    world.poller.at(MILLISECOND_NS, 7)
    resumed = []

    async def watcher(name):
        await watch(7)
        await alarm(2 * MILLISECOND_NS)
        resumed.append((name, world.clock.now_ns))

    in_parallel(world, watcher("first"), watcher("second"))  # the poller refuses to be told twice
    assert resumed == [("second", MILLISECOND_NS), ("first", 2 * MILLISECOND_NS)]


def test_a_descriptor_unwatched_within_a_batch_resumes_nobody_any_more(world):
    world.poller.at(MILLISECOND_NS, 7, 8)
    resumed = []

    async def closes_both():
        await watch(7)
        await ready()
        resumed.append(7)
        world.kernel.unwatch(7)
        world.kernel.unwatch(8)

    async def victim():
        await watch(8)
        await alarm(5 * MILLISECOND_NS)
        resumed.append(world.clock.now_ns)

    in_parallel(world, closes_both(), victim())
    assert resumed == [7, 5 * MILLISECOND_NS]
    assert world.poller.wants_write == {}


def test_a_reused_descriptor_wakes_its_task_early_at_most(world):
    world.poller.at(MILLISECOND_NS, 7, 8)
    heard = []

    async def closes_and_opens():
        await watch(7)
        await ready()
        world.kernel.unwatch(8)
        await watch(8)  # a new socket under the old number
        await alarm(2 * MILLISECOND_NS)
        heard.append(world.clock.now_ns)

    async def had_it_before():
        await watch(8)
        await alarm(9 * MILLISECOND_NS)
        heard.append(world.clock.now_ns)

    in_parallel(world, closes_and_opens(), had_it_before())
    assert heard[-1] == 9 * MILLISECOND_NS
    assert heard[0] <= 2 * MILLISECOND_NS


def test_unwatching_what_is_not_watched_does_nothing(world):
    world.kernel.unwatch(7)
    assert world.poller.wants_write == {}


def test_writing_is_watched_for_on_request(world):
    async def main():
        await watch(7)
        world.kernel.want_write(7, wanted=True)
        assert world.poller.wants_write == {7: True}
        world.kernel.want_write(7, wanted=False)
        assert world.poller.wants_write == {7: False}

    world.kernel.run(main())


# ---- waiting


def test_the_end_of_main_is_not_slept_over(world):
    async def main():
        await sleep_until(MILLISECOND_NS, world.clock)

    world.kernel.run(main())
    assert world.clock.now_ns <= MILLISECOND_NS + POLL_NS


def test_without_an_alarm_the_kernel_waits_no_longer_than_its_patience(world):
    world.poller.at(SECOND_NS, 7)

    async def main():
        await watch(7)
        await ready()

    world.kernel.run(main())
    assert world.clock.now_ns == SECOND_NS
    assert max(world.poller.waits_ns) == 100 * MILLISECOND_NS  # so that a signal handler is heard soon
    assert world.kernel.spun_ns == 0


def test_kernel_spins_before_an_alarm_and_accounts_for_it(world):
    async def main():
        await sleep_until(50 * MILLISECOND_NS, world.clock)
        return world.clock.now_ns

    woken_ns = world.kernel.run(main())
    assert woken_ns == 50 * MILLISECOND_NS
    slept = [wait_ns for wait_ns in world.poller.waits_ns if wait_ns]
    assert slept == [50 * MILLISECOND_NS - SPIN_NS]
    assert world.kernel.spun_ns == SPIN_NS


def test_work_done_at_an_alarm_is_not_taken_for_spinning(world):
    work_ns = 50 * MICROSECOND_NS

    async def main():
        for number in range(1, 101):
            await sleep_until(number * 100 * MICROSECOND_NS, world.clock)
            world.clock.now_ns += work_ns

    world.kernel.run(main())
    assert world.kernel.spun_ns == pytest.approx(world.clock.now_ns - 100 * work_ns, abs=2 * POLL_NS)


def test_a_look_that_finds_something_is_not_spinning(world):
    for number in range(1, 100):
        world.poller.at(number * MICROSECOND_NS, 7)

    async def reader():
        await watch(7)
        while world.clock.now_ns < 99 * MICROSECOND_NS:
            await ready()

    async def sleeper():
        await sleep_until(99 * MICROSECOND_NS, world.clock)

    in_parallel(world, reader(), sleeper())
    assert world.kernel.spun_ns <= 2 * POLL_NS


def test_kernel_does_not_spin_for_an_alarm_nobody_waits_for(world):
    world.poller.at(MILLISECOND_NS, 7)

    async def impatient():
        await watch(7)
        await alarm(30 * MILLISECOND_NS)  # a deadline that is not needed
        await sleep_until(90 * MILLISECOND_NS, world.clock)

    async def cancelled():
        await alarm(60 * MILLISECOND_NS)

    async def main():
        task = world.kernel.spawn(cancelled())
        other = world.kernel.spawn(impatient())
        await alarm(2 * MILLISECOND_NS)
        world.kernel.cancel(task)
        await join(other)

    world.kernel.run(main())
    assert world.kernel.spun_ns <= 2 * SPIN_NS  # before main's alarm and before the last
