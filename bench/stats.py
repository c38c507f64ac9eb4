"""Estimates and tests: numbers in, numbers with their uncertainty out. No pandas, no words for people.

Laws of this file:
- No bare number leaves it where an interval can be stated: an `Estimate` is a point, its bounds and their level.
- One value per trial goes in. A trial is one launch of a server; seconds or requests within it are not replicates.
- If the data cannot answer, the bounds are NaN. Every comparison with NaN is false, so a gate on it stays shut.

Statistics of *pairs* take d = log(B) - log(A), one value per pair of trials that were measured in turn, in which
the drift of a session cancels.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray
from scipy import special

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

Values: TypeAlias = "Sequence[float] | NDArray[Any]"
Floats: TypeAlias = NDArray[np.float64]

WILCOXON_EFFICIENCY = 0.977
"""sqrt(3/pi): how much wider the signed-rank interval is than Student's when the noise is normal (Lehmann 1975)."""


_ROUNDING = 1e-12


@dataclass(frozen=True, slots=True)
class Estimate:
    """A point with the interval that holds the true value with probability `level`. NaN bounds mean: cannot tell."""

    value: float
    low: float
    high: float
    level: float

    @property
    def bounded(self) -> bool:
        """Whether an interval could be stated at all."""
        return math.isfinite(self.low) and math.isfinite(self.high)

    def map(self, increasing: Callable[[float], float]) -> Estimate:
        """Return the estimate on another scale, given the increasing function that leads there."""
        return Estimate(increasing(self.value), increasing(self.low), increasing(self.high), self.level)

    def negated(self) -> Estimate:
        """Return the estimate of the opposite quantity; bounds change sides."""
        return Estimate(-self.value, -self.high, -self.low, self.level)


def mean_interval(values: Values, level: float = 0.95) -> Estimate:
    """Mean of a cell's trials with Student's t interval, on the plain scale.

    Precondition: the trials are independent launches. NaN counts as missing and is left out. With no value all is
    NaN; with one the bounds are NaN. Raises ValueError for an infinite value. Source: Student 1908.
    """
    x = _present(values)
    if x.size < 2:  # noqa: PLR2004 - a spread needs two values
        return Estimate(float(x[0]) if x.size else math.nan, math.nan, math.nan, level)
    mean = float(x.mean())
    half = _student((1 + level) / 2, x.size - 1) * float(x.std(ddof=1)) / math.sqrt(x.size)
    return Estimate(mean, mean - half, mean + half, level)


def geometric_mean_interval(values: Values, level: float = 0.95) -> Estimate:
    """Return the geometric mean of a cell's trials, or of ratios, with Student's t interval on the log scale.

    For rates, times, sizes and ratios: no bound is below zero, and the ratio of two such means is the mean of the
    ratios. Precondition: the trials, or pairs of trials, are independent. NaN counts as missing and is left out. With
    no value all is NaN; with one the bounds are NaN. Raises ValueError for a value that is not above zero.
    """
    return mean_interval(np.log(_positive(values)), level).map(math.exp)


def median_interval(values: Values, level: float = 0.95) -> Estimate:
    """Median with the exact interval between two order statistics (Conover 1999, section 3.2); no shape is assumed.

    Its true coverage is at least `level`. Bounds are NaN when even (smallest, largest) covers less: at 95 % that
    is below 6 values. NaN counts as missing. Raises ValueError for an infinite value.
    """
    x = np.sort(_present(values))
    if not x.size:
        return Estimate(math.nan, math.nan, math.nan, level)
    fewer_below = special.bdtr(np.arange(x.size), x.size, 0.5)
    below = int(np.searchsorted(fewer_below, (1 - level) / 2, side="right")) - 1
    if below < 0:
        return Estimate(float(np.median(x)), math.nan, math.nan, level)
    return Estimate(float(np.median(x)), float(x[below]), float(x[x.size - 1 - below]), level)


def ratio_interval(values: Values, baseline: Values, level: float = 0.95) -> Estimate:
    """Ratio of two cells (values / baseline) that were not paired: Welch's t interval on the log scale.

    The point is the ratio of geometric means, so exchanging the cells gives exactly the inverse ratio. All values
    must be positive (ValueError). With fewer than two on a side the bounds are NaN. Source: Welch 1947.
    """
    y, x = (np.log(_positive(side)) for side in (values, baseline))
    if not (y.size and x.size):
        return Estimate(math.nan, math.nan, math.nan, level)
    return _welch(y, x, level).map(math.exp)


@lru_cache(maxsize=256)
def _signed_rank_tail(n: int) -> Floats:
    """P(W+ >= w) for w = 0 .. n(n+1)/2 under symmetry about zero, exact, by convolution of the n sign flips."""
    mass = np.zeros(n * (n + 1) // 2 + 1)
    mass[0] = 1.0
    for rank in range(1, n + 1):
        flipped = mass.copy()
        flipped[rank:] += mass[:-rank]
        mass = flipped / 2
    return mass[::-1].cumsum()[::-1]


@lru_cache(maxsize=4096)
def wilcoxon_critical(n: int, alpha: float) -> int | None:
    """Smallest c with P(W+ >= c) <= alpha for n pairs, exact; None when no outcome of n pairs is that rare."""
    if n < 1:
        return None
    rare = np.flatnonzero(_signed_rank_tail(n) <= alpha)
    return int(rare[0]) if rare.size else None


def smallest_firing(alpha: float) -> int:
    """Fewest pairs with which the signed-rank test can reject at one-sided `alpha` (7 at 1 %)."""
    return math.ceil(-math.log2(alpha) - 1e-9)


def signed_rank_p(d: Values) -> float:
    """Exact one-sided p-value of 'the pairs do not lie above zero'; 1 for no pairs.

    W+ counts the Walsh averages above zero, so ties and zeros err on the side of not rejecting, and p <= alpha holds
    exactly when the lower bound of `hodges_lehmann` at 1 - 2 alpha lies above zero. Source: Wilcoxon 1945, Tukey 1949.
    """
    x = _finite(d)
    if not x.size:
        return 1.0
    return float(_signed_rank_tail(x.size)[int((_walsh(x) > 0).sum())])


def hodges_lehmann(d: Values, level: float = 0.98) -> Estimate:
    """Median of the Walsh averages with the interval that inverts the exact signed-rank test.

    Precondition: pairs independent and symmetric about the true shift. Bounds are NaN where the test cannot reject
    at all (below 7 pairs at 98 %). Negating d negates the answer exactly. Source: Hodges and Lehmann 1963.
    """
    x = _finite(d)
    if not x.size:
        return Estimate(math.nan, math.nan, math.nan, level)
    walsh = np.sort(_walsh(x))
    critical = wilcoxon_critical(x.size, round((1 - level) / 2, 12))
    if critical is None:
        return Estimate(float(np.median(walsh)), math.nan, math.nan, level)
    return Estimate(float(np.median(walsh)), float(walsh[walsh.size - critical]), float(walsh[critical - 1]), level)


def shift(values: Values, baseline: Values, level: float = 0.95) -> Estimate:
    """Median of all differences values - baseline of two unpaired samples, with the interval of the exact rank test.

    The interval inverts the test of Mann and Whitney, so that single outliers move neither point nor bounds. Bounds are
    NaN where that test cannot reject at all (below 4 on both sides at 95 %). Exchanging the samples negates the answer.
    Source: Hodges and Lehmann 1963; Conover 1999, section 5.4.
    """
    y, x = (_finite(side) for side in (values, baseline))
    if not (y.size and x.size):
        return Estimate(math.nan, math.nan, math.nan, level)
    differences = np.sort(np.subtract.outer(y, x), axis=None)
    middle = float(np.median(differences))
    cut = _mann_whitney_cut(min(y.size, x.size), max(y.size, x.size), round((1 - level) / 2, 12))
    if cut == 0:
        return Estimate(middle, math.nan, math.nan, level)
    return Estimate(middle, float(differences[cut - 1]), float(differences[-cut]), level)


@lru_cache(maxsize=256)
def _mann_whitney_cut(m: int, n: int, tail: float) -> int:
    """Return how many of m * n differences lie beyond the bound with probability `tail`, at most; 0: it is none.

    The distribution is exact up to 2,500 differences, and its normal limit beyond.
    """
    if m * n > 2500:  # noqa: PLR2004 - about 50 on each side
        return int(m * n / 2 + float(special.ndtri(tail)) * math.sqrt(m * n * (m + n + 1) / 12))
    ways = np.zeros((m + 1, m * n + m * (m + 1) // 2 + 1))  # to choose so many of the ranks, by their sum
    ways[0, 0] = 1.0
    for rank in range(1, m + n + 1):
        ways[1:, rank:] += ways[:-1, :-rank].copy()
    below = ways[m, m * (m + 1) // 2 :].cumsum() / math.comb(m + n, m)
    return int(np.searchsorted(below, tail, side="right"))


def minimal_effect(sd: float, n: int, *, alpha: float = 0.01, power: float = 0.80) -> float:
    """Log ratio that n pairs with standard deviation `sd` find with probability `power`; NaN below 2 pairs.

    Student's quantiles are used, because normal ones promise too much below 20 pairs. The divisor turns the effect of
    Student's test into that of the rank test.
    """
    if n < 2:  # noqa: PLR2004 - a spread needs two values
        return math.nan
    quantiles = _student(1 - alpha, n - 1) + _student(power, n - 1)
    return quantiles * sd / math.sqrt(n) / WILCOXON_EFFICIENCY


def pairs_needed(sd: float, effect: float, *, alpha: float = 0.01, power: float = 0.90) -> int:
    """Pairs with which a log ratio of `effect` is found with probability `power`, never fewer than can reject."""
    quantiles = float(special.ndtri(1 - alpha) + special.ndtri(power))
    return max(10, smallest_firing(alpha), math.ceil((quantiles * sd / effect) ** 2))


def lag1(d: Values) -> float:
    """Correlation of each pair with the next; NaN below 4 pairs or without any spread but that of rounding."""
    x = _finite(d)
    if x.size < 4 or np.ptp(x) <= _ROUNDING * np.abs(x).max():  # noqa: PLR2004 - below four it is noise only
        return math.nan
    spread = x - x.mean()
    power = float(spread @ spread)
    return float(spread[:-1] @ spread[1:]) / power


def is_correlated(d: Values) -> bool:
    """Whether neighbouring pairs are alike beyond chance (lag-1 above 2/sqrt(n)): then an interval is too narrow."""
    return lag1(d) > 2 / math.sqrt(max(len(d), 1))


def holm(p_values: Values) -> Floats:
    """p-values adjusted so that the chance of any false one among them stays at the level asked. Source: Holm 1979."""
    p = np.asarray(p_values, dtype=float)
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted


def clopper_pearson(hits: int, of: int, level: float = 0.95) -> Estimate:
    """Share of hits with its exact binomial interval; NaN point and [0, 1] when nothing was tried. Source: 1934."""
    tail = (1 - level) / 2
    low = float(special.betaincinv(hits, of - hits + 1, tail)) if hits else 0.0
    high = float(special.betaincinv(hits + 1, of - hits, 1 - tail)) if hits < of else 1.0
    return Estimate(hits / of if of else math.nan, low, high, level)


def _welch(y: Floats, x: Floats, level: float) -> Estimate:
    """Difference of means y - x with Welch's interval; NaN bounds with fewer than two values on a side."""
    difference = float(y.mean() - x.mean())
    if min(y.size, x.size) < 2:  # noqa: PLR2004 - a spread needs two values
        return Estimate(difference, math.nan, math.nan, level)
    vy, vx = float(y.var(ddof=1)) / y.size, float(x.var(ddof=1)) / x.size
    if vy + vx == 0:
        return Estimate(difference, difference, difference, level)
    freedom = (vy + vx) ** 2 / (vy**2 / (y.size - 1) + vx**2 / (x.size - 1))
    half = _student((1 + level) / 2, freedom) * math.sqrt(vy + vx)
    return Estimate(difference, difference - half, difference + half, level)


def _student(probability: float, freedom: float) -> float:
    return float(special.stdtrit(freedom, probability))


def _walsh(x: Floats) -> Floats:
    i, j = _each_with_each(x.size)
    return (x[i] + x[j]) / 2


@lru_cache(maxsize=64)
def _each_with_each(n: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return the positions of the first and the second of each pair among n, one with itself included."""
    return np.triu_indices(n)


def _present(values: Values) -> Floats:
    x = np.asarray(values, dtype=float)
    return _finite(x[~np.isnan(x)])


def _finite(values: Values) -> Floats:
    x = np.asarray(values, dtype=float)
    if not np.isfinite(x).all():
        raise ValueError("every value must be a finite number")
    return x


def _positive(values: Values) -> Floats:
    x = _present(values)
    if not (x > 0).all():
        raise ValueError("every value must be above zero to have a logarithm")
    return x
