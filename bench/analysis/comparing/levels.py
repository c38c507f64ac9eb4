"""Where a series of numbers changes its level, and how its newest level looks. Numbers in, places and a word out.

What the numbers are of, and which of them can be joined, is decided in `many_runs`. Nothing is read here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.analysis.comparing.two_runs import Impression

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.stats import Floats
    from bench.verdict.rules import Rule

ALPHA = 0.01
PERMUTATIONS = 1999
FEWEST_RUNS = 8
"""Fewer runs have too few orders for a split to be rare."""

OUTLYING = 3.0
"""A newest run so many robust standard deviations from its level may be the first of a new one."""


def change_points(values: Floats, *, alpha: float = ALPHA, seed: int = 0) -> list[tuple[int, float]]:
    """Return where a series changes its level: index of the first value of a new level, and a p-value, in order.

    Binary segmentation takes the split with the largest rank CUSUM, and then does the same on each side. The largest
    CUSUM is tested against the largest of random orders, so that p allows for having searched (Pettitt 1979, by
    permutation). If the values are exchangeable, a series without a change shows one with probability `alpha` at most.
    Fewer than 8 values show none.
    """
    if values.size < FEWEST_RUNS:
        return []
    ranks = np.argsort(np.argsort(values, kind="stable"), kind="stable").astype(float)
    split, largest = _cusum(ranks[None, :])
    shuffled = np.random.default_rng(seed).permuted(np.tile(ranks, (PERMUTATIONS, 1)), axis=1)
    p = (1 + int((_cusum(shuffled)[1] >= largest[0] - 1e-9).sum())) / (PERMUTATIONS + 1)
    if p > alpha:
        return []
    at = int(split[0])
    after = [(at + index, q) for index, q in change_points(values[at:], alpha=alpha, seed=seed)]
    return [*change_points(values[:at], alpha=alpha, seed=seed), (at, p), *after]


def _cusum(rows: Floats) -> tuple[Any, Floats]:
    """Return, per row, the split with the largest standardised difference of means, and that difference."""
    n = rows.shape[1]
    left = np.arange(1, n)
    sums = np.cumsum(rows - rows.mean(axis=1, keepdims=True), axis=1)[:, :-1]
    size = np.abs(sums) / np.sqrt(left * (n - left) / n)
    return size.argmax(axis=1) + 1, size.max(axis=1)


def look(values: Floats, splits: Sequence[int], rule: Rule) -> Impression:
    """Return the impression of the newest of a series, whose levels begin at its first value and at `splits`.

    `values` are logarithms of medians. The newest level looks slower if it is slower than the one before, or by the
    rule's budget than any. If the newest value stands out from its level, it may be the first of another, and nobody
    can tell. Fewer than 8 values cannot tell either, and one has nothing to be compared with.
    """
    if values.size < FEWEST_RUNS:
        return Impression.CANNOT_TELL if values.size > 1 else Impression.MISSING
    worse = -values if rule.larger_is_better else values
    parts = np.split(worse, splits)
    levels = [float(np.median(part)) for part in parts]
    tolerance, budget = math.log1p(rule.tolerance), math.log1p(rule.budget)
    steps = [levels[-1] - level for level in levels[:-1]]
    if steps and (steps[-1] >= tolerance or max(steps) >= budget):
        return Impression.LOOKS_SLOWER
    spread = 1.4826 * float(np.median(np.abs(parts[-1] - levels[-1])))
    if worse[-1] - levels[-1] > max(budget, OUTLYING * spread):
        return Impression.CANNOT_TELL
    return Impression.LOOKS_FASTER if steps and max(steps) <= -tolerance else Impression.LOOKS_ALIKE


def held_against(parts: Sequence[Floats], rule: Rule) -> int:
    """Return which of two or more levels the newest is held against: the one before it, or else the best of all.

    It is the best of all where the newest is slower than that, and is not slower than the one before it.
    `parts` are logarithms, as in `look`.
    """
    sign = -1 if rule.larger_is_better else 1
    worse = [sign * float(np.median(part)) for part in parts]
    last, best = len(parts) - 2, int(np.argmin(worse[:-1]))
    by_last, by_best = worse[-1] - worse[last], worse[-1] - worse[best]
    is_worse_than_best = by_best >= math.log1p(rule.budget) and by_last < math.log1p(rule.tolerance)
    return best if is_worse_than_best else last
