"""Our histogram against the HdrHistogram library, value by value, and against numpy's exact percentiles."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hdrh.histogram import HdrHistogram
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from clients.histogram import (
    DIGITS,
    HIGHEST_NS,
    Compact,
    Histogram,
    bucket_indices,
    decoded,
    highest_quantile,
    samples_needed,
)

QUANTILES = (0.5, 0.9, 0.99, 0.999)
EDGES = [edge + step for power in range(41) for edge in (2**power, 2**power * 2047 // 1024) for step in (-1, 0, 1)]

durations = st.integers(0, HIGHEST_NS) | st.integers(0, 5_000) | st.sampled_from(EDGES)
samples = st.lists(durations, max_size=300)
spread_samples = arrays.arrays(np.int64, st.integers(400, 800), elements=st.integers(0, 10**9))


def filled(values):
    histogram = Histogram()
    histogram.add(np.array(values, dtype=np.int64))
    return histogram


def same(one, other):
    return (
        np.array_equal(one.counts, other.counts)
        and (one.total_ns, one.min_ns, one.max_ns) == (other.total_ns, other.min_ns, other.max_ns)
        and one.count == other.count
    )


@given(values=samples)
@example(values=EDGES)
def test_buckets_are_those_of_the_library(values):
    library = HdrHistogram(1, HIGHEST_NS, DIGITS)
    for value in values:
        assert library.record_value(value)
    histogram = filled(values)
    assert histogram.counts.tolist() == list(library.counts)
    assert histogram.count == library.total_count == len(values)


@given(values=spread_samples)
def test_percentiles_are_those_of_the_library(values):
    """It rounds the rank to the nearest where we round up, so ours may be that of the next value, and no other."""
    library = HdrHistogram(1, HIGHEST_NS, DIGITS)
    for value in values.tolist():
        library.record_value(value)
    histogram = filled(values)
    for quantile in QUANTILES:
        if (ours := histogram.percentile_ns(quantile)) is None:
            assert values.size < samples_needed(quantile)
            continue
        ranks = {math.ceil(quantile * values.size - 1e-9), int(quantile * values.size + 0.5)}
        theirs = {
            min(library.get_highest_equivalent_value(int(np.sort(values)[rank - 1])), int(values.max()))
            for rank in ranks
        }
        assert ours in theirs
        assert min(library.get_value_at_percentile(quantile * 100), int(values.max())) in theirs


@given(values=spread_samples)
def test_percentiles_are_those_of_numpy_to_within_a_bucket(values):
    histogram = filled(values)
    for quantile in QUANTILES:
        if values.size >= samples_needed(quantile):
            exact = int(np.quantile(values, quantile, method="inverted_cdf"))
            assert exact <= histogram.percentile_ns(quantile) <= exact + exact // 1000


def test_a_median_of_few_is_that_of_many_repeated():
    values = [3, 1_000, 2_000_000] * 4
    assert filled(values).percentile_ns(0.5) == 1_000


@given(parts=st.lists(samples, min_size=1, max_size=5))
def test_merged_histograms_equal_the_histogram_of_the_pooled_samples(parts):
    merged = Histogram()
    for part in parts:
        merged.merge(filled(part))
    assert same(merged, filled([value for part in parts for value in part]))


@given(values=samples, limit=durations)
def test_what_is_so_long_or_longer_is_counted_to_a_bucket(values, limit):
    counted = filled(values).count_from(limit)
    assert sum(value >= limit for value in values) <= counted <= sum(value >= limit * 0.998 - 1 for value in values)


@given(values=samples)
def test_adding_in_pieces_is_adding_at_once(values):
    pieces = Histogram()
    for begin in range(0, len(values), 7):
        pieces.add(np.array(values[begin : begin + 7], dtype=np.int64))
    assert same(pieces, filled(values))


OUT_OF_RANGE = [
    # nothing below zero can be, but nothing is dropped
    (-1, 0),
    (-(10**15), 0),
    # zero is a value
    (0, 0),
    # an hour is the highest value
    (HIGHEST_NS, HIGHEST_NS),
    # beyond an hour counts as an hour
    (HIGHEST_NS + 1, HIGHEST_NS),
    (2**62, HIGHEST_NS),
]


@pytest.mark.parametrize(("value", "counted_as"), OUT_OF_RANGE)
def test_values_out_of_range_go_to_the_nearest_end(value, counted_as):
    assert bucket_indices(np.array([value])) == bucket_indices(np.array([counted_as]))
    histogram = filled([value] * 10)
    assert histogram.count == 10
    assert histogram.max_ns == value  # the extremes are exact all the same
    assert histogram.percentile_ns(0.5) == pytest.approx(counted_as, rel=1e-3)
    assert Histogram.decode(histogram.encode()).count == 10


@given(value=durations)
def test_a_bucket_is_within_three_digits(value):
    assert value <= filled([value, HIGHEST_NS] * 10).percentile_ns(0.5) <= value + value // 1000


@given(values=samples)
@example(values=[])
def test_what_is_encoded_is_read_by_the_library_and_by_us(values):
    histogram = filled(values)
    library = HdrHistogram.decode(histogram.encode())
    assert library.get_total_count() == len(values)
    assert [library.get_count_at_index(index) for index in range(200)] == histogram.counts[:200].tolist()
    decoded = Histogram.decode(histogram.encode())
    assert np.array_equal(decoded.counts, histogram.counts)
    if values:
        assert decoded.max_ns - max(values) <= max(values) // 1000
        assert decoded.total_ns == pytest.approx(histogram.total_ns, rel=1e-3)


@given(values=samples)
def test_the_wire_carries_everything_exactly(values):
    histogram = filled(values)
    wire = json.loads(json.dumps(histogram.compact().to_wire()))
    assert same(Histogram.expand(Compact.from_wire(wire)), histogram)


def test_an_empty_histogram_knows_nothing_rather_than_zero():
    summary = Histogram().summary("response")
    assert summary == {f"response_{name}_ns": None for name in ("mean", "p50", "p90", "p99", "p999", "max")}


def test_the_summary_has_the_exact_mean_and_maximum():
    summary = filled([1_234_567, 7_654_321]).summary("response")
    assert summary["response_mean_ns"] == (1_234_567 + 7_654_321) / 2
    assert summary["response_max_ns"] == 7_654_321
    assert summary["response_p50_ns"] is None


@given(quantile=st.floats(0.01, 0.9999))
def test_enough_samples_put_both_ends_of_the_interval_inside_the_sample(quantile):
    """With n values, all lie on one side of the quantile with probability q**n or (1 - q)**n, each at most 2.5 %."""
    needed = samples_needed(quantile)
    for count, enough in ((needed, True), (needed - 1, False)):
        worst = max(stats.binom.pmf(0, count, quantile), stats.binom.pmf(count, count, quantile))
        assert (worst <= 0.025 * (1 + 1e-9)) == enough


@pytest.mark.parametrize(("quantile", "needed"), [(0.5, 6), (0.9, 36), (0.99, 368), (0.999, 3_688)])
def test_how_many_samples_a_percentile_needs(quantile, needed):
    assert samples_needed(quantile) == needed
    assert filled(range(needed - 1)).percentile_ns(quantile) is None
    assert filled(range(needed)).percentile_ns(quantile) is not None


@pytest.mark.parametrize("quantile", [0.9, 0.99, 0.999, 0.9999])
def test_the_highest_quantile_is_the_one_for_which_samples_just_suffice(quantile):
    needed = samples_needed(quantile)
    assert highest_quantile(needed) >= quantile > highest_quantile(needed - 1)


@given(values=st.lists(st.integers(0, HIGHEST_NS), max_size=50))
def test_what_is_decoded_holds_every_value_to_a_bucket(values):
    highest_ns, counts = decoded(filled(values).encode())
    assert np.all(np.diff(highest_ns) > 0)
    assert np.all(counts > 0)
    held = np.repeat(highest_ns, counts)
    assert held.size == len(values)
    assert np.all((held >= sorted(values)) & (held <= np.array(sorted(values)) * (1 + 2**-10)))


@pytest.mark.parametrize(
    ("payload", "says"),
    [
        ("HISTFAAAA", "base64"),
        ("bm90IGEgaGlzdG9ncmFt", "HdrCookieException"),
        (HdrHistogram(1, HIGHEST_NS, 2).encode().decode(), r"digits are \(1, 3600000000000, 2\)"),
    ],
)
def test_what_is_no_histogram_of_ours_cannot_be_decoded(payload, says):
    with pytest.raises(ValueError, match=says):
        Histogram.decode(payload)
