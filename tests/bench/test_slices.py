"""How the slices of two servers come to one number, against scipy."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import trim_mean

from bench.slices import TRIMMED_PERCENT, location, log_ratio, log_ratios

VALUES = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=60)


@given(VALUES)
def test_location_is_the_trimmed_mean_of_scipy(values):
    assert location(values) == pytest.approx(trim_mean(values, TRIMMED_PERCENT / 100), abs=1e-9)


@given(VALUES)
def test_location_of_negated_values_is_negated_exactly(values):
    assert location([-value for value in values]) == -location(values)


@given(st.lists(st.floats(-1, 1), min_size=5, max_size=40), st.floats(1e3, 1e9))
def test_location_bears_a_fifth_of_values_far_off(values, far):
    spoilt = sorted(values)
    bad = len(values) * TRIMMED_PERCENT // 100
    spoilt[:bad] = [far] * bad
    assert -1 <= location(spoilt) <= 1


def rows(numbers):
    return [{"pass": number, "replies": replies, "slice_s": 0.5} for number, replies in numbers]


def test_log_ratios_are_of_the_passes_that_both_have():
    ours, theirs = rows([(1, 10), (2, 0), (4, 40)]), rows([(1, 20), (2, 5), (3, 1), (4, 10)])
    assert log_ratios(ours, theirs, "replies_per_s") == pytest.approx([math.log(0.5), math.log(4)])
    assert log_ratio(rows([(9, 1)]), theirs, "replies_per_s") is None
