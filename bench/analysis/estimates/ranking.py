"""The ranking of a run: which server is best, by how much, and how sure that is. `sentences.py` states it.

Under each workload the servers are ordered by their ratio to one of them, the baseline. Whether two are told apart is
asked of their own ratio, which `ratios.py` takes from what was measured closest together. The interval holds for one
such pair of servers. It is not widened for having picked the best of many.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING

from bench import metrics
from bench.analysis.estimates.carried import Carried, carried
from bench.analysis.estimates.cells import Cell, Panel, Sweep, cells_of_each, sweep
from bench.analysis.estimates.ratios import Ratio, Ratios
from bench.analysis.runs.kinds import kinds
from bench.metrics import CPU, MEMORY, P50, P99, THROUGHPUT

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bench.analysis.runs.kinds import Kind
    from bench.analysis.runs.run_folder import Run
    from bench.metrics import Metric


OF_THE_LOAD = (THROUGHPUT, P50, P99)
"""The metrics that say nothing of a server under an offered load that it does not keep."""

PRICES = (CPU, MEMORY)
"""The metrics by which the other servers of a load are priced against its best."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """The order of the servers under one workload by one metric, best first.

    `ratios` has the ratio of each to `baseline`. That is the run's baseline, or the first server of the plan that has a
    number where the run's has none. `told_apart` says of each but the first whether it is told from the one before it.
    `level_with` are those that cannot be told from the best. Two are not told apart if the interval of their ratio
    holds 1 or is not known, or if the number of the lower one is only a lower bound. `lead` is the factor by which the
    best beats the runner-up: above 1 is better, whatever the metric's direction. It is None if there is no runner-up.
    `prices` has, for each but the first, the ratios of its `PRICES` to those of the first, by column.
    `carried` says how much of an offered load each server answered. It is None in a closed loop.
    """

    metric: Metric
    panel: Panel
    baseline: str
    cells: tuple[Cell, ...]
    ratios: tuple[Ratio, ...]
    told_apart: tuple[bool, ...]
    level_with: tuple[str, ...]
    lead: Ratio | None
    prices: Mapping[str, Mapping[str, Ratio]] = field(default_factory=dict)
    carried: Carried | None = None

    @property
    def is_overloaded(self) -> bool:
        """Whether it orders servers by response times or rates under an offered load that none of them kept."""
        return self.metric in OF_THE_LOAD and self.carried is not None and self.carried.by_nobody

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

    @property
    def out_of_order(self) -> tuple[Cell, ...]:
        """The cells whose mean is written as a better one than that of the cell above: their ratio is worse."""
        sign = 1 if self.metric.larger_is_better else -1
        return tuple(
            below
            for above, below in pairwise(self.cells)
            if sign * below.estimate.value > sign * above.estimate.value
            and self.metric.words(below.estimate.value) != self.metric.words(above.estimate.value)
        )


@dataclass(frozen=True, slots=True)
class Ranked:
    """A server under a workload: its cells by the column of the metric; whether it is not told from the one above."""

    cells: dict[str, Cell]
    is_level: bool


@dataclass(frozen=True)
class Ranking:
    """What a run shows: the load that it sweeps, its cells by metric, and the standing under each workload.

    `baseline` is the server that ratios are to. It is None if no trial was measured. `choices` are the standings
    without the servers that teach, which nobody would choose for a service; titles and leads state these. `kinds` says
    what each server is, where it is known. `carried` has, by workload, how much of an offered load was answered.
    `pairs` makes the ratio of any two servers.
    """

    sweep: Sweep
    baseline: str | None
    cells: dict[str, tuple[Cell, ...]]
    standings: dict[str, tuple[Standing, ...]]
    choices: dict[str, tuple[Standing, ...]]
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    carried: Mapping[str, Carried] = field(default_factory=dict)
    pairs: Ratios = field(kw_only=True, compare=False, repr=False)

    @property
    def servers(self) -> list[str]:
        """Every server that has a trial, by name."""
        return sorted({cell.server for cell in self.cells[THROUGHPUT.column]})

    @property
    def teaching(self) -> frozenset[str]:
        """The servers that show a model or a limit, and that nobody would choose for a service."""
        return frozenset(name for name, kind in self.kinds.items() if kind.teaching)

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

    @property
    def behind(self) -> list[str]:
        """A sentence for each offered load that some server did not keep: who answered which share."""
        return [
            f"{said}."
            for panel in self.sweep.panels
            for workload, x in panel.places.items()
            if workload in self.carried and (said := self.carried[workload].sentence(self.sweep.place(panel, x)))
        ]

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

        So all titles of a run speak of one workload, but for those of a metric that is known only under others. A
        server that teaches is in it only if no other has a number anywhere. None if no server has.
        """
        here = self.choices[metric.column] or self.standings[metric.column]
        peaks = [cell for cell in self.cells[THROUGHPUT.column] if not cell.missing]
        chosen = [cell for cell in peaks if cell.server not in self.teaching] or peaks
        ordered = sorted(chosen, key=lambda cell: cell.estimate.value, reverse=True)
        found = (one for cell in ordered for one in here if one.best.workload == cell.workload)
        return next(found, None)


def rank(run: Run, baseline: str | None = None) -> Ranking:
    """Reduce a run to its estimates and standings, each computed once. Cells of the plan without a trial are missing.

    Ratios are to `baseline`; else to the one that the run was asked for; else to the first server of the plan that was
    measured under every workload, or under most. One that teaches, or was measured solo, is taken if no other can be:
    nobody would choose the first, and ratios to the second are less precise. Raises UsageError, with the nearest name,
    if `baseline` has no measured trial.
    """
    swept = sweep(run.trials)
    found = cells_of_each(run.trials, swept, metrics.TABLE, run.planned)
    known_kinds = kinds(run.info)
    teaching = {name for name, kind in known_kinds.items() if kind.teaching}
    servers = _by_coverage(run, found[THROUGHPUT.column], teaching)
    ratios = Ratios(run)
    if baseline is not None:
        ratios.require(baseline)
    asked = baseline or run.info.get("plan", {}).get("baseline")
    order = sorted(servers, key=lambda server: server != asked)
    loads = carried(run.measured)

    def standings(*, without: Collection[str]) -> dict[str, tuple[Standing, ...]]:
        return {
            metric.column: tuple(
                replace(_standing(here, panel, metric, base, ratios), carried=loads.get(workload))
                for panel in swept.panels
                for workload in panel.places
                if (known := [cell for cell in found[metric.column] if cell.workload == workload and not cell.missing])
                and (here := [cell for cell in known if cell.server not in without])
                for base in [min((cell.server for cell in known), key=order.index)]
            )
            for metric in metrics.TABLE
        }

    everyone = standings(without=())
    choices = standings(without=teaching) if teaching else everyone
    return Ranking(swept, order[0] if order else None, found, everyone, choices, known_kinds, loads, pairs=ratios)


def _by_coverage(run: Run, found: Sequence[Cell], teaching: Collection[str]) -> list[str]:
    """Return the measured servers: those under most workloads first, then those that one would use, as planned.

    Of these, those of blocks come before solo ones.
    """
    workloads = Counter(cell.server for cell in found if cell.measured)
    solo = {cell.server for cell in found if cell.solo}
    known = [*(server for server, _ in run.planned), *run.trials["server"]]
    named = [server for server in dict.fromkeys(known) if server in workloads]
    return sorted(named, key=lambda server: (-workloads[server], server in teaching, server in solo))


def _standing(here: list[Cell], panel: Panel, metric: Metric, baseline: str, ratios: Ratios) -> Standing:
    """Rank cells of one workload by their ratios to `baseline`, which need not be among them."""
    workload, names = here[0].workload, {cell.server for cell in here}
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
        prices={
            other.server: {price.column: ratios.of(price, workload, other.server, best.server) for price in PRICES}
            for other in others
        },
    )


def _is_told_apart(other: Cell, ahead: Ratio) -> bool:
    """Whether a server is worse than the one that leads it by `ahead`; no if the bound is NaN: cannot tell."""
    return ahead.estimate.low > 1 and not other.lower_bound
