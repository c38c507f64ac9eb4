"""A cell over many runs, and where it seems to have changed: for a nightly report, and never a gate.

Runs of different days differ by more than most changes of code, and runs of neighbouring days are alike. So a change
that is found here is a place to look, and no verdict. Runs of different machines or interpreters are never joined: each
stretch of runs with one fingerprint is searched alone, and the field that ended it is named.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.analysis.comparing.two_runs import differences, trials_of
from bench.errors import UsageError
from bench.metrics import CPU, THROUGHPUT
from bench.plain import plain
from bench.stats import Estimate, Floats, is_correlated, median_interval

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.analysis.runs.run_folder import Run
    from bench.metrics import Metric

FOLLOWED = (CPU, THROUGHPUT)
ALPHA = 0.01
PERMUTATIONS = 1999
FEWEST_RUNS = 8
"""Fewer runs have too few orders for a split to be rare."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One run's median of one metric of one cell, with its interval over the trials."""

    run: str
    started_at: str
    median: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The first run of a new level. `ratio` is the new level over the old; `p` is adjusted for having searched."""

    run: str
    ratio: float
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class CellHistory:
    """One metric of one cell over the runs, oldest first.

    `breaks` are the runs at which the fingerprint changes, with the fields. `alike` says that neighbouring runs are
    correlated. Chance alone can then look like a change, so the changes are only places to look.
    """

    server: str
    workload: str
    metric: str
    points: tuple[Point, ...]
    changes: tuple[Change, ...]
    breaks: tuple[tuple[str, str], ...]
    alike: bool

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; a number that is not known is null."""
        as_json: dict[str, Any] = plain(asdict(self))
        return as_json


def history(runs: Sequence[Run]) -> list[CellHistory]:
    """Follow the CPU per reply and the throughput of every cell through the runs, in the order in which they began.

    Raises UsageError if there are fewer than two runs, or one is given twice.
    """
    if len({run.path for run in runs}) < max(2, len(runs)):
        raise UsageError("a history needs two or more runs, each once")
    ordered = sorted(runs, key=_began)
    cells = list(
        dict.fromkeys(
            pair for run in ordered for pair in run.measured[["server", "workload"]].itertuples(index=False, name=None)
        )
    )
    return [_cell(ordered, cell, metric) for cell in cells for metric in FOLLOWED]


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


def _cell(runs: Sequence[Run], cell: tuple[str, str], metric: Metric) -> CellHistory:
    seen = [(run, median_interval(trials_of(run, cell)[metric.column].dropna().to_numpy(dtype=float))) for run in runs]
    seen = [(run, median) for run, median in seen if median.value > 0]
    breaks: list[tuple[str, str]] = []
    eras: list[list[tuple[Run, Estimate]]] = []
    for number, (run, median) in enumerate(seen):
        fields = differences(seen[number - 1][0].info, run.info) if number else []
        if fields:
            breaks.append((run.id, "; ".join(fields)))
        if fields or not eras:
            eras.append([])
        eras[-1].append((run, median))
    logs = [np.array([math.log(median.value) for _, median in era]) for era in eras]
    found = [(era, values, change_points(values)) for era, values in zip(eras, logs, strict=True)]
    return CellHistory(
        server=cell[0],
        workload=cell[1],
        metric=metric.column,
        points=tuple(Point(run=run.id, started_at=_began(run), median=median) for run, median in seen),
        changes=tuple(change for era, values, splits in found for change in _changes(era, values, splits)),
        breaks=tuple(breaks),
        alike=any(is_correlated(_residuals(values, splits)) for _, values, splits in found),
    )


def _changes(era: Sequence[tuple[Run, Estimate]], values: Floats, splits: list[tuple[int, float]]) -> list[Change]:
    edges = [0, *(at for at, _ in splits), values.size]
    return [
        Change(
            run=era[at][0].id,
            ratio=math.exp(float(np.median(values[at : edges[number + 2]]) - np.median(values[edges[number] : at]))),
            p=p,
        )
        for number, (at, p) in enumerate(splits)
    ]


def _residuals(values: Floats, splits: list[tuple[int, float]]) -> Floats:
    parts = np.split(values, [at for at, _ in splits])
    return np.concatenate([part - np.median(part) for part in parts])


def _began(run: Run) -> str:
    return str(run.info.get("started_at") or run.id)
