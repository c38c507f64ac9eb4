"""How a load is cut into slices, and in which order the servers of a block get them."""

from __future__ import annotations

import itertools
import math
import statistics
from collections import Counter

import pytest
from helpers.tracing import paused
from hypothesis import given
from hypothesis import strategies as st

from clients.slices import LONGEST_S, PASSES_MIN, SHORTEST_S, Slicing, Slot
from clients.workload import Workload


@given(servers=st.integers(1, 12), passes=st.integers(1, 20), warmup=st.integers(0, 3), seed=st.integers(0, 2**31))
def test_slicing_order_gives_each_server_one_slice_in_each_pass(servers, passes, warmup, seed):
    order = list(Slicing(slice_s=0.02, passes=passes, warmup_passes=warmup).order(servers, seed))
    numbers = [slot.pass_number for slot in order]
    assert numbers == sorted(numbers)
    assert Counter(order) == Counter(
        (number, server) for number in range(1 - warmup, passes + 1) for server in range(servers)
    )


def test_slicing_order_is_drawn_anew_in_each_pass_and_by_the_seed():
    slicing = Slicing(slice_s=0.02, passes=200, warmup_passes=0)
    orders = [tuple(slot.server for slot in list(slicing.order(3, 1))[at : at + 3]) for at in range(0, 600, 3)]
    assert {frozenset(order) for order in orders} == {frozenset(range(3))}
    assert set(Counter(orders)) == {
        (a, b, c) for a in range(3) for b in range(3) for c in range(3) if len({a, b, c}) == 3
    }
    assert max(Counter(orders).values()) < 2 * 200 / 6
    assert list(slicing.order(3, 1)) == list(slicing.order(3, 1)) != list(slicing.order(3, 2))


def apparent(slots, slow):
    """Return the difference that two equal servers seem to have where slices are slowed by a pattern that recurs."""
    cost = {slot: slow[at % len(slow)] for at, slot in enumerate(slots)}
    return statistics.mean(cost[Slot(number, 1)] - cost[Slot(number, 0)] for number, server in cost if server)


@pytest.fixture(scope="module")
def orders_of_two():
    """Return the slots of a block of two servers, by each of 400 seeds."""
    with paused():
        slicing = Slicing(slice_s=0.005, passes=100, warmup_passes=40)
        return [list(slicing.order(2, seed)) for seed in range(400)]


@pytest.mark.parametrize("slow", [(1, 0), (1, 0, 0), (1, 0, 0, 1), (1, 1, 0, 1), (1, 0, 0, 0, 0, 0, 0, 0)])
@paused()
def test_slicing_order_keeps_step_with_no_period_in_a_block_of_two(orders_of_two, slow):
    found = [apparent(slots, slow) for slots in orders_of_two]
    assert max(map(abs, found)) < 0.5, "half of what the disturbance does"
    assert abs(statistics.mean(found)) < 4 * statistics.stdev(found) / math.sqrt(len(found))


def test_an_order_that_is_not_drawn_would_be_in_step():
    """The test above can fail: what alternates gives one arm the whole of a disturbance, in two slices or in four."""
    in_turn = [Slot(number, server) for number in range(100) for server in (0, 1)]
    mirrored = [Slot(number, server) for number in range(100) for server in ((0, 1) if number % 2 else (1, 0))]
    assert apparent(in_turn, (1, 0)) == -1
    assert apparent(mirrored, (1, 0, 0, 1)) == 1


def test_slicing_order_gives_either_server_of_two_the_first_turn_equally_often():
    slots = Slicing(slice_s=0.005, passes=10_000, warmup_passes=0).order(2, 1)
    first = Counter(slot.server for slot in itertools.islice(slots, 0, None, 2))
    assert first.total() == 10_000
    assert abs(first[0] - first[1]) < 4 * math.sqrt(10_000)


# A slice is long beside a round of all connections, and short beside the moods of the machine.
@pytest.mark.parametrize(
    ("workload", "slice_s", "passes", "warmup_passes"),
    [
        # Few connections: as short as a slice may be; the warm-up is rounded up to whole slices.
        (Workload(connections=1, duration_s=0.5, warmup_s=0.1), SHORTEST_S, 250, 50),
        (Workload(connections=20, duration_s=1.0, warmup_s=0.005), SHORTEST_S, 500, 3),
        # 1,000 connections take 10 ms a round, so a slice of 10 rounds takes 100 ms.
        (Workload(connections=1000, duration_s=1.5, warmup_s=0.3), 0.1, 15, 3),
        # A warm-up of one slice is one slice, whatever 1.2 / 12 is in binary.
        (Workload(connections=1000, duration_s=1.2, warmup_s=0.1), 0.1, 12, 1),
        # A window that is short beside that still has as many passes as a trimmed mean needs.
        (Workload(connections=10_000, duration_s=4.0, warmup_s=0.0), 0.8, PASSES_MIN, 0),
        # A pipeline makes a round longer.
        (Workload(connections=100, pipeline=10, duration_s=1.5, warmup_s=0.0), 0.1, 15, 0),
        # An open loop of few requests: a slice has some of them.
        (Workload(rate_per_s=100.0, arrivals="constant", duration_s=3.0, warmup_s=0.0), 0.1, 30, 0),
    ],
)
def test_slicing_of_follows_from_the_workload(workload, slice_s, passes, warmup_passes):
    found = Slicing.of(workload)
    assert found.slice_s == pytest.approx(slice_s)
    assert (found.passes, found.warmup_passes) == (passes, warmup_passes)


@given(connections=st.integers(1, 20_000), duration_s=st.floats(0.01, 60.0), warmup_s=st.floats(0.0, 5.0))
def test_slicing_of_fills_the_duration_and_the_warm_up(connections, duration_s, warmup_s):
    found = Slicing.of(Workload(connections=connections, duration_s=duration_s, warmup_s=warmup_s))
    assert found.passes >= PASSES_MIN
    assert found.passes * found.slice_s == pytest.approx(duration_s)
    assert found.warmup_passes * found.slice_s >= warmup_s - 1e-8 * found.slice_s
    assert found.slice_s <= 1.5 * LONGEST_S
