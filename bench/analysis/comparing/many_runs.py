"""A cell over many runs, and where it seems to have changed: for a nightly report, and never a gate.

Runs of different days differ by more than most changes of code, and runs of neighbouring days are alike. So a change
that is found here is a place to look, and no verdict. Runs of different machines or interpreters are never joined: each
stretch of runs with one fingerprint is searched alone, and the field that ended it is named.

A ratio to a server that was measured in turn is another matter: what the machine of that day did falls on both, and
cancels. `history(runs, against=SERVER)` follows those.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import metrics
from bench.analysis.comparing.two_runs import (
    LOWER_BOUND,
    Impression,
    differences,
    is_lower_bound,
    rules_of,
    trials_of,
)
from bench.analysis.estimates.ratios import Ratios
from bench.errors import UsageError
from bench.plain import plain
from bench.stats import Estimate, Floats, is_correlated, median_interval
from bench.units import percent, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.analysis.runs.run_folder import Run
    from bench.verdict.rules import Rule

Levels = list[tuple["Run", Estimate]]
"""Runs that can be joined, oldest first, each with its median, or its ratio."""

Cell = tuple[str, str]
"""A server and a workload."""

ALPHA = 0.01
PERMUTATIONS = 1999
FEWEST_RUNS = 8
"""Fewer runs have too few orders for a split to be rare."""

OUTLYING = 3.0
"""A newest run so many robust standard deviations from its level may be the first of a new one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One run's median of one metric of one cell, with its interval over the trials; or its ratio, over blocks.

    `commit` is that of the folder in which the run was made. It is empty if that was no repository.
    """

    run: str
    started_at: str
    commit: str
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

    `impression` is of the newest run against those before it that it can be joined with, and `reason` says why.
    `breaks` are the runs at which the fingerprint changes, with the fields. `alike` says that neighbouring runs are
    correlated. Chance alone can then look like a change, so the changes are only places to look. `against` names the
    server that the points are ratios to. It is empty where they are medians.
    """

    server: str
    workload: str
    metric: str
    against: str
    points: tuple[Point, ...]
    changes: tuple[Change, ...]
    breaks: tuple[tuple[str, str], ...]
    alike: bool
    impression: Impression
    reason: str

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; a number that is not known is null."""
        fields = asdict(self)
        as_json: dict[str, Any] = plain({"look": fields.pop("impression"), **fields})
        return as_json


def history(runs: Sequence[Run], *, against: str | None = None) -> list[CellHistory]:
    """Follow every cell through the runs, in the order in which they began.

    It is followed by what two runs are compared by: CPU per reply, and throughput or, in an open loop, median response.
    With `against`, a cell is followed by its ratio to that server if any run has one; runs that have none are left out.

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
    ratios = {} if against is None else {run.path: Ratios(run) for run in ordered}

    def ratio(run: Run, cell: Cell, rule: Rule) -> Estimate:
        metric = next(one for one in metrics.GATES if one.column == rule.metric)
        return ratios[run.path].of(metric, cell[1], cell[0], against or "").estimate

    found = []
    for cell in cells:
        for rule in rules_of(ordered, cell):
            is_relative = cell[0] != against and any(ratio(run, cell, rule).value > 0 for run in ordered if ratios)
            found.append(_cell(ordered, cell, rule, *((ratio, against or "") if is_relative else (_median, ""))))
    return found


def _median(run: Run, cell: Cell, rule: Rule) -> Estimate:
    return median_interval(trials_of(run, cell)[rule.metric].dropna().to_numpy(dtype=float))


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


def _cell(
    runs: Sequence[Run], cell: Cell, rule: Rule, value_of: Callable[[Run, Cell, Rule], Estimate], against: str
) -> CellHistory:
    seen = [(run, value_of(run, cell, rule)) for run in runs]
    seen = [(run, value) for run, value in seen if value.value > 0]
    breaks: list[tuple[str, str]] = []
    eras: list[Levels] = []
    for number, (run, median) in enumerate(seen):
        fields = differences(seen[number - 1][0].info, run.info) if number else []
        if fields:
            breaks.append((run.id, "; ".join(fields)))
        if fields or not eras:
            eras.append([])
        eras[-1].append((run, median))
    logs = [np.array([math.log(median.value) for _, median in era]) for era in eras]
    found = [(era, values, change_points(values)) for era, values in zip(eras, logs, strict=True)]
    changes = [_changes(era, values, splits) for era, values, splits in found]
    if not seen or seen[-1][0] is not runs[-1]:
        impression, reason = Impression.MISSING, f"{runs[-1].id} has no {rule.title} of this cell"
    elif is_lower_bound([trials_of(run, (one, cell[1])) for run, _ in eras[-1] for one in (cell[0], against)], rule):
        impression, reason = Impression.CANNOT_TELL, LOWER_BOUND
    else:
        impression = look(logs[-1], [at for at, _ in found[-1][2]], rule)
        reason = _reason(impression, eras[-1], changes[-1], rule)
    return CellHistory(
        server=cell[0],
        workload=cell[1],
        metric=rule.metric,
        against=against,
        points=tuple(
            Point(run=run.id, started_at=_began(run), commit=_commit(run), median=median) for run, median in seen
        ),
        changes=tuple(change for here in changes for change in here),
        breaks=tuple(breaks),
        alike=any(is_correlated(_residuals(values, splits)) for _, values, splits in found),
        impression=impression,
        reason=reason,
    )


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


def _reason(impression: Impression, era: Levels, changes: Sequence[Change], rule: Rule) -> str:
    """Say why the newest run, the last of its era, gives this impression."""
    if impression is Impression.MISSING:
        return "no earlier run can be joined with the newest"
    if len(era) < FEWEST_RUNS:
        return f"{plural(len(era), 'run')} can be joined, and a change is seen in {FEWEST_RUNS} or more"
    if impression is Impression.CANNOT_TELL:
        return f"{rule.title} of {era[-1][0].id} is unlike that of the runs before it: more runs will tell"
    if impression is Impression.LOOKS_ALIKE:
        return "no change of level is seen"
    return f"{rule.title} {percent(changes[-1].ratio - 1)} from {changes[-1].run} on"


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


def _commit(run: Run) -> str:
    """Return the commit of a run; outside git, that of echobench, which is what may have changed then."""
    return run.commit or str((run.info.get("echobench_git") or {}).get("revision") or "")


def _began(run: Run) -> str:
    return str(run.info.get("started_at") or run.id)
