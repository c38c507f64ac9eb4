"""Every statistic against an independent implementation (scipy), and the laws it must obey on any data."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from bench import stats
from bench.verdict.interim import nominal_alpha, overall_p, planned

VALUES = st.floats(-1e3, 1e3).map(lambda value: round(value, 6))
PAIRS = st.lists(VALUES, min_size=1, max_size=40)
POSITIVE = st.lists(st.floats(1e-3, 1e6), min_size=2, max_size=20)
LEVELS = (0.90, 0.95, 0.98)


def draw(n, seed=0, sd=1.0):
    return np.random.default_rng(seed).normal(0, sd, size=n)


@pytest.mark.parametrize(("n", "level"), [*itertools.product((2, 3, 12, 40), LEVELS)])
def test_mean_interval_is_students(n, level):
    x = draw(n) + 100
    found = stats.mean_interval(x, level)
    expected = scipy_stats.t.interval(level, n - 1, loc=x.mean(), scale=scipy_stats.sem(x))
    assert (found.value, found.level) == (pytest.approx(x.mean()), level)
    assert (found.low, found.high) == pytest.approx(expected)


@pytest.mark.parametrize("n", [2, 3, 12])
def test_geometric_mean_interval_is_students_on_logarithms(n):
    x = np.exp(draw(n, sd=2.0))
    found = stats.geometric_mean_interval(x, 0.95)
    expected = scipy_stats.t.interval(0.95, n - 1, loc=np.log(x).mean(), scale=scipy_stats.sem(np.log(x)))
    assert found.value == pytest.approx(scipy_stats.gmean(x))
    assert (found.low, found.high) == pytest.approx(tuple(np.exp(expected)))
    assert found.low > 0


def test_a_geometric_mean_is_of_values_above_zero():
    assert math.isnan(stats.geometric_mean_interval([]).value)
    assert not stats.geometric_mean_interval([7.0]).bounded
    with pytest.raises(ValueError, match="above zero"):
        stats.geometric_mean_interval([1.0, 0.0])


def test_one_value_has_no_interval_and_none_has_no_mean():
    one, none = stats.mean_interval([7.0]), stats.mean_interval([])
    assert one.value == 7.0
    assert not one.bounded
    assert math.isnan(none.value)
    assert not none.bounded


def test_missing_values_are_left_out_and_infinite_ones_refused():
    assert stats.mean_interval([1.0, math.nan, 3.0]) == stats.mean_interval([1.0, 3.0])
    assert stats.median_interval([1.0, math.nan, 3.0]).value == 2.0
    with pytest.raises(ValueError, match="finite"):
        stats.mean_interval([1.0, math.inf])


@pytest.mark.parametrize(("n", "level"), [*itertools.product((1, 5, 6, 7, 20, 41), LEVELS)])
def test_median_interval_covers_its_level_and_hardly_more(n, level):
    """The number of values below the median is binomial: that alone gives the coverage of two order statistics."""
    found = stats.median_interval(np.arange(n), level)
    if not found.bounded:
        assert 2 * scipy_stats.binom.cdf(0, n, 0.5) > 1 - level
        return
    below = int(found.low)
    assert 2 * scipy_stats.binom.cdf(below, n, 0.5) <= 1 - level
    assert 2 * scipy_stats.binom.cdf(below + 1, n, 0.5) > 1 - level
    assert found.high == n - 1 - below


@pytest.mark.parametrize(("n", "m"), [(2, 2), (5, 9), (30, 30)])
def test_ratio_interval_is_welchs_on_logarithms(n, m):
    y, x = draw(n, 1, 0.2), draw(m, 2, 0.1) + 1
    found = stats.ratio_interval(np.exp(y), np.exp(x), 0.95)
    expected = scipy_stats.ttest_ind(y, x, equal_var=False).confidence_interval(0.95)
    assert (math.log(found.low), math.log(found.high)) == pytest.approx((expected.low, expected.high))
    assert found.value == pytest.approx(math.exp(y.mean() - x.mean()))


@given(POSITIVE, POSITIVE)
def test_exchanging_the_cells_inverts_the_ratio(a, b):
    ratio, inverse = stats.ratio_interval(a, b), stats.ratio_interval(b, a)
    assert ratio.value * inverse.value == pytest.approx(1)
    assert ratio.low * inverse.high == pytest.approx(1)


def test_a_ratio_of_nothing_or_of_zero():
    assert math.isnan(stats.ratio_interval([], [1.0]).value)
    assert not stats.ratio_interval([2.0], [1.0]).bounded
    assert stats.ratio_interval([2.0, 2.0], [1.0, 1.0]) == stats.Estimate(2.0, 2.0, 2.0, 0.95)
    with pytest.raises(ValueError, match="above zero"):
        stats.ratio_interval([1.0, 0.0], [1.0, 1.0])


@pytest.mark.parametrize("n", range(1, 16))
def test_signed_rank_p_is_scipys_exact_one(n):
    for seed in range(30):
        d = draw(n, seed) + 0.3
        assert stats.signed_rank_p(d) == pytest.approx(
            scipy_stats.wilcoxon(d, alternative="greater", method="exact").pvalue
        )


def test_critical_values_are_those_of_the_published_table():
    """One-sided 1 %: the largest W- of Wilcoxon's table (1945) for n = 7, 10, 15, 20, 25 is 0, 5, 19, 43, 76."""
    for n, smaller in {7: 0, 10: 5, 15: 19, 20: 43, 25: 76}.items():
        assert stats.wilcoxon_critical(n, 0.01) == n * (n + 1) // 2 - smaller


@pytest.mark.parametrize(("alpha", "fewest"), [(0.01, 7), (0.05, 5), (0.01 / 24, 12), (0.01 / 60, 13)])
def test_the_fewest_pairs_that_can_reject(alpha, fewest):
    assert stats.smallest_firing(alpha) == fewest
    assert stats.wilcoxon_critical(fewest, alpha) is not None
    assert stats.wilcoxon_critical(fewest - 1, alpha) is None
    assert stats.wilcoxon_critical(0, alpha) is None


@given(PAIRS)
def test_the_interval_and_the_test_are_one(d):
    """The lower bound lies above zero exactly when the test rejects, also with ties and zeros."""
    assert (stats.hodges_lehmann(d, 0.98).low > 0) == (stats.signed_rank_p(d) <= 0.01)


@given(PAIRS)
def test_exchanging_the_arms_negates_exactly(d):
    found, other = stats.hodges_lehmann(d), stats.hodges_lehmann([-x for x in d])
    assert found.value == -other.value
    if found.bounded:
        assert (found.low, found.high) == (-other.high, -other.low)


@given(PAIRS, st.randoms())
def test_the_order_of_pairs_does_not_matter_to_the_interval(d, random):
    found, other = stats.hodges_lehmann(d), stats.hodges_lehmann(random.sample(d, len(d)))
    assert found.value == other.value
    assert found.bounded == other.bounded
    assert not found.bounded or (found.low, found.high) == (other.low, other.high)


@given(st.lists(VALUES, min_size=7, max_size=30))
def test_the_estimate_lies_within_its_interval(d):
    found = stats.hodges_lehmann(d)
    assert found.low <= found.value <= found.high
    assert min(d) <= found.low
    assert found.high <= max(d)


@pytest.mark.parametrize("n", range(7))
def test_fewer_than_seven_pairs_give_no_bounds(n):
    assert not stats.hodges_lehmann([5.0] * n).bounded


@pytest.mark.parametrize(("m", "n"), [(4, 4), (3, 9), (8, 12), (60, 60)])
def test_a_shift_is_one_with_the_test_of_mann_and_whitney(m, n):
    """Each bound is the largest shift that scipy's test, exact or in its limit, does not reject."""
    draw = np.random.default_rng(m)
    y, x = draw.normal(1, 1, m), draw.normal(0, 1, n)
    found = stats.shift(y, x)
    for bound, inwards in ((found.low, 1e-9), (found.high, -1e-9)):
        inside, outside = (
            scipy_stats.mannwhitneyu(y - bound - step, x, method="exact" if m < 50 else "asymptotic").pvalue
            for step in (inwards, -inwards)
        )
        assert outside <= 0.0505 < inside + 0.002
    assert stats.shift(x, y).value == -found.value
    assert (stats.shift(x, y).low, stats.shift(x, y).high) == (-found.high, -found.low)


def test_a_single_outlier_does_not_move_a_shift_by_much():
    level = [0.01 * number for number in range(8)]
    assert stats.shift([1.0 + one for one in level[:-1]] + [99.0], level).value == pytest.approx(1.0, abs=0.02)


@pytest.mark.parametrize("sizes", [(0, 5), (5, 0), (3, 3), (1, 30)])
def test_too_few_values_give_a_shift_without_bounds(sizes):
    assert not stats.shift(*(np.arange(float(size)) for size in sizes)).bounded


@pytest.mark.parametrize("n", [10, 20, 40])
def test_minimal_effect_has_the_power_it_promises(n):
    """Against scipy's noncentral t: a t test would find it with at least 80 %, since ranks need a little more."""
    effect = stats.minimal_effect(1.0, n)
    power = scipy_stats.nct.sf(scipy_stats.t.isf(0.01, n - 1), n - 1, effect * math.sqrt(n))
    assert 0.78 <= power <= 0.90
    assert math.isnan(stats.minimal_effect(1.0, 1))


@pytest.mark.parametrize(
    ("sd", "slowdown", "pairs"), [(0.08, 0.05, 36), (0.08, 0.10, 10), (0.16, 0.05, 141), (0.01, 0.05, 10)]
)
def test_pairs_needed(sd, slowdown, pairs):
    assert stats.pairs_needed(sd, math.log1p(slowdown)) == pytest.approx(pairs, abs=1)


def test_lag1_is_pearsons_of_neighbours_for_a_long_series():
    x = np.convolve(draw(3000), [1, 0.8])
    assert stats.lag1(x) == pytest.approx(np.corrcoef(x[:-1], x[1:])[0, 1], abs=0.01)


def test_neighbours_that_are_alike_are_noticed_and_alternation_is_not():
    assert stats.is_correlated(np.sin(np.arange(40) / 6))
    assert not stats.is_correlated([1.0, -1.0] * 20)
    assert not stats.is_correlated([1.0, 1.0, 1.0, 1.0])
    assert not stats.is_correlated([math.log(9) - math.log(1)] * 10), "rounding is no spread"
    assert math.isnan(stats.lag1([1.0, 2.0, 3.0]))


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30))
def test_holm_is_scipys_bonferroni_step_down(p):
    """Against its definition: the k-th smallest times the number of those not smaller, never decreasing, at most 1."""
    adjusted = stats.holm(p)
    order = np.argsort(p, kind="stable")
    running = 0.0
    for k, index in enumerate(order):
        running = max(running, min(1.0, p[index] * (len(p) - k)))
        assert adjusted[index] == pytest.approx(running)


@pytest.mark.parametrize(("hits", "of"), [(0, 10), (3, 300), (10, 10), (2, 340)])
def test_clopper_pearson_is_scipys(hits, of):
    expected = scipy_stats.binomtest(hits, of).proportion_ci(0.95, "exact")
    found = stats.clopper_pearson(hits, of)
    assert (found.low, found.high) == pytest.approx((expected.low, expected.high))


def test_clopper_pearson_of_nothing_knows_nothing():
    found = stats.clopper_pearson(0, 0)
    assert math.isnan(found.value)
    assert (found.low, found.high) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("pairs", "looks"),
    [
        (5, (5,)),
        (11, (11,)),
        (16, (16,)),
        (17, (11, 17)),
        (33, (12, 24, 33)),
        (40, (12, 24, 40)),
        (137, (35, 70, 105, 137)),
    ],
)
def test_planned_looks_of_two_tests(pairs, looks):
    assert planned(pairs, 0.002 / 2) == looks


@given(st.integers(1, 300), st.integers(1, 60))
def test_the_first_look_can_decide_whenever_the_last_can(pairs, tests):
    alpha = 0.002 / tests
    looks = planned(pairs, alpha)
    assert looks[-1] == pairs
    assert len(looks) <= 4
    apart = {after - before for before, after in itertools.pairwise((0, *looks[:-1]))}
    assert len(apart) <= 1
    if pairs >= stats.smallest_firing(alpha):
        assert stats.smallest_firing(nominal_alpha(alpha, looks)) <= looks[0]


@pytest.mark.parametrize(("looks", "z"), [((1, 2), 2.178), ((1, 2, 3, 4), 2.361), ((1, 2, 3, 4, 5), 2.413)])
def test_the_boundary_is_pococks(looks, z):
    """Pocock (1977), table 1: z for equal steps and 5 % two-sided, which is 2.5 % one-sided but for a trifle."""
    assert -scipy_stats.norm.ppf(nominal_alpha(0.025, looks)) == pytest.approx(z, abs=0.002)


@given(st.floats(1e-6, 0.4), st.sampled_from([(12,), (10, 20), (10, 20, 30, 40), (7, 40)]))
def test_the_boundary_and_the_overall_p_are_one(alpha, looks):
    nominal = nominal_alpha(alpha, looks)
    assert alpha / len(looks) - 1e-9 <= nominal <= alpha
    assert overall_p(nominal, looks) == pytest.approx(alpha, rel=1e-4)


def test_an_estimate_changes_scale_and_sign_whole():
    found = stats.Estimate(1.0, 0.5, 2.0, 0.95)
    assert found.map(math.log).map(math.exp).high == pytest.approx(2.0)
    assert found.negated() == stats.Estimate(-1.0, -2.0, -0.5, 0.95)
