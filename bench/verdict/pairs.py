"""From trials to pairs: one number per trial, one log ratio per pair. Judges nothing; `judge.py` does.

Where both trials of a pair shared a block, their log ratio is taken slice by slice (`bench.slices`), for the metrics
that a slice can tell. All other log ratios are those of the numbers of the trials.

Rows may come in any order. If a trial has several rows (windows of one launch), they are put together first, because
the launch is the unit and its windows are not replicates.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.slices import VALUE_OF, log_ratio

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bench.stats import Floats


class Arm(StrEnum):
    """The two sides of a comparison. Slower and faster are said of the candidate."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The numbers of one trial in a comparison, by metric. None is a number that could not be seen.

    `pair` counts within the cell from 0. `slices` are those of the trial, none if it was measured alone.
    """

    cell: str
    pair: int
    arm: Arm
    values: Mapping[str, float | None]
    slices: Sequence[Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class PairedValues:
    """One metric of one cell: the values of both arms and the log ratio candidate / baseline, pair by pair.

    `lost` counts the pairs of which one arm is missing. A log ratio is NaN where it cannot be told.
    """

    baseline: Floats
    candidate: Floats
    log_ratios: Floats
    lost: int

    @property
    def pairs(self) -> int:
        """Complete pairs."""
        return int(self.baseline.size)

    def slowdown(self, *, larger_is_better: bool) -> Floats:
        """Return the log ratio of each pair, above zero where the candidate is slower. Swapped arms negate it exactly.

        There must be no fault (see `fault`).
        """
        return -self.log_ratios if larger_is_better else self.log_ratios

    def fault(self) -> str:
        """Say what keeps the first faulty pair from having a log ratio; nothing if all pairs have one."""
        for arm, values in ((Arm.BASELINE, self.baseline), (Arm.CANDIDATE, self.candidate)):
            bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
            if bad.size:
                value = float(values[bad[0]])
                shown = "was not seen" if math.isnan(value) else f"is {value:g}"
                return f"of the {arm} {shown} in pair {bad[0] + 1}, which no ratio can be made of"
        bad = np.flatnonzero(~np.isfinite(self.log_ratios))
        return (
            f"was seen in both arms in no pass of pair {bad[0] + 1}, which no ratio can be made of" if bad.size else ""
        )


def by_cell(observations: Iterable[Observation]) -> dict[str, list[Observation]]:
    """Group rows by their cell."""
    cells: dict[str, list[Observation]] = defaultdict(list)
    for row in observations:
        cells[row.cell].append(row)
    return dict(cells)


def paired_values(rows: Iterable[Observation], metric: str) -> PairedValues:
    """Pair the rows of one cell. A pair with one arm only counts as lost. A value that is None becomes NaN."""
    trials: dict[tuple[int, Arm], list[Observation]] = defaultdict(list)
    for row in rows:
        trials[row.pair, row.arm].append(row)
    pairs = sorted({pair for pair, _ in trials})
    whole = [pair for pair in pairs if all((pair, arm) in trials for arm in Arm)]
    baseline, candidate = (np.array([_mean(trials[pair, arm], metric) for pair in whole]) for arm in Arm)
    with np.errstate(invalid="ignore", divide="ignore"):  # a value without a logarithm is a fault, and said to be one
        ratios = np.log(candidate) - np.log(baseline)
    for index, pair in enumerate(whole):
        ours, theirs = (_slices(trials[pair, arm]) for arm in (Arm.CANDIDATE, Arm.BASELINE))
        if ours and theirs and metric in VALUE_OF:
            found = log_ratio(ours, theirs, metric)
            if found is not None or (_is_told(ours, metric) and _is_told(theirs, metric)):
                ratios[index] = math.nan if found is None else found
    return PairedValues(baseline, candidate, ratios, len(pairs) - len(whole))


def _mean(rows: Sequence[Observation], metric: str) -> float:
    values = [math.nan if (value := row.values.get(metric)) is None else float(value) for row in rows]
    return math.fsum(values) / len(values)


def _is_told(slices: Sequence[Mapping[str, Any]], metric: str) -> bool:
    """Say whether a slice tells the metric. If none of an arm does, the trials' own numbers are what there is."""
    return any(VALUE_OF[metric](one) is not None for one in slices)


def _slices(rows: Sequence[Observation]) -> list[Mapping[str, Any]]:
    return [one for row in rows for one in row.slices]
