"""The ranking of a run: which server is best, by how much, and how sure that is. Titles and the report state it.

Two servers are compared by the ratio of trials of the same round, so that a drift of the machine falls on both. The
interval holds for one such pair of servers. It is not widened for having picked the best of many.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import metrics
from bench.analysis.estimates.cells import LEVEL, Cell, Panel, Sweep, cells, sweep
from bench.analysis.estimates.ratios import ratio
from bench.metrics import P99, THROUGHPUT

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    import pandas as pd

    from bench.metrics import Metric
    from bench.stats import Estimate


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The order of the servers under one workload by one metric, best first.

    `level_with` are the servers that cannot be told from the best. The interval of their ratio to it holds 1 or is not
    known, or their number is only a lower bound. `lead` is the factor by which the best beats the runner-up: above 1 is
    better, whatever the metric's direction. It is None if there is no runner-up.
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


@dataclass(frozen=True, slots=True)
class Ranking:
    """What a run shows: the load that it sweeps, its cells by metric, and the standing under each workload."""

    sweep: Sweep
    cells: dict[str, tuple[Cell, ...]]
    standings: dict[str, tuple[Standing, ...]]

    @property
    def servers(self) -> list[str]:
        """Every server that has a trial, by name."""
        return sorted({cell.server for cell in self.cells[THROUGHPUT.column]})

    @property
    def question(self) -> Metric:
        """The metric that the run compares: throughput, or p99 where all rates were given."""
        return P99 if self.sweep.open_loop else THROUGHPUT

    def headline(self, metric: Metric) -> Standing | None:
        """Return the standing that a title states: under the workload with the highest throughput, whatever the metric.

        So all titles of a run speak of one workload. None if no server has a number there.
        """
        peaks = self.standings[THROUGHPUT.column]
        if not peaks:
            return None
        peak = max(peaks, key=lambda standing: standing.best.estimate.value).best.workload
        return next((there for there in self.standings[metric.column] if there.best.workload == peak), None)


def rank(trials: pd.DataFrame, planned: Collection[tuple[str, str]] = (), level: float = LEVEL) -> Ranking:
    """Reduce the trials of a run to its estimates and standings, each computed once.

    `planned` names the cells (server, workload) that are to be shown as missing where they have no trial.
    """
    swept = sweep(trials)
    found = {metric.column: cells(trials, swept, metric, planned, level) for metric in metrics.TABLE}
    standings = {metric.column: tuple(_standings(found[metric.column], swept, metric)) for metric in metrics.TABLE}
    return Ranking(swept, found, standings)


def sentence(standing: Standing, swept: Sweep) -> str:
    """State the answer in one line: who, what, how much, where."""
    best = standing.best
    bound = "at least " if best.lower_bound else ""
    value = f"{bound}{standing.metric.words(best.estimate.value)} {swept.phrase(standing.panel, best.x)}"
    return f"{claim(standing, swept)}: {value}"


def claim(standing: Standing, swept: Sweep) -> str:
    """Say which server is best, and claim no rank that the data do not show."""
    metric, best = standing.metric, standing.best
    level = (best.server, *standing.level_with)
    is_best = (swept.open_loop and metric.claim_if_given) or metric.claim
    if standing.runner_up is None:
        return f"{best.server}, {metric.noun}"
    if not best.estimate.bounded:
        return f"{best.server} {is_best} in a single trial"
    if len(level) == 1:
        return f"{best.server} {is_best}"
    if len(level) == len(standing.cells):
        return f"{metric.title} tells no server from another"
    if len(level) == 2:  # noqa: PLR2004 - two can be named
        return f"{best.server} or {level[1]}, not told apart, {is_best}"
    return f"{best.server}, or one of {len(level) - 1} not told apart from it, {is_best}"


def lead(best: Cell, other: Cell, metric: Metric, level: float = LEVEL) -> Estimate:
    """Return the factor by which `best` beats `other`: above 1 is better, whatever the metric's direction."""
    one, another = (best, other) if metric.larger_is_better else (other, best)
    return ratio(one, another, level).estimate


def _standings(found: tuple[Cell, ...], swept: Sweep, metric: Metric) -> Iterator[Standing]:
    """Yield the standing of every workload in which any server has a number, in the order of panels and axis."""
    for panel in swept.panels:
        for workload in panel.places:
            here = [cell for cell in found if cell.workload == workload and not cell.missing]
            if here:
                yield _standing(here, panel, metric)


def _standing(here: list[Cell], panel: Panel, metric: Metric) -> Standing:
    sign = -1 if metric.larger_is_better else 1
    best, *others = sorted(here, key=lambda cell: (sign * cell.estimate.value, cell.server))
    leads = [lead(best, other, metric, best.estimate.level) for other in others]
    return Standing(
        metric=metric,
        panel=panel,
        cells=(best, *others),
        level_with=tuple(
            other.server
            for other, ahead in zip(others, leads, strict=True)
            if other.lower_bound or not ahead.low > 1  # also where the bound is NaN: cannot tell
        ),
        lead=leads[0] if leads else None,
    )
