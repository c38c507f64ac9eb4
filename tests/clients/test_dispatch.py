"""The dispatcher, on a clock moved by hand: what falls due goes to who is free, in order, and nothing is lost."""

from __future__ import annotations

import pytest
from helpers.manual_time import POLL_NS, World
from hypothesis import given
from hypothesis import strategies as st

from clients.dispatch import Dispatcher
from clients.faults import Failure
from clients.kernel import NEVER_NS
from clients.pacing import Schedule
from clients.recorder import Recorder
from clients.traps import sleep_until, suspend, watch

MICROSECOND_NS = 1_000
TIMEOUT_NS = 500 * MICROSECOND_NS


class Load:
    """Connections that need a fixed time for each request, and what they were handed: (due, handed at, descriptor)."""

    def __init__(self, world, due_times_ns, *, connections, service_ns):
        self.world, self.service_ns = world, service_ns
        self.recorder = Recorder(open_loop=True)
        schedule = Schedule(iter([*due_times_ns, 10**15, 2 * 10**15]), 0)
        self.dispatcher = Dispatcher(schedule, kernel=world.kernel, recorder=self.recorder, timeout_ns=TIMEOUT_NS)
        self.fds = range(10, 10 + connections)
        self.handed = []
        self.is_over = False

    async def connection(self, fd):
        await watch(fd)
        while True:
            due_ns = self.dispatcher.claim(self.world.clock())
            if due_ns is None:
                self.dispatcher.rests(fd)
                due_ns = await suspend()
            if not self.is_over:
                self.handed.append((due_ns, self.world.clock(), fd))
            await sleep_until(self.world.clock() + self.service_ns, self.world.clock)

    def run_until(self, end_ns):
        async def main():
            for fd in self.fds:
                self.world.kernel.spawn(self.connection(fd))
            self.world.kernel.set_timer(self.dispatcher)
            await sleep_until(end_ns, self.world.clock)
            self.is_over = True
            return self.dispatcher.backlog(end_ns)

        return self.world.kernel.run(main())


def test_dispatcher_hands_due_requests_to_the_longest_free_connection(world):
    load = Load(world, [10_000, 20_000, 30_000, 40_000], connections=3, service_ns=1_000)
    load.run_until(50_000)
    assert [(due_ns, fd) for due_ns, _, fd in load.handed] == [(10_000, 10), (20_000, 11), (30_000, 12), (40_000, 10)]
    assert all(0 <= at_ns - due_ns <= POLL_NS for due_ns, at_ns, _ in load.handed)


def test_requests_of_one_moment_go_out_together(world):
    load = Load(world, [10_000] * 4, connections=4, service_ns=5_000)
    load.run_until(50_000)
    assert len({at_ns for _, at_ns, _ in load.handed}) == 1
    assert [fd for _, _, fd in load.handed] == list(load.fds)


def test_dispatcher_catches_up_waiting_requests_in_order(world):
    load = Load(world, [0, 10_000, 20_000, 30_000], connections=1, service_ns=100_000)
    assert load.run_until(150_000) == 2  # two were handed out, two wait
    assert [due_ns for due_ns, _, _ in load.handed] == [0, 10_000]
    assert load.handed[1][1] == pytest.approx(100_000, abs=2 * POLL_NS)


def test_dispatcher_costs_no_polls_while_no_connection_is_free(world):
    load = Load(world, [0, 100_000, 200_000], connections=1, service_ns=20_000_000)
    load.run_until(15_000_000)
    assert len(load.handed) == 1
    assert world.kernel.spun_ns <= 200 * MICROSECOND_NS + 2 * POLL_NS  # before the end


def test_a_request_that_waited_longer_than_the_timeout_is_never_sent(world):
    load = Load(world, [0, 10_000, 20_000, 900_000], connections=1, service_ns=600_000)
    load.run_until(1_000_000)
    assert [due_ns for due_ns, _, _ in load.handed] == [0, 900_000]
    assert load.recorder.failures == {Failure.UNSENT: 2}


def test_dispatcher_hands_nothing_to_a_connection_that_left(world):
    load = Load(world, [10_000, 20_000], connections=2, service_ns=1_000)
    world.kernel.spawn(leaving(load, 10, at_ns=5_000))
    load.run_until(50_000)
    assert [fd for _, _, fd in load.handed] == [11, 11]
    load.dispatcher.leaves(10)  # again, which is no fault


async def leaving(load, fd, *, at_ns):
    await sleep_until(at_ns, load.world.clock)
    load.dispatcher.leaves(fd)


@given(
    gaps_ns=st.lists(st.integers(0, 60_000), min_size=1, max_size=40),
    connections=st.integers(1, 5),
    service_ns=st.integers(0, 300_000),
)
def test_dispatcher_hands_out_gives_up_or_keeps_every_request_once(gaps_ns, connections, service_ns):
    dues_ns = [sum(gaps_ns[: n + 1]) for n in range(len(gaps_ns))]
    load = Load(World(), dues_ns, connections=connections, service_ns=service_ns)
    waiting = load.run_until(dues_ns[-1] + 3 * POLL_NS)
    handed_ns = [due_ns for due_ns, _, _ in load.handed]
    assert handed_ns == sorted(handed_ns)
    assert set(handed_ns) <= set(dues_ns)
    assert len(handed_ns) + load.recorder.failures[Failure.UNSENT] + waiting == len(dues_ns)
    assert all(0 <= at_ns - due_ns <= TIMEOUT_NS for due_ns, at_ns, _ in load.handed)


def test_dispatcher_has_no_next_time_while_no_connection_is_free(world):
    load = Load(world, [0, 10_000], connections=1, service_ns=100_000)
    load.run_until(50_000)
    assert load.dispatcher.next_ns == NEVER_NS
    assert not load.dispatcher.has_free


def test_dispatcher_counts_overdue_requests_that_nobody_claims(world):
    dues_ns = range(0, 10 * TIMEOUT_NS, TIMEOUT_NS // 10)
    load = Load(world, dues_ns, connections=0, service_ns=1)
    for at_ns in (TIMEOUT_NS, TIMEOUT_NS + 1, 5 * TIMEOUT_NS):
        load.dispatcher.expire(at_ns)
        expired = sum(at_ns - due_ns > TIMEOUT_NS for due_ns in dues_ns)
        assert load.recorder.failures[Failure.UNSENT] == expired
        assert load.dispatcher.backlog(at_ns) == sum(due_ns < at_ns for due_ns in dues_ns) - expired
