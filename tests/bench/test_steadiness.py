"""Drift within a window: the value by table, what noise alone does, and what a drift of a known size does."""

from __future__ import annotations

import math
import random

import pytest

from bench import limits
from bench.steadiness import drift, is_beyond


def slices(rates):
    return [{"replies": 0.1 * rate, "slice_s": 0.1} for rate in rates]


def has_moved(rates):
    found = drift(slices(rates))
    return is_beyond(found.low, found.high, limits.DRIFT.trial)


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([100.0] * 30, 0.0),
        ([100.0] * 10 + [110.0] * 20, 10 / 105),
        ([110.0] * 10 + [100.0] * 20, -10 / 105),  # the sign turns with the order
        ([100.0, 1.0, 110.0], 10 / 105),  # three slices give a value, the middle one never counts
        ([0.0] * 10 + [100.0] * 20, 2.0),  # nothing, and then replies: the largest drift there is
        ([0.0] * 30, math.nan),  # a window without a reply has no rate
        ([100.0, 110.0], math.nan),
        ([], math.nan),
    ],
)
def test_a_drift_is_the_difference_of_the_outer_thirds_over_their_mean(rates, expected):
    assert drift(slices(rates)).value == pytest.approx(expected, nan_ok=True)


def test_the_interval_needs_two_slices_in_a_third():
    assert math.isnan(drift(slices([1.0, 100.0, 1.0, 100.0, 1.0])).low)
    assert drift(slices([100.0] * 6)).low == 0


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([], False),
        ([1.0, 100.0, 1.0, 100.0, 1.0], False),  # too few slices to tell
        ([100.0] * 30, False),
        ([0.0] * 30, False),
        ([100.0] * 10 + [101.9] * 20, False),  # within the limit of 2 %
        ([100.0] * 10 + [102.1] * 20, True),
        ([102.1] * 10 + [100.0] * 20, True),
        ([0.0] * 10 + [100.0] * 20, True),
        ([50.0 + step for step in range(30)], True),
    ],
)
def test_a_rate_has_moved_if_the_whole_interval_lies_beyond_the_limit(rates, expected):
    assert has_moved(rates) is expected


def noisy(draw, noise, change):
    """Return 30 rates with a normal noise; the last third is faster by `change`, the middle by half of it."""
    return [draw.gauss(100 * (1 + change * (i // 10) / 2), 100 * noise) for i in range(30)]


def test_noise_alone_is_seldom_called_a_drift():
    draw = random.Random(1)
    moved = sum(has_moved(noisy(draw, 0.2, 0.0)) for _ in range(500))
    print(f"windows with a noise of 20 %: {moved} of 500 called a drift")
    assert moved <= 15


@pytest.mark.parametrize(("noise", "change"), [(0.01, 0.05), (0.03, 0.10), (0.06, 0.15), (0.2, 0.6)])
def test_a_drift_that_stands_out_of_the_noise_is_found(noise, change):
    draw = random.Random(2)
    found = sum(has_moved(noisy(draw, noise, change)) for _ in range(300))
    print(f"a drift of {change:.0%} in a noise of {noise:.0%}: {found} of 300 found")
    assert found >= 270
