"""When requests fall due: known schedules by table, and what holds for all of them."""

from __future__ import annotations

import math
from itertools import islice, pairwise, takewhile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from clients.keys import workload_of
from clients.pacing import RateCurve, Schedule, due_times_ns, start_delay_s

SECOND_NS = 1_000_000_000


def paced(rate, *, arrivals="constant", seed=0, warmup_s=0.0, duration_s=1.0):
    """Return a workload with a rate as the command line takes it."""
    asked = workload_of({"rate_per_s": rate}, arrivals=arrivals)
    return asked.replace(seed=seed, warmup_s=warmup_s, duration_s=duration_s)


def first_ms(workload, count, **share):
    return [due_ns / 1e6 for due_ns in islice(due_times_ns(workload, **share), count)]


def until(end_ns, due_times):
    return list(takewhile(lambda due_ns: due_ns < end_ns, due_times))


CONSTANT = [
    # 1 per second => at the start, and then every second
    ("1", {}, [0, 1_000, 2_000, 3_000]),
    # 2 per second => every half
    ("2", {}, [0, 500, 1_000, 1_500]),
    # one in four seconds => rates below 1 are rates too
    ("0.25", {}, [0, 4_000, 8_000]),
    # a rate that is all but none => the first, and then never within a hundred years
    ("1e-300", {}, [0, 2**62 / 1e6]),
    # 1 million per second => every microsecond
    ("1000000", {}, [0, 0.001, 0.002]),
    # with a warm-up => the same: its rate is that with which the window begins
    ("2", {"warmup_s": 0.75}, [0, 500, 1_000, 1_500]),
    # steps 1, 2, 4 over 3 s => a second of each; after the window the last rate goes on
    ("1,2,4", {"duration_s": 3.0}, [0, 1_000, 1_500, 2_000, 2_250, 2_500, 2_750, 3_000, 3_250]),
    # steps 2, 0, 2 over 3 s => a second in which nothing is due
    ("2,0,2", {"duration_s": 3.0}, [0, 500, 2_000, 2_500, 3_000]),
    # steps 0, 1 over 2 s after a warm-up of 1 s => nothing for 2 s
    ("0,1", {"duration_s": 2.0, "warmup_s": 1.0}, [2_000, 3_000, 4_000]),
    # ramp 0..2 in 1 s => the integral is t**2: request n at sqrt(n), then every half second
    ("0..2", {}, [0, 1_000, 1_500, 2_000]),
    # ramp 0..8 in 2 s => the integral is 2 t**2: request n at sqrt(n / 2)
    ("0..8", {"duration_s": 2.0}, [0, *(1e3 * math.sqrt(n / 2) for n in range(1, 8)), 2_000, 2_125]),
    # ramp 4..0 in 1 s => the integral is 4 t - 2 t**2
    ("4..0", {}, [0, 1e3 * (1 - math.sqrt(0.5))]),
    # a ramp that is level => constant
    ("2..2", {}, [0, 500, 1_000, 1_500]),
]


@pytest.mark.parametrize(("rate", "fields", "expected_ms"), CONSTANT)
def test_constant_arrivals(rate, fields, expected_ms):
    assert first_ms(paced(rate, **fields), len(expected_ms)) == pytest.approx(expected_ms, abs=1e-6)


SHARES = [
    # 4 per second for 2 workers => each takes every second one
    ("4", 2, [[0, 500, 1_000], [250, 750, 1_250]]),
    # 3 workers => every third
    ("3", 3, [[0, 1_000], [1_000 / 3, 4_000 / 3], [2_000 / 3, 5_000 / 3]]),
    # a ramp => every second one of the ramp
    ("0..8", 2, [[0, 1e3 * math.sqrt(2 / 4)], [1e3 * math.sqrt(1 / 4), 1e3 * math.sqrt(3 / 4)]]),
]


@pytest.mark.parametrize(("rate", "workers", "expected_ms"), SHARES)
def test_shares_of_constant_arrivals(rate, workers, expected_ms):
    given = [
        first_ms(paced(rate), len(expected), worker=worker, workers=workers)
        for worker, expected in enumerate(expected_ms)
    ]
    for times, expected in zip(given, expected_ms, strict=True):
        assert times == pytest.approx(expected, abs=1e-6)


rates = st.floats(1, 50_000)
levels = st.floats(0, 5_000)
pieces = st.lists(st.tuples(st.floats(0.01, 3), levels, levels), min_size=1, max_size=5)


@given(rate=rates, workers=st.integers(1, 7))
def test_the_shares_of_constant_arrivals_merge_into_the_whole_schedule(rate, workers):
    workload = paced(str(rate))
    end_ns = round(600 / rate * SECOND_NS)
    shares = [until(end_ns, due_times_ns(workload, worker=worker, workers=workers)) for worker in range(workers)]
    assert sorted(due_ns for share in shares for due_ns in share) == until(end_ns, due_times_ns(workload))


@given(
    rate=st.one_of(rates.map(str), st.just("100..9000"), st.just("9000..0"), st.just("10,9000,0,50")), data=st.data()
)
def test_due_times_never_go_back(rate, data):
    arrivals = data.draw(st.sampled_from(["constant", "poisson"]))
    workload = paced(rate, arrivals=arrivals, seed=data.draw(st.integers(0, 99)), warmup_s=0.1)
    times = list(islice(due_times_ns(workload, worker=1, workers=3), 1_500))
    assert times[0] >= 0
    assert times == sorted(times)


@pytest.mark.parametrize("arrivals", ["constant", "poisson"])
def test_a_rate_that_ends_at_zero_is_due_for_no_more(arrivals):
    due_times = list(islice(due_times_ns(paced("1000..0", arrivals=arrivals)), 2_000))
    assert sum(due_ns <= SECOND_NS for due_ns in due_times) == pytest.approx(500, abs=100)
    assert all(due_ns <= SECOND_NS or due_ns > 10**9 * SECOND_NS for due_ns in due_times)


@given(pieces=pieces, counts=st.lists(st.floats(0, 20_000), min_size=1, max_size=20))
def test_the_inverse_of_the_integral_agrees_with_numeric_integration(pieces, counts):
    """By the time that is given for a count, the rate has added up to that count."""
    starts_s = np.cumsum([0.0] + [length_s for length_s, _, _ in pieces])

    def rate(at_s):
        piece = int(np.searchsorted(starts_s, at_s, side="right")) - 1
        if piece >= len(pieces):
            return pieces[-1][2]
        length_s, start, end = pieces[piece]
        return start + (end - start) * (at_s - starts_s[piece]) / length_s

    counts.sort()
    for count, time_s in zip(counts, RateCurve(pieces).times_s(counts), strict=True):
        within = [0.0, *starts_s[1:][starts_s[1:] < time_s], min(time_s, 1e6)]
        total = sum((b - a) * rate((a + b) / 2) for a, b in pairwise(within))  # exact where the rate is linear
        if time_s <= 1e6:
            assert total == pytest.approx(count, rel=1e-6, abs=1e-6)
        else:
            assert total <= count  # the rate has died away before it


# ---- Poisson


@pytest.mark.parametrize("workers", [1, 4])
def test_poisson_gaps_are_exponential(workers):
    """Kolmogorov-Smirnov at a fixed seed, per share; and the shares merged are a Poisson process of the whole rate."""
    rate = 1_000.0
    workload = paced(str(rate), arrivals="poisson", seed=12)
    shares = [
        np.array(list(islice(due_times_ns(workload, worker=worker, workers=workers), 20_000)))
        for worker in range(workers)
    ]
    for share in shares:
        assert stats.kstest(np.diff(share) / SECOND_NS, stats.expon(scale=workers / rate).cdf).pvalue > 0.01
    end_ns = min(share[-1] for share in shares)
    merged = np.sort(np.concatenate([share[share <= end_ns] for share in shares]))
    gaps_s = np.diff(merged) / SECOND_NS
    assert stats.kstest(gaps_s, stats.expon(scale=1 / rate).cdf).pvalue > 0.01
    assert gaps_s.mean() == pytest.approx(1 / rate, rel=4 / math.sqrt(gaps_s.size))
    assert abs(stats.spearmanr(gaps_s[1:], gaps_s[:-1]).statistic) < 4 / math.sqrt(gaps_s.size)


def test_poisson_arrivals_of_a_ramp_follow_it():
    """In rescaled time (the integral of the rate) the gaps are exponential with mean 1."""
    times_s = np.array(until(10 * SECOND_NS, due_times_ns(paced("0..4000", arrivals="poisson", duration_s=10.0)))) / 1e9
    rescaled = 4_000 / 10 * times_s**2 / 2
    assert stats.kstest(np.diff(rescaled), stats.expon.cdf).pvalue > 0.01
    assert times_s.size == pytest.approx(20_000, abs=4 * math.sqrt(20_000))


def test_arrivals_are_those_of_their_seed_and_worker():
    workload = paced("1000", arrivals="poisson", seed=1)
    assert first_ms(workload, 100) == first_ms(workload, 100)
    assert first_ms(workload, 100) != first_ms(workload.replace(seed=2), 100)
    assert first_ms(workload, 100, worker=0, workers=2) != first_ms(workload, 100, worker=1, workers=2)


# ---- connections that become busy one by one

PROFILES = [
    # no profile => all at the start
    ("3", [0, 0, 0]),
    # steps 1, 2, 4 over 3 s after 1 s of warm-up => at the start, after 1 s of the window, after 2 s
    ("1,2,4", [0, 2, 3, 3]),
    # ramp 1..4 over 3 s => one more with each second, when the level is nearer to it than to one less
    ("1..4", [0, 1.5, 2.5, 3.5]),
]


@pytest.mark.parametrize(("connections", "expected_s"), PROFILES)
def test_profiles_of_connections(connections, expected_s):
    workload = workload_of({"connections": connections, "warmup_s": "1s", "duration_s": "3s"})
    assert workload.connections == len(expected_s)
    assert [start_delay_s(workload, number) for number in range(len(expected_s))] == pytest.approx(expected_s)


# ---- the schedule that connections share


def test_due_times_are_in_clock_time():
    schedule = Schedule(iter([0, 10, 20]), start_ns=1_000)
    assert [schedule.take() for _ in range(3)] == [1_000, 1_010, 1_020]


def test_the_backlog_is_what_is_due_and_not_taken():
    schedule = Schedule(iter(range(0, 1_000, 10)), start_ns=0)
    assert schedule.backlog(0) == 0
    assert schedule.take() == 0
    assert schedule.backlog(35) == 3
    assert schedule.backlog(35) == 3  # counting takes nothing
    assert [schedule.take() for _ in range(5)] == [10, 20, 30, 40, 50]
    assert schedule.backlog(60) == 0  # what is due at this moment is not late
    assert schedule.backlog(61) == 1


@given(data=st.data())
def test_due_times_are_taken_in_order_however_often_the_backlog_is_counted(data):
    """Takes and counts in any order, against a list."""
    steps = data.draw(st.lists(st.integers(0, 20), min_size=60, max_size=60), label="gaps")
    model = np.cumsum(steps).tolist()
    schedule = Schedule(iter(tuple(model)), 0)
    for action in data.draw(st.lists(st.sampled_from(["take", "count"]), max_size=40)):
        if action == "take":
            assert schedule.take() == model.pop(0)
        else:
            at_ns = data.draw(st.integers(0, model[-1]))
            assert schedule.backlog(at_ns) == sum(due_ns < at_ns for due_ns in model)
