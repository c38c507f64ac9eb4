"""The ranking of a run: which server is best, by how much, and how sure that is. Titles and the report state it.

Under each workload the servers are ordered by their ratio to one of them, the baseline. Whether two are told apart is
asked of their own ratio, which `ratios.py` takes from what was measured closest together. The interval holds for one
such pair of servers. It is not widened for having picked the best of many.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from bench import metrics, units
from bench.analysis.estimates.cells import Cell, Panel, Sweep, cells, sweep
from bench.analysis.estimates.ratios import Ratio, Ratios
from bench.metrics import P99, THROUGHPUT

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.analysis.runs.run_folder import Run
    from bench.metrics import Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The order of the servers under one workload by one metric, best first.

    `ratios` has the ratio of each to `baseline`. That is the run's baseline, or the first server of the plan that has a
    number where the run's has none. `told_apart` says of each but the first whether it is told from the one before it.
    `level_with` are those that cannot be told from the best. Two are not told apart if the interval of their ratio
    holds 1 or is not known, or if the number of the lower one is only a lower bound. `lead` is the factor by which the
    best beats the runner-up: above 1 is better, whatever the metric's direction. It is None if there is no runner-up.
    """

    metric: Metric
    panel: Panel
    baseline: str
    cells: tuple[Cell, ...]
    ratios: tuple[Ratio, ...]
    told_apart: tuple[bool, ...]
    level_with: tuple[str, ...]
    lead: Ratio | None

    @property
    def best(self) -> Cell:
        """The cell that is ranked first."""
        return self.cells[0]

    @property
    def runner_up(self) -> Cell | None:
        """The cell that is ranked second."""
        return self.cells[1] if len(self.cells) > 1 else None

    @property
    def told_apart_of(self) -> dict[str, bool]:
        """Whether each server is told from the one above it, in their order; the first is."""
        return {cell.server: told for cell, told in zip(self.cells, (True, *self.told_apart), strict=True)}


@dataclass(frozen=True, slots=True)
class Ranked:
    """A server under a workload: its cells by the column of the metric; whether it is not told from the one above."""

    cells: dict[str, Cell]
    is_level: bool


@dataclass(frozen=True)
class Ranking:
    """What a run shows: the load that it sweeps, its cells by metric, and the standing under each workload.

    `baseline` is the server that ratios are to. It is None if no trial was measured.
    """

    sweep: Sweep
    baseline: str | None
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

    @cached_property
    def ratios(self) -> dict[tuple[str, str, str], Ratio]:
        """The ratio of each server to the baseline by metric's column, workload and server, where both have a number.

        The baseline's own is not among them.
        """
        return {
            (column, cell.workload, cell.server): ratio
            for column, standings in self.standings.items()
            for standing in standings
            if standing.baseline == self.baseline
            for cell, ratio in zip(standing.cells, standing.ratios, strict=True)
            if cell.server != self.baseline
        }

    def rows(self, workload: str) -> list[Ranked]:
        """Return the servers under a workload, best first by what the run asks; those without a number last."""
        standing = self.standing(self.question, workload)
        told = {} if standing is None else standing.told_apart_of
        here: defaultdict[str, dict[str, Cell]] = defaultdict(dict)
        for column, found in self.cells.items():
            for cell in found:
                if cell.workload == workload:
                    here[cell.server][column] = cell
        places = {server: place for place, server in enumerate(told)}
        order = sorted(here, key=lambda server: (places.get(server, len(places)), server))
        return [Ranked(here[server], is_level=not told.get(server, True)) for server in order]

    def standing(self, metric: Metric, workload: str) -> Standing | None:
        """Return the standing under a workload; None if no server has a number there."""
        return next((one for one in self.standings[metric.column] if one.best.workload == workload), None)

    def headline(self, metric: Metric) -> Standing | None:
        """Return the standing that a title states: under the workload with the highest throughput, whatever the metric.

        So all titles of a run speak of one workload, but for those of a metric that is known only under others. None if
        no server has a number anywhere.
        """
        peaks = [cell for cell in self.cells[THROUGHPUT.column] if not cell.missing]
        ordered = sorted(peaks, key=lambda cell: cell.estimate.value, reverse=True)
        found = (self.standing(metric, cell.workload) for cell in ordered)
        return next((standing for standing in found if standing is not None), None)


def rank(run: Run, baseline: str | None = None) -> Ranking:
    """Reduce a run to its estimates and standings, each computed once. Cells of the plan without a trial are missing.

    Ratios are to `baseline`; else to the one that the run was asked for; else to the first server of the plan that was
    measured under every workload, or under most. One that was measured solo is taken if no other can be, since ratios
    to it are the less precise. Raises UsageError, with the nearest name, if `baseline` has no measured trial.
    """
    swept = sweep(run.trials)
    found = {metric.column: cells(run.trials, swept, metric, run.planned) for metric in metrics.TABLE}
    servers = _by_coverage(run, found[THROUGHPUT.column])
    ratios = Ratios(run)
    if baseline is not None:
        ratios.require(baseline)
    asked = baseline or run.info.get("plan", {}).get("baseline")
    order = sorted(servers, key=lambda server: server != asked)
    standings = {
        metric.column: tuple(
            _standing(here, panel, metric, order, ratios)
            for panel in swept.panels
            for workload in panel.places
            if (here := [cell for cell in found[metric.column] if cell.workload == workload and not cell.missing])
        )
        for metric in metrics.TABLE
    }
    return Ranking(swept, order[0] if order else None, found, standings)


def _by_coverage(run: Run, found: Sequence[Cell]) -> list[str]:
    """Return the measured servers: those under most workloads first, those of blocks before solo ones, as planned."""
    workloads = Counter(cell.server for cell in found if cell.measured)
    solo = {cell.server for cell in found if cell.solo}
    known = [*(server for server, _ in run.planned), *run.trials["server"]]
    named = [server for server in dict.fromkeys(known) if server in workloads]
    return sorted(named, key=lambda server: (-workloads[server], server in solo))


def sentence(standing: Standing, swept: Sweep) -> str:
    """State the answer in one line: who, how much of the baseline and in the metric's own unit, where."""
    best, ratio = standing.best, standing.ratios[0]
    bound = "at least " if best.lower_bound else ""
    value = f"{standing.metric.words(best.estimate.value)} {swept.phrase(standing.panel, best.x)}"
    if best.server == standing.baseline or math.isnan(ratio.estimate.value):
        return f"{claim(standing, swept)}: {bound}{value}"
    factor = f"{units.ratio(ratio.estimate.value)} \N{MULTIPLICATION SIGN} {standing.baseline}, "
    both = f"{bound}{factor}{value}" if ratio.is_lower_bound else f"{factor}{bound}{value}"
    return f"{claim(standing, swept)}: {both}"


def claim(standing: Standing, swept: Sweep) -> str:
    """Say which server is best, and claim no rank that the data do not show."""
    metric, best = standing.metric, standing.best
    level = (best.server, *standing.level_with)
    is_best = (swept.open_loop and metric.claim_if_given) or metric.claim
    if standing.runner_up is None:
        return f"{best.server}, {metric.noun}"
    if len(best.values) == 1:
        return f"{best.server} {is_best} in a single trial"
    if len(level) == 1:
        return f"{best.server} {is_best}"
    if len(level) == len(standing.cells):
        return f"{metric.title} tells no server from another"
    if len(level) == 2:  # noqa: PLR2004 - two can be named
        return f"{best.server} or {level[1]}, not told apart, {is_best}"
    return f"{best.server}, or one of {len(level) - 1} not told apart from it, {is_best}"


def _standing(here: list[Cell], panel: Panel, metric: Metric, order: Sequence[str], ratios: Ratios) -> Standing:
    """Rank cells of one workload. `order` says which server the ratios are to: the first of it that is here."""
    workload, names = here[0].workload, {cell.server for cell in here}
    baseline = next(server for server in order if server in names)
    relative = {server: ratios.of(metric, workload, server, baseline) for server in names}
    sign = -1 if metric.larger_is_better else 1

    def place(cell: Cell) -> tuple[bool, float, float, str]:
        value = relative[cell.server].estimate.value
        unknown = math.isnan(value)
        return unknown, 0.0 if unknown else sign * value, sign * cell.estimate.value, cell.server

    def lead(better: Cell, other: Cell) -> Ratio:
        one, another = (better, other) if metric.larger_is_better else (other, better)
        return ratios.of(metric, workload, one.server, another.server)

    best, *others = ranked = sorted(here, key=place)
    leads = [lead(best, other) for other in others]
    steps = [lead(one, other) for one, other in pairwise(ranked)]
    return Standing(
        metric=metric,
        panel=panel,
        baseline=baseline,
        cells=tuple(ranked),
        ratios=tuple(relative[cell.server] for cell in ranked),
        told_apart=tuple(_is_told_apart(other, step) for other, step in zip(others, steps, strict=True)),
        level_with=tuple(
            other.server for other, ahead in zip(others, leads, strict=True) if not _is_told_apart(other, ahead)
        ),
        lead=leads[0] if leads else None,
    )


def _is_told_apart(other: Cell, ahead: Ratio) -> bool:
    """Whether a server is worse than the one that leads it by `ahead`; no if the bound is NaN: cannot tell."""
    return ahead.estimate.low > 1 and not other.lower_bound
