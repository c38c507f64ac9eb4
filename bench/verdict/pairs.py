"""From trials to pairs: one number per trial, one log ratio per pair. Judges nothing; `judge.py` does.

Rows may come in any order. If a trial has several rows (windows of one launch), they are averaged first, because the
launch is the unit and its windows are not replicates.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from bench.stats import Floats


class Arm(StrEnum):
    """The two sides of a comparison. Slower and faster are said of the candidate."""

    BASELINE = "baseline"
    CANDIDATE = "candidate"


@dataclass(frozen=True, slots=True, kw_only=True)
class Observation:
    """The numbers of one trial in a comparison, by metric. None is a number that could not be seen.

    `pair` counts within the cell from 0; `position` is 0 for the trial that ran first in its pair, 1 for the other.
    """

    cell: str
    pair: int
    arm: Arm
    position: int
    values: Mapping[str, float | None]


@dataclass(frozen=True, slots=True)
class Sample:
    """One metric of one cell: the values of both arms pair by pair, and which pairs ran the baseline first."""

    baseline: Floats
    candidate: Floats
    baseline_first: tuple[bool, ...]
    lost: int

    @property
    def pairs(self) -> int:
        """Complete pairs."""
        return int(self.baseline.size)

    def slowdown(self, *, larger_is_better: bool) -> Floats:
        """Return the log ratio of each pair, above zero where the candidate is slower. Swapped arms negate it exactly.

        Every value must be a number above zero (see `first_bad`).
        """
        d = np.log(self.candidate) - np.log(self.baseline)
        return -d if larger_is_better else d

    def first_bad(self) -> tuple[Arm, int, float] | None:
        """Return arm, pair and value of the first number that has no logarithm, if there is one."""
        for arm, values in ((Arm.BASELINE, self.baseline), (Arm.CANDIDATE, self.candidate)):
            bad = np.flatnonzero(~(np.isfinite(values) & (values > 0)))
            if bad.size:
                return arm, int(bad[0]), float(values[bad[0]])
        return None


def by_cell(observations: Iterable[Observation]) -> dict[str, list[Observation]]:
    """Group rows by their cell."""
    cells: dict[str, list[Observation]] = defaultdict(list)
    for row in observations:
        cells[row.cell].append(row)
    return dict(cells)


def sample(rows: Iterable[Observation], metric: str) -> Sample:
    """Pair the rows of one cell. A pair with one arm only counts as lost. A value that is None becomes NaN."""
    values: dict[tuple[int, Arm], list[float]] = defaultdict(list)
    first: dict[int, bool] = {}
    for row in rows:
        value = row.values.get(metric)
        values[row.pair, row.arm].append(math.nan if value is None else float(value))
        first[row.pair] = (row.position == 0) == (row.arm is Arm.BASELINE)
    whole = [pair for pair in sorted(first) if all((pair, arm) in values for arm in Arm)]
    baseline, candidate = (
        np.array([math.fsum(values[pair, arm]) / len(values[pair, arm]) for pair in whole]) for arm in Arm
    )
    return Sample(baseline, candidate, tuple(first[pair] for pair in whole), len(first) - len(whole))
