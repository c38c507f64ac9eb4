"""Who is best, by how much, and how sure that is: the answer that titles and the report's first lines state.

Two servers are compared by the ratio of trials of the same round, so that a drift of the machine falls on both. The
interval is that of one such pair of servers; it is not widened for having picked the best of many.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

from bench.analysis.stats import Estimate, mean_interval
from bench.analysis.table import LEVEL, THROUGHPUT, Cell, Metric, Panel, Sweep, cells
from bench.experiment.model import Status


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The order of the servers under one workload by one metric, best first.

    `level_with` are those that cannot be told from the best: the interval of their ratio to it holds 1, or one of the
    two is only a lower bound. `lead` is by what factor the best beats the runner-up (above 1 is better, whatever the
    metric's direction), None if there is no other or no round in common.
    """

    metric: Metric
    panel: Panel
    cells: tuple[Cell, ...]
    level_with: tuple[str, ...]
    lead: Estimate | None

    @property
    def best(self) -> Cell:
        """The cell with the best mean."""
        return self.cells[0]

    @property
    def runner_up(self) -> Cell | None:
        """The cell with the second best mean."""
        return self.cells[1] if len(self.cells) > 1 else None

    @property
    def single(self) -> bool:
        """Whether the best has but one trial, so that nothing can be said of its error."""
        return not self.best.estimate.bounded


def standings(trials: pd.DataFrame, sweep: Sweep, metric: Metric, level: float = LEVEL) -> list[Standing]:
    """Return the standing of every workload in which any server has a number, in the order of panels and axis."""
    found = []
    for panel in sweep.panels:
        known = [cell for cell in cells(trials, panel, metric, level) if not cell.missing]
        for workload in panel.places:
            here = [cell for cell in known if cell.workload == workload]
            if here:
                found.append(_standing(trials, metric, panel, here, level))
    return found


def headline(trials: pd.DataFrame, sweep: Sweep, metric: Metric) -> Standing | None:
    """Pick the standing for a title: under the workload that saw the highest throughput, whatever the metric.

    All titles of a run then speak of one workload. None if no server has a number there.
    """
    peaks = standings(trials, sweep, THROUGHPUT)
    if not peaks:
        return None
    peak = max(peaks, key=lambda standing: standing.best.estimate.value).best.workload
    return next((there for there in standings(trials, sweep, metric) if there.best.workload == peak), None)


def sentence(standing: Standing, sweep: Sweep) -> str:
    """State the answer in one line: who, what, how much, where; and no rank that the data do not show."""
    metric, best = standing.metric, standing.best
    bound = "at least " if best.lower_bound else ""
    value = f"{bound}{metric.words(best.estimate.value)} {sweep.phrase(standing.panel, best.x)}"
    if standing.runner_up is None:
        return f"{best.server}: {metric.title.lower()} {value}"
    level = (best.server, *standing.level_with)
    if standing.single:
        return f"{best.server} {metric.claim} in a single trial: {value}"
    if len(level) == 1:
        return f"{best.server} {metric.claim}: {value}"
    if len(level) == len(standing.cells):
        return f"No server can be told apart by {metric.title.lower()}: {value}"
    who = f"{', '.join(level[:-1])} and {level[-1]}" if len(level) <= 3 else f"{len(level)} servers"  # noqa: PLR2004 - a title's width
    return f"{who} {metric.claim_plural}, level: {value}"


def lead(trials: pd.DataFrame, metric: Metric, *, best: str, other: str, level: float = LEVEL) -> Estimate:
    """By what factor `best` beats `other` in the trials of one workload: ratio within a round, Student's t on its log.

    Above 1 is better whatever the metric's direction. Bounds are NaN with fewer than two common rounds.
    """
    rows = trials[(trials["status"] == Status.MEASURED) & (trials[metric.column] > 0)]
    logs = rows[metric.column].astype(float).map(math.log)
    by_round = pd.DataFrame({"round": rows["round"], "server": rows["server"], "log": logs})
    mean = by_round.pivot_table(index="round", columns="server", values="log", aggfunc="mean")
    difference = mean[best] - mean[other]
    ratio = mean_interval(difference.dropna().to_numpy(), level)
    return (ratio if metric.larger_is_better else ratio.negated()).map(math.exp)


def _standing(trials: pd.DataFrame, metric: Metric, panel: Panel, here: list[Cell], level: float) -> Standing:
    sign = -1 if metric.larger_is_better else 1
    order = sorted(here, key=lambda cell: (sign * cell.estimate.value, cell.server))
    best, others = order[0], order[1:]
    rows = trials[trials["workload"] == best.workload]
    leads = {cell.server: lead(rows, metric, best=best.server, other=cell.server, level=level) for cell in others}
    level_with = tuple(
        cell.server
        for cell in others
        if cell.lower_bound or not leads[cell.server].low > 1  # NaN: cannot tell
    )
    first = leads[others[0].server] if others else None
    return Standing(metric=metric, panel=panel, cells=tuple(order), level_with=level_with, lead=first)
