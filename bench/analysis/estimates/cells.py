"""The load that a run sweeps, and one estimate for each of its cells. Frames in, values out.

A cell is one server under one workload, and its trials are the replicates. The metrics are rows of `bench.metrics`.
Nothing is drawn here, and nothing is compared: one server is divided by another in `ratios.py`.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import metrics, units
from bench.experiment.model import Status
from bench.stats import Estimate, geometric_mean_interval

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Sequence

    import pandas as pd

    from bench.experiment.doubts import Doubt
    from bench.metrics import Metric

LEVEL = 0.95


@dataclass(frozen=True, slots=True)
class Setting:
    """A setting of the load that a run may vary: column, title, and how a value is written at a tick or in text."""

    column: str
    title: str
    tick: Callable[[float], str]
    phrase: Callable[[float], str]


SETTINGS = (
    Setting(
        "connections",
        "connections",
        units.count,
        lambda x: units.plural(int(x), "connection"),
    ),
    Setting("rate_per_s", "offered requests per second", units.compact, lambda x: f"{units.rate(x)} offered"),
    Setting("message_bytes", "message size", units.size, lambda x: f"{units.size(x)} a message"),
    Setting("pipeline", "requests in flight per connection", units.count, lambda x: f"{units.count(x)} in flight"),
)


@dataclass(frozen=True, slots=True)
class Panel:
    """Workloads that differ only in the setting that the run varies. `places` has its value by the workload's name.

    `label` says how they differ from the other panels of the run. It is empty if there is no other panel.
    """

    label: str
    places: dict[str, float]


@dataclass(frozen=True, slots=True)
class Sweep:
    """The setting of the load that a run varies, and a panel for each combination of all else.

    `shared` says what all workloads have in common. `open_loop` says that all their rates were given, so that
    throughput only tells whether a server kept up.
    """

    setting: Setting
    panels: tuple[Panel, ...]
    shared: str
    open_loop: bool

    def load(self, panel: Panel, x: float) -> str:
        """Name the load of a cell: `128 connections`, with the label of its panel if it has one."""
        return f"{self.setting.phrase(x)} ({panel.label})" if panel.label else self.setting.phrase(x)

    def phrase(self, panel: Panel, x: float) -> str:
        """Say where a cell stands: `at 128 connections`, with the label of its panel if it has one."""
        return f"at {self.load(panel, x)}"

    def phrase_of(self, workload: str) -> str:
        """Say where the cells of a workload stand, as `phrase` does."""
        panel = next(one for one in self.panels if workload in one.places)
        return self.phrase(panel, panel.places[workload])

    def place(self, panel: Panel, x: float) -> str:
        """Say where a cell stands beside its rate, which is not said again."""
        return self.phrase(panel, x) if self.setting.column != "rate_per_s" else f"({panel.label})" * bool(panel.label)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """The metrics that are results: those of every table, without the throughput where all rates were given."""
        return tuple(one for one in metrics.TABLE if one is not metrics.THROUGHPUT or not self.open_loop)


_ASKED = ("connections", "rate_per_s", "message_bytes", "pipeline", "arrivals")


def sweep(trials: pd.DataFrame) -> Sweep:
    """Find what the run varies: connections if there are several, else the rate, the size, or the pipeline depth."""
    workloads = trials.drop_duplicates("workload").set_index("workload")[list(_ASKED)]
    setting = next((one for one in SETTINGS if len(workloads[one.column].dropna().unique()) > 1), SETTINGS[0])
    rest = [name for name in _ASKED if name != setting.column]
    groups: list[tuple[list[str], dict[str, float]]] = []
    for _, alike in workloads.groupby(rest, dropna=False, sort=True):
        parts = _describe(alike.iloc[0], setting.column)
        ordered = alike[setting.column].sort_index().sort_values(kind="stable")
        places = {str(name): float(x) for name, x in ordered.items()}
        if len(set(places.values())) == len(places):
            groups.append((parts, places))
        else:  # they differ in something that is no column: only their names tell them apart
            groups.extend(([*parts, name], {name: x}) for name, x in places.items())
    shared = [part for part in groups[0][0] if all(part in parts for parts, _ in groups)]
    return Sweep(
        setting=setting,
        panels=tuple(Panel(", ".join(part for part in parts if part not in shared), at) for parts, at in groups),
        shared=", ".join(shared),
        open_loop=bool((workloads["arrivals"] != "closed").all()),
    )


def _describe(workload: pd.Series, without: str) -> list[str]:
    """Say in phrases what a workload asks of a server, without the setting that the run varies."""
    parts = [f"{units.size(workload['message_bytes'])} messages"] if without != "message_bytes" else []
    if without != "connections":
        parts.append(SETTINGS[0].phrase(workload["connections"]))
    if without != "pipeline" and workload["pipeline"] > 1:
        parts.append(f"{workload['pipeline']} in flight per connection")
    if workload["arrivals"] == "closed":
        return [*parts, "closed loop"]
    parts.append(f"open loop with {workload['arrivals']} arrivals")
    return parts if without == "rate_per_s" else [*parts, f"{units.rate(workload['rate_per_s'])} offered"]


def measured_solo(trials: pd.DataFrame) -> pd.Series:
    """Say of each trial whether it was measured alone: no other trial of its block was launched, or it has no block."""
    launched = trials[(trials["status"] != Status.SKIPPED) & trials["block"].notna()]
    together = launched.groupby(["round", "workload", "block"])["trial"].transform("size") > 1
    return ~together.reindex(trials.index, fill_value=False)


def is_limited(measured: pd.DataFrame) -> bool:
    """Say whether the load generator was the limit in any of these trials."""
    return bool(measured["throughput_is_lower_bound"].fillna(value=False).any())


def is_held_down(measured: pd.DataFrame, metric: Metric) -> bool:
    """Say whether the load generator was the limit in any of these trials, and so holds the metric down."""
    return metric.is_bounded_by_generator and is_limited(measured)


def doubted(measured: pd.DataFrame, doubt: Doubt) -> Counter[tuple[str, str]]:
    """Return how many of these trials carry a doubt, by cell (server, workload)."""
    rows = measured[["server", "workload", "doubts"]].itertuples(index=False)
    return Counter((server, workload) for server, workload, codes in rows if doubt in codes.split(","))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One metric of one server under one workload.

    `values` has one number for each measured trial that knows the metric. `trials` counts all trials of the cell,
    `measured` those with numbers, and `solo` those of them that no other server was alive with. `statuses` are those of
    the trials that failed. `lower_bound` says that the generator was the limit in some trial and lowers this metric.
    """

    server: str
    workload: str
    x: float
    estimate: Estimate
    values: tuple[float, ...]
    trials: int
    measured: int
    solo: int
    lower_bound: bool
    statuses: tuple[str, ...]

    @property
    def missing(self) -> bool:
        """Whether there is nothing to show: no trial was measured, or none knows this metric."""
        return not self.values


def cells(
    trials: pd.DataFrame, sweep: Sweep, metric: Metric, planned: Collection[tuple[str, str]] = ()
) -> tuple[Cell, ...]:
    """Estimate a metric for every cell of the sweep: the geometric mean over its trials with its interval.

    A cell (server, workload) that was `planned` and has no trial, as in an interrupted run, is returned as missing.
    """
    return cells_of_each(trials, sweep, (metric,), planned)[metric.column]


def cells_of_each(
    trials: pd.DataFrame, sweep: Sweep, wanted: Collection[Metric], planned: Collection[tuple[str, str]] = ()
) -> dict[str, tuple[Cell, ...]]:
    """Return the `cells` of several metrics by their columns. Cells are cut out of the trials once for all of them."""
    places = {name: x for panel in sweep.panels for name, x in panel.places.items()}
    used = ["server", "workload", "status", "throughput_is_lower_bound", *(metric.column for metric in wanted)]
    trials = trials[used].assign(solo=measured_solo(trials))  # to cut out a cell costs time for every column
    by_cell = {
        (str(server), str(workload)): rows for (server, workload), rows in trials.groupby(["server", "workload"])
    }
    nothing = trials.iloc[:0]
    found: dict[str, list[Cell]] = {metric.column: [] for metric in wanted}
    for server, workload in by_cell.keys() | {cell for cell in planned if cell[1] in places}:
        rows = by_cell.get((server, workload), nothing)
        for cell, column in zip(
            _cells(rows, wanted, server=server, workload=workload, x=places[workload]), found.values(), strict=True
        ):
            column.append(cell)
    return {
        column: tuple(sorted(cells, key=lambda cell: (cell.x, cell.workload, cell.server)))
        for column, cells in found.items()
    }


def _cells(rows: pd.DataFrame, wanted: Collection[Metric], *, server: str, workload: str, x: float) -> Iterator[Cell]:
    """Yield the cell of each metric, from the trials of one cell."""
    measured = rows[rows["status"] == Status.MEASURED]
    solo, limited = int(measured["solo"].sum()), is_limited(measured)
    statuses = tuple(sorted(set(rows["status"].drop(measured.index)))) if len(rows) else ("not run",)
    for metric in wanted:
        values = tuple(measured[metric.column].dropna().astype(float).tolist())
        yield Cell(
            server=server,
            workload=workload,
            x=x,
            estimate=_estimate(values),
            values=values,
            trials=len(rows),
            measured=len(measured),
            solo=solo,
            lower_bound=limited and metric.is_bounded_by_generator,
            statuses=statuses,
        )


def _estimate(values: Sequence[float]) -> Estimate:
    """Return the geometric mean with its interval. Zero has no logarithm: the plain mean then, and no interval."""
    if 0 in values:
        return Estimate(sum(values) / len(values), math.nan, math.nan, LEVEL)
    return geometric_mean_interval(values, LEVEL)
