"""A cell over many runs, and where it seems to have changed: for a nightly report, and never a gate.

Runs of different days differ by more than most changes of code, and runs of neighbouring days are alike. So a change
that is found here is a place to look, and no verdict. Runs of different machines or interpreters are never joined: each
stretch of runs with one fingerprint is searched alone, and the field that ended it is named.

A ratio to a server that was measured in turn is another matter: what the machine of that day did falls on both, and
cancels. `history(runs, against=SERVER)` follows those.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from bench import metrics
from bench.analysis.comparing.levels import FEWEST_RUNS, change_points, held_against, look
from bench.analysis.comparing.two_runs import (
    LOWER_BOUND,
    Impression,
    cells_of,
    differences,
    is_lower_bound,
    rules_of,
    trials_of,
)
from bench.analysis.estimates.ratios import Ratios
from bench.errors import UsageError
from bench.plain import plain
from bench.stats import Estimate, Floats, is_correlated, median_interval, shift
from bench.units import estimate, percent, plural

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bench.analysis.runs.run_folder import Run
    from bench.verdict.rules import Rule

Levels = list[tuple["Run", Estimate]]
"""Runs that can be joined, oldest first, each with its median, or its ratio."""

Cell = tuple[str, str]
"""A server and a workload."""

_COMMIT, _DAY = 9, 10
"""So many characters of a commit and of a moment are shown."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One run's median of one metric of one cell, with its interval over the trials; or its ratio, over blocks.

    `commit` is that of the folder in which the run was made. It is empty if that was no repository.
    """

    run: str
    started_at: str
    commit: str
    median: Estimate

    @property
    def day(self) -> str:
        """The date on which the run began; empty if that is not known."""
        return "" if self.started_at == self.run else self.started_at[:_DAY]

    @property
    def short_commit(self) -> str:
        """The commit as people write it; empty if it is not known."""
        return self.commit[:_COMMIT]


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """The first run of a new level. `ratio` is the new level over the old; `p` is adjusted for having searched."""

    run: str
    ratio: float
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """A stretch of runs without a change: its first and its last run, and the median of their values."""

    first: str
    last: str
    median: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """The newest level over the one that it is held against, with its interval over the runs of both.

    `since` is the first run after that one. The interval does not allow for having searched.
    """

    since: str
    ratio: Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class CellHistory:
    """One metric of one cell over the runs, oldest first.

    `impression` is of the newest run against those before it that it can be joined with, and `reason` says why.
    `breaks` are the runs at which the fingerprint changes, with the fields. `alike` says that neighbouring runs are
    correlated. Chance alone can then look like a change, so the changes are only places to look. `against` names the
    server that the points are ratios to. It is empty where they are medians. `step` is how far the newest level moved,
    if the impression is that it did.
    """

    server: str
    workload: str
    metric: str
    against: str
    points: tuple[Point, ...]
    levels: tuple[Level, ...]
    changes: tuple[Change, ...]
    step: Step | None
    breaks: tuple[tuple[str, str], ...]
    alike: bool
    impression: Impression
    reason: str

    @property
    def row(self) -> metrics.Metric:
        """The metric that is followed."""
        return metrics.BY_COLUMN[self.metric]

    @property
    def followed(self) -> str:
        """What is followed, in words: `server CPU per reply as a ratio to coroutines`."""
        return f"{self.row.noun} as a ratio to {self.against}" if self.against else self.row.noun

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
    ordered = in_order(runs)
    ratios = {} if against is None else {run.path: Ratios(run) for run in ordered}

    def ratio(run: Run, cell: Cell, rule: Rule) -> Estimate:
        return ratios[run.path].of(metrics.BY_COLUMN[rule.metric], cell[1], cell[0], against or "").estimate

    found = []
    for cell in cells_of(ordered):
        for rule in rules_of(ordered, cell):
            is_relative = cell[0] != against and any(ratio(run, cell, rule).value > 0 for run in ordered if ratios)
            found.append(_cell(ordered, cell, rule, *((ratio, against or "") if is_relative else (_median, ""))))
    return found


def breaks(cells: Iterable[CellHistory]) -> list[tuple[str, str]]:
    """Return each run that is not joined with those before it, and the fields that forbid it, once for all cells."""
    return list(dict.fromkeys(found for cell in cells for found in cell.breaks))


def _median(run: Run, cell: Cell, rule: Rule) -> Estimate:
    return median_interval(trials_of(run, cell)[rule.metric].dropna().to_numpy(dtype=float))


def _cell(
    runs: Sequence[Run], cell: Cell, rule: Rule, value_of: Callable[[Run, Cell, Rule], Estimate], against: str
) -> CellHistory:
    seen = [(run, value_of(run, cell, rule)) for run in runs]
    seen = [(run, value) for run, value in seen if value.value > 0]
    eras, breaks = _eras(seen)
    logs = [np.array([math.log(median.value) for _, median in era]) for era in eras]
    found = [(era, values, change_points(values)) for era, values in zip(eras, logs, strict=True)]
    changes = [_changes(era, values, splits) for era, values, splits in found]
    step = None
    if not seen or seen[-1][0] is not runs[-1]:
        impression, reason = Impression.MISSING, f"{runs[-1].id} has no {rule.title} of this cell"
    elif is_lower_bound([trials_of(run, (one, cell[1])) for run, _ in eras[-1] for one in (cell[0], against)], rule):
        impression, reason = Impression.CANNOT_TELL, LOWER_BOUND
    else:
        splits = [at for at, _ in found[-1][2]]
        impression = look(logs[-1], splits, rule)
        step = _step(impression, eras[-1], np.split(logs[-1], splits), rule)
        reason = _reason(impression, eras[-1], step, rule)
    return CellHistory(
        server=cell[0],
        workload=cell[1],
        metric=rule.metric,
        against=against,
        points=tuple(
            Point(run=run.id, started_at=_began(run)[1], commit=_commit(run), median=median) for run, median in seen
        ),
        levels=tuple(level for era, _, splits in found for level in _levels(era, [at for at, _ in splits])),
        changes=tuple(change for here in changes for change in here),
        step=step,
        breaks=tuple(breaks),
        alike=any(is_correlated(_residuals(values, splits)) for _, values, splits in found),
        impression=impression,
        reason=reason,
    )


def _eras(seen: Levels) -> tuple[list[Levels], list[tuple[str, str]]]:
    """Cut where the fingerprint changes. Return the parts, and each run that begins one with the fields that differ."""
    eras, breaks = [seen[:1]] if seen else [], []
    for (before, _), (run, value) in itertools.pairwise(seen):
        if fields := differences(before.info, run.info):
            breaks.append((run.id, "; ".join(fields)))
            eras.append([])
        eras[-1].append((run, value))
    return eras, breaks


def _step(impression: Impression, era: Levels, parts: Sequence[Floats], rule: Rule) -> Step | None:
    """Return how far the newest of the levels `parts` moved, if the impression is that it did."""
    if impression not in {Impression.LOOKS_SLOWER, Impression.LOOKS_FASTER}:
        return None
    held = held_against(parts, rule)
    since = sum(part.size for part in parts[: held + 1])
    return Step(since=era[since][0].id, ratio=shift(parts[-1], parts[held]).map(math.exp))


def _levels(era: Levels, splits: Sequence[int]) -> list[Level]:
    edges = [0, *splits, len(era)]
    parts = [era[low:high] for low, high in itertools.pairwise(edges)]
    return [
        Level(first=part[0][0].id, last=part[-1][0].id, median=median_interval([value.value for _, value in part]))
        for part in parts
    ]


def _reason(impression: Impression, era: Levels, step: Step | None, rule: Rule) -> str:
    """Say why the newest run, the last of its era, gives this impression."""
    if impression is Impression.MISSING:
        return "no earlier run can be joined with the newest"
    if len(era) < FEWEST_RUNS:
        return f"{plural(len(era), 'run')} can be joined, and a change is seen in {FEWEST_RUNS} or more"
    if impression is Impression.CANNOT_TELL:
        return f"{rule.title} of {era[-1][0].id} is unlike that of the runs before it: more runs will tell"
    if step is None:
        return "no change of level is seen"
    return f"{rule.title} {estimate(step.ratio.map(lambda ratio: ratio - 1), percent)} from {step.since} on"


def _changes(era: Levels, values: Floats, splits: list[tuple[int, float]]) -> list[Change]:
    edges = [0, *(at for at, _ in splits), values.size]
    return [
        Change(
            run=era[at][0].id,
            ratio=math.exp(shift(values[at : edges[number + 2]], values[edges[number] : at]).value),
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


def in_order(runs: Iterable[Run]) -> list[Run]:
    """Return the runs, oldest first, those that began in the same second by their ids.

    One that does not say when it began, as if damaged, is before all others.
    """
    return sorted(runs, key=_began)


def _began(run: Run) -> tuple[bool, str, str]:
    at = run.info.get("started_at")
    return at is not None, str(at or run.id), run.id
