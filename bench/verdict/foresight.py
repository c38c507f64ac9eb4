"""What the pairs that are still planned can change of a word. It decides when a cell ends, and not which word it gets.

At a planned look, a cell without a slowdown ends if the end would hardly find another word. Its pairs so far predict
where the estimate of all planned pairs will lie (stochastic curtailment: Lan, Simon and Halperin 1982; with the
predictive probability of Spiegelhalter, Freedman and Blackburn 1986, under a flat prior). No test is made here.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from scipy.special import ndtr, ndtri

from bench.verdict.interim import nominal_alpha
from bench.verdict.words import Word

if TYPE_CHECKING:
    from bench.verdict.values import CellVerdict, Comparison, MetricVerdict

CHANGE_CHANCE = 0.02
"""An OK that the end changes with a smaller probability ends at a look."""


def has_ended(cell: CellVerdict, comparison: Comparison) -> bool:
    """Whether the rest of the planned pairs would not change the word of a cell, or hardly.

    One metric that IMPROVED ends no cell in which another may yet be REGRESSED.
    """
    if cell.word not in {Word.OK, Word.IMPROVED}:
        return cell.settled
    return all(
        metric.word is Word.IMPROVED or change_chance(metric, comparison) < CHANGE_CHANCE
        for metric in cell.metrics
        if metric.rule.gating
    )


def change_chance(metric: MetricVerdict, comparison: Comparison) -> float:
    """Return the predictive probability that a metric which is OK will be REGRESSED or IMPROVED at the last look."""
    assert metric.slowdown is not None
    now, end = metric.pairs, comparison.looks[-1]
    z = -float(ndtri(nominal_alpha(comparison.alpha / metric.family, comparison.looks)))
    least = max(z * metric.pair_sd / math.sqrt(end), math.log1p(metric.rule.tolerance))
    log, spread = math.log1p(metric.slowdown.value), metric.pair_sd * math.sqrt(max(0.0, 1 / now - 1 / end))
    if not spread:
        return float(abs(log) >= least)
    return float(ndtr((log - least) / spread) + ndtr((-log - least) / spread))
