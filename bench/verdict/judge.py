"""The verdict on pairs of trials. It is computed here, once. Nothing is run, printed or read from a file.

A cell's metric is REGRESSED only if three things hold. The exact signed-rank test says slower, beyond what chance gives
among all tests of the comparison (Holm) and all planned looks. The whole interval lies above zero. The estimate reaches
the tolerance. The metric is OK only if the interval excludes a slowdown of the whole budget. If neither that nor the
like for faster (IMPROVED) holds, it is INCONCLUSIVE.

The estimate need not reach the budget to be REGRESSED. If it had to, a true slowdown of exactly one budget would be
found in half of the cases, however many pairs there are.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from bench.stats import (
    Estimate,
    Floats,
    hodges_lehmann,
    holm,
    median_interval,
    minimal_effect,
    pairs_needed,
    signed_rank_p,
    smallest_firing,
)
from bench.units import estimate, percent, plural, share
from bench.verdict.interim import nominal_alpha, overall_p
from bench.verdict.pairs import Observation, PairedValues, by_cell, paired_values
from bench.verdict.rules import RULES
from bench.verdict.values import CellVerdict, Comparison, MetricVerdict
from bench.verdict.words import Word, worst

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bench.verdict.rules import Rule

ALPHA = 0.002
"""Chance, over the whole family of gating tests, that unchanged code is called REGRESSED.

The exact test spends it whole. At 0.01 ten of 1,000 comparisons of equal code are REGRESSED, and as many IMPROVED. A
check that runs on every change is wrong too often then, and pairs in blocks are sharp enough to pay for less.
"""


@dataclass(frozen=True, slots=True)
class Problem:
    """The reason why a cell has no verdict from its numbers: the word that it gets instead, and a sentence."""

    word: Word
    reason: str


@dataclass(frozen=True, slots=True)
class _Evidence:
    """One metric of one cell, reduced to the log slowdowns that are tested."""

    paired: PairedValues
    d: Floats


@dataclass(frozen=True, slots=True)
class _Terms:
    """The terms of a test: the planned looks, the chance of error, and the number of tests in its family."""

    looks: tuple[int, ...]
    alpha: float
    family: int

    @property
    def at_a_look(self) -> float:
        """One-sided level of the interval at each look, so that it covers at all of them together."""
        return nominal_alpha(self.alpha, self.looks)

    @property
    def strictest(self) -> float:
        """The level that the smallest p-value of a family must pass (Holm's first step); effects are promised at it."""
        return nominal_alpha(self.alpha / self.family, self.looks)


def judge(
    observations: Iterable[Observation],
    *,
    cells: Sequence[str],
    looks: tuple[int, ...],
    rules: Sequence[Rule] = RULES,
    alpha: float = ALPHA,
    cell_rules: Mapping[str, Sequence[Rule]] | None = None,
    problems: Mapping[str, Problem] | None = None,
    host_problem: str = "",
) -> Comparison:
    """Return the verdict on every cell in `cells`, also on a cell without a single row.

    `looks` are the planned numbers of pairs at which this is called; the last is the largest. `cell_rules` are the
    rules of cells in which fewer metrics may decide than `rules` say. `problems` are cells that the validity gates have
    refused. Both keep their place in the family of tests, so that what one cell lacks does not make it easier to call
    the others REGRESSED.
    """
    rows, refused, fewer = by_cell(observations), problems or {}, cell_rules or {}
    evidence: dict[tuple[str, str], _Evidence | Problem] = {
        (cell, rule.metric): refused.get(cell) or _evidence(paired_values(rows.get(cell, ()), rule.metric), rule)
        for cell in cells
        for rule in rules
    }
    family = [(cell, rule.metric) for cell in cells for rule in rules if rule.gating]
    slower, faster = (
        dict(zip(family, holm([_p(evidence[key], looks, sign) for key in family]).tolist(), strict=True))
        for sign in (1, -1)
    )

    def metric(cell: str, rule: Rule) -> MetricVerdict:
        found, key = evidence[cell, rule.metric], (cell, rule.metric)
        if isinstance(found, Problem):
            return MetricVerdict(rule=rule, word=found.word, reason=found.reason, family=len(family))
        p = (slower[key], faster[key]) if rule.gating else (_p(found, looks, 1), _p(found, looks, -1))
        return _metric_verdict(found, rule, p, _Terms(looks, alpha, len(family) if rule.gating else 1))

    verdicts = tuple(
        _cell_verdict(cell, tuple(metric(cell, rule) for rule in fewer.get(cell, rules))) for cell in cells
    )
    return Comparison(cells=verdicts, looks=looks, alpha=alpha, host_problem=host_problem)


def _evidence(found: PairedValues, rule: Rule) -> _Evidence | Problem:
    """Return the evidence, or the problem of numbers that have no logarithm or no partner."""
    if not found.pairs:
        return Problem(Word.NO_BASELINE, "there are no trials of both arms to compare")
    if found.lost:
        return Problem(Word.INVALID, f"the arms have unequal numbers of trials ({found.lost} without a partner)")
    if fault := found.fault():
        return Problem(Word.INVALID, f"{rule.title} {fault}")
    return _Evidence(found, found.slowdown(larger_is_better=rule.larger_is_better))


def _p(found: _Evidence | Problem, looks: tuple[int, ...], sign: int) -> float:
    return 1.0 if isinstance(found, Problem) else overall_p(signed_rank_p(sign * found.d), looks)


def _metric_verdict(found: _Evidence, rule: Rule, p: tuple[float, float], terms: _Terms) -> MetricVerdict:
    level = 1 - 2 * terms.alpha
    log = replace(hodges_lehmann(found.d, 1 - 2 * terms.at_a_look), level=level)
    slowdown = log.map(_fraction)
    sd = float(np.std(found.d, ddof=1)) if found.d.size > 1 else math.nan
    verdict = MetricVerdict(
        rule=rule,
        word=_word(log, rule, p, terms.alpha),
        reason="",
        pairs=found.d.size,
        slowdown=slowdown,
        change=log.negated().map(_fraction) if rule.larger_is_better else slowdown,
        baseline=median_interval(found.paired.baseline),
        candidate=median_interval(found.paired.candidate),
        p=min(p),
        family=terms.family,
        minimal_effect=_fraction(minimal_effect(sd, found.d.size, alpha=terms.strictest)),
        pairs_needed=_pairs_needed(sd, rule, terms.strictest),
        pair_sd=sd,
    )
    return replace(verdict, reason=_reason(verdict, terms))


def _fraction(log: float) -> float:
    return math.expm1(log)


def _word(log: Estimate, rule: Rule, p: tuple[float, float], alpha: float) -> Word:
    """Return the word. Every comparison with NaN is false, so without bounds it is INCONCLUSIVE."""
    slower, faster = p
    tolerance = math.log1p(rule.tolerance)
    if slower <= alpha and log.low > 0 and log.value >= tolerance:
        return Word.REGRESSED
    if faster <= alpha and log.high < 0 and log.value <= -tolerance:
        return Word.IMPROVED
    if log.high < math.log1p(rule.budget):
        return Word.OK
    return Word.INCONCLUSIVE


def _pairs_needed(sd: float, rule: Rule, alpha: float) -> int | None:
    return None if math.isnan(sd) else pairs_needed(sd, math.log1p(rule.budget), alpha=alpha)


def _reason(verdict: MetricVerdict, terms: _Terms) -> str:
    """Say the word in one sentence."""
    rule, slowdown, change = verdict.rule, verdict.slowdown, verdict.change
    assert slowdown is not None
    assert change is not None
    if not slowdown.bounded:
        least = smallest_firing(terms.strictest)
        return f"{plural(verdict.pairs, 'pair')} cannot decide anything about {rule.title}, at least {least} are needed"
    moved = f"{rule.title} changed by {estimate(change, percent)}"
    budget, p = share(rule.budget), f"p {verdict.p:.2g}"
    match verdict.word:
        case Word.REGRESSED:
            among = f" among {verdict.family} tests" if verdict.family > 1 else ""
            return f"{moved}, slower, and beyond chance{among} ({p})"
        case Word.IMPROVED:
            return f"{moved}, faster, and beyond chance ({p})"
        case Word.OK:
            return f"{moved}, and a slowdown of {budget} or more is excluded"
    if slowdown.low > 0 and slowdown.value >= rule.tolerance:
        return f"{moved}, slower, but {verdict.family} tests give that by chance ({p}, needed {terms.alpha:g})"
    return (
        f"{moved}, and a slowdown of {budget} is neither shown nor excluded; {verdict.pairs_to_settle} pairs would tell"
    )


def _cell_verdict(cell: str, metrics: tuple[MetricVerdict, ...]) -> CellVerdict:
    gating = [metric for metric in metrics if metric.rule.gating]
    word = worst([metric.word for metric in gating])
    if word is Word.IMPROVED and any(metric.is_slower for metric in gating):
        word = Word.OK  # it is better in one way and worse in another, though not by as much as must not pass
    reason = next((metric.reason for metric in gating if metric.word is word), "no metric gates this cell")
    return CellVerdict(cell=cell, word=word, reason=reason, metrics=metrics)
