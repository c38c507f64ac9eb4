"""Whether the trials of a cell fall in two groups, so that their mean describes neither. Numbers in, yes or no out."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FEWEST = 6
"""Fewest trials. With fewer, chance alone makes two clean groups too often."""

SMALLEST_GROUP = 2
"""One trial apart from the rest is an outlier, not a mode."""

SMALLEST_DISTANCE = 1.05
"""Groups nearer than 5 % are of no interest, however clean."""

CLEARER = 2.0
"""The gap between the groups must be this many times as wide as any gap within them."""

_TRIALS = (6, 7, 8, 10, 12, 15, 20, 30, 50, 100)
_CRITICAL = (29.9, 20.0, 14.6, 10.0, 7.74, 6.20, 4.87, 3.87, 3.12, 2.58)


def has_modes(values: Sequence[float] | NDArray[np.float64]) -> bool:
    """Say whether positive values, one per trial, shape (n,), fall in two groups on the log scale.

    The values are split where the between-group sum of squares is largest against the within-group sum. Two groups
    are claimed if that ratio exceeds its 1 % point for a sample of one normal population, if the split lies at the
    widest gap, and if the groups' means differ by 5 % or more. With fewer than 6 values the answer is no. Raises
    ValueError for a value that is not positive and finite.

    The ratio is the likelihood ratio test of Engelman and Hartigan, Percentage Points of a Test for Clusters,
    J. Amer. Statist. Assoc. 64 (1969). Its 1 % points stand above for groups of two or more, by simulation
    (200,000 samples per size); between the sizes they are interpolated. The gap condition is ours: it keeps a flat
    distribution, which also splits well, from counting as two groups.
    """
    x = np.asarray(values, dtype=float)
    if not (np.isfinite(x).all() and (x > 0).all()):
        raise ValueError("every value must be positive and finite to have a logarithm")
    if x.size < FEWEST:
        return False
    x = np.sort(np.log(x))
    x -= x.mean()
    n = x.size
    left = np.arange(SMALLEST_GROUP, n - SMALLEST_GROUP + 1)  # sizes of the lower group
    sums = np.cumsum(x)[left - 1]
    between = sums**2 * (1 / left + 1 / (n - left))
    best = int(between.argmax())
    gaps = np.diff(x)
    gap = gaps[left[best] - 1]
    distance = -sums[best] * (1 / left[best] + 1 / (n - left[best]))
    within = max(float((x**2).sum() - between[best]), 0.0)
    return bool(
        distance >= np.log(SMALLEST_DISTANCE)
        and gap >= CLEARER * np.delete(gaps, left[best] - 1).max()
        and between[best] > _critical_ratio(n) * within
    )


def _critical_ratio(n: int) -> float:
    """1 % point of the between/within ratio of n normal values, interpolated in 1/n, where it is nearly linear."""
    inverse = [1 / trials for trials in reversed(_TRIALS)]
    return float(np.exp(np.interp(1 / n, inverse, np.log(_CRITICAL[::-1]))))
