"""The kernel's timer, on a clock that is moved by hand: called in time, between two tasks, and only when it is set."""

from __future__ import annotations

import pytest
from helpers.manual_time import POLL_NS, World
from hypothesis import given
from hypothesis import strategies as st

from clients.kernel import NEVER_NS
from clients.traps import ready, sleep_until, suspend, watch

MICROSECOND_NS, MILLISECOND_NS, SECOND_NS = 1_000, 1_000_000, 1_000_000_000


class Recorded:
    """A timer that notes when it is called, and asks for the next of its times."""

    def __init__(self, world, times_ns, does=lambda: None):
        self.world, self.does = world, does
        self.times = iter([*times_ns, NEVER_NS])
        self.next_ns = next(self.times)
        self.fired_ns = []

    def fire(self, time_ns):
        assert time_ns == self.world.clock.now_ns
        self.fired_ns.append(time_ns)
        self.next_ns = next(self.times)
        self.does()


def run_until(world, end_ns):
    world.kernel.run(sleep_until(end_ns, world.clock))


@given(gaps_ns=st.lists(st.integers(POLL_NS, 50 * MILLISECOND_NS), min_size=1, max_size=20), alarm_ns=st.integers(1))
def test_a_timer_is_called_once_at_each_of_its_times(gaps_ns, alarm_ns):
    times_ns = [sum(gaps_ns[: n + 1]) for n in range(len(gaps_ns))]
    world = World()
    timer = Recorded(world, times_ns)
    world.kernel.set_timer(timer)
    world.kernel.spawn(sleep_until(alarm_ns, world.clock))  # which must not hide it
    run_until(world, times_ns[-1] + MILLISECOND_NS)
    assert len(timer.fired_ns) == len(times_ns)
    for due_ns, fired_ns in zip(times_ns, timer.fired_ns, strict=True):
        assert due_ns <= fired_ns <= due_ns + 2 * POLL_NS


def test_a_timers_time_is_slept_for_and_its_last_stretch_spun(world):
    world.kernel.set_timer(Recorded(world, [50 * MILLISECOND_NS]))
    run_until(world, 50 * MILLISECOND_NS + 1)
    assert world.kernel.spun_ns == pytest.approx(200 * MICROSECOND_NS, abs=3 * POLL_NS)


def test_a_timer_that_is_taken_away_is_not_called(world):
    timer = Recorded(world, [MILLISECOND_NS, 2 * MILLISECOND_NS], does=lambda: world.kernel.set_timer(None))
    world.kernel.set_timer(timer)
    run_until(world, 5 * MILLISECOND_NS)
    assert len(timer.fired_ns) == 1


def test_a_timer_without_a_next_time_costs_no_poll(world):
    world.kernel.set_timer(Recorded(world, []))
    run_until(world, SECOND_NS)
    assert sum(wait_ns == 0 for wait_ns in world.poller.waits_ns) < 250


def test_the_time_that_it_takes_is_not_slept_again(world):
    def work():
        world.clock.now_ns += 5 * MILLISECOND_NS

    world.kernel.set_timer(Recorded(world, [MILLISECOND_NS], does=work))
    run_until(world, 20 * MILLISECOND_NS)
    assert world.clock.now_ns <= 20 * MILLISECOND_NS + POLL_NS


def test_always_due_it_does_not_keep_descriptors_waiting(world):
    timer = Recorded(world, range(10_000))
    world.kernel.set_timer(timer)
    world.poller.at(20 * MICROSECOND_NS, 7)

    async def main():
        await watch(7)
        await ready()
        return world.clock.now_ns

    assert world.kernel.run(main()) <= 22 * MICROSECOND_NS
    assert timer.fired_ns


def test_it_hands_a_value_to_the_watcher_of_a_descriptor_at_once(world):
    got = []
    timer = Recorded(world, [MILLISECOND_NS], does=lambda: (world.kernel.hand(7, "due"), got.append("then")))
    world.kernel.set_timer(timer)

    async def main():
        await watch(7)
        got.append(await suspend())

    world.kernel.run(main())
    assert got == ["due", "then"]


def test_what_it_raises_ends_the_run(world):
    def fail():
        raise ArithmeticError

    world.kernel.set_timer(Recorded(world, [MILLISECOND_NS], does=fail))
    with pytest.raises(ArithmeticError):
        run_until(world, SECOND_NS)
    assert world.poller.is_closed
