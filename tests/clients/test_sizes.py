"""Sizes, levels and profiles as people write them."""

from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from clients.sizes import draw_sizes, largest_size, parse_level, parse_profile, parse_sizes
from clients.workload import WorkloadError, parse_duration_s, parse_size_bytes

SIZES = [
    # a number is a number of bytes
    ("64", 64),
    # units of 1024 and of 1000, in any case
    ("1KiB", 1_024),
    ("1kib", 1_024),
    ("2k", 2_048),
    ("10kB", 10_000),
    ("16MiB", 16 * 2**20),
    # a fraction that makes whole bytes
    ("1.5KiB", 1_536),
    (" 7 b ", 7),
]
DURATIONS = [
    ("5s", 5.0),
    ("500ms", 0.5),
    ("250us", 0.00025),
    ("2min", 120.0),
    ("2m", 120.0),
    ("1h", 3_600.0),
    (".5", 0.5),
]
NO_SIZES = ["", "x", "-1", "1.5", "1e3", "1TiB", "nan", "0x10", "64 64", "²"]
NO_DURATIONS = ["", "s", "-1s", "5 parsecs", "inf", "nan", "1e3s", "1:30"]


@pytest.mark.parametrize(("text", "size"), SIZES)
def test_sizes_are_read(text, size):
    assert parse_size_bytes(text) == parse_sizes(text) == largest_size(text) == size
    assert list(islice(draw_sizes(text, 0), 3)) == [size] * 3


@pytest.mark.parametrize("text", NO_SIZES)
def test_what_is_no_size_is_refused_by_name(text):
    with pytest.raises(WorkloadError, match="size"):
        parse_size_bytes(text)


@pytest.mark.parametrize(("text", "seconds"), DURATIONS)
def test_durations_are_read(text, seconds):
    assert parse_duration_s(text) == pytest.approx(seconds)


@pytest.mark.parametrize("text", NO_DURATIONS)
def test_what_is_no_duration_is_refused_by_name(text):
    with pytest.raises(WorkloadError, match="duration"):
        parse_duration_s(text)


@given(low=st.integers(1, 5_000), width=st.integers(0, 5_000))
def test_a_range_draws_sizes_within_it(low, width):
    text = f"{low}..{low + width}"
    drawn = list(islice(draw_sizes(text, 5), 200))
    assert low <= min(drawn) <= max(drawn) <= low + width == largest_size(text)


def test_a_range_is_uniform_and_includes_both_ends():
    counts = np.bincount(list(islice(draw_sizes("3..7", 1), 50_000)), minlength=8)[3:]
    assert stats.chisquare(counts).pvalue > 0.01


def test_a_mixture_has_its_weights():
    drawn = list(islice(draw_sizes("64:9,16KiB:1", 1), 50_000))
    assert set(drawn) == {64, 16_384}
    assert stats.binomtest(drawn.count(16_384), len(drawn), 0.1).pvalue > 0.01
    assert largest_size("64:9,16KiB:1") == 16_384


def test_a_seed_draws_the_same_sizes_again():
    assert list(islice(draw_sizes("1..999", 4), 50)) == list(islice(draw_sizes("1..999", 4), 50))
    assert list(islice(draw_sizes("1..999", 4), 50)) != list(islice(draw_sizes("1..999", 5), 50))


@pytest.mark.parametrize(
    "text", ["0", "0..5", "9..3", "5..", "..5", "64:0", "64:-1", "0:1", "64:1,128", "64:nan", "64:1,,2:1"]
)
def test_distributions_that_cannot_be_are_refused(text):
    with pytest.raises(WorkloadError):
        parse_sizes(text)


PROFILES = [
    # a level
    ("20000", 20_000, ()),
    # a ramp has the mean of its ends
    ("1000..20000", 10_500, ((1.0, 1_000, 20_000),)),
    # steps are of equal length
    ("1,8,64", pytest.approx(73 / 3), tuple((pytest.approx(1 / 3), level, level) for level in (1, 8, 64))),
]


@pytest.mark.parametrize(("text", "mean", "profile"), PROFILES)
def test_profiles_are_read(text, mean, profile):
    assert parse_profile(text) == (mean, profile)


@pytest.mark.parametrize("text", ["nan", "inf", "-inf", "1e999", "", "fast", "1..", "1,,2", "1..2..3"])
def test_levels_that_are_no_numbers_are_refused(text):
    with pytest.raises(WorkloadError, match="is not a number"):
        parse_profile(text)


def test_levels_may_be_written_as_python_writes_them():
    assert [parse_level(text) for text in ("1e3", "2.5", "-4")] == [1_000, 2.5, -4]
