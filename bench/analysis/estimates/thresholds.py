"""What a run says of the thresholds that it was given: a finding and a sentence for each cell that one is about.

A number is judged by its interval over the trials, as the tables show it. Failures of the server are judged by their
sum, because one that was counted has happened. Of a server that did not keep an offered load, times are lower bounds:
what it left unanswered has no time yet. No interval is widened for having judged many cells.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from bench import metrics, units
from bench.analysis.estimates.carried import carried
from bench.analysis.estimates.cells import LEVEL, is_held_down
from bench.experiment.model import Status
from bench.experiment.planning.threshold_table import ThresholdTable
from bench.plain import plain
from bench.stats import Estimate, geometric_mean_interval, mean_interval
from clients.thresholds import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pandas as pd

    from bench.analysis.runs.run_folder import Run
    from bench.metrics import Metric

ERRORS = "errors"
"""The columns of failures begin so."""

TIMES = ("response_", "service_", "lateness_")
"""The columns of what a request that was never answered would have made longer begin so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One threshold in one cell. `estimate` has NaN where nothing is known, and equal bounds where it is a sum."""

    table: ThresholdTable
    server: str
    workload: str
    estimate: Estimate
    finding: Finding

    @property
    def metric(self) -> Metric:
        """The metric that it is about."""
        return metrics.BY_COLUMN[self.table.rule.column]

    @property
    def reason(self) -> str:
        """Say how the number lies to the limit, and what to do if that cannot be told."""
        rule, metric = self.table.rule, self.metric
        if math.isnan(self.estimate.value):
            return f"{rule.text}: not known here: see the failed trials and doubts, or measure for longer"
        lies = f"{self.table.metric} {rule.relation(self.finding)} {metric.words(rule.limit)}"
        is_exact = self.estimate.low == self.estimate.high
        value = metric.words(self.estimate.value) if is_exact else _words(self.estimate, metric)
        is_narrowed_by_more = self.finding is Finding.CANNOT_TELL and self.estimate.high != math.inf
        return f"{lies}: {value}{'; more trials may tell' if is_narrowed_by_more else ''}"

    @property
    def sentence(self) -> str:
        """Say it in a line, the finding first."""
        return f"{self.finding}: {self.server} {self.workload}: {self.reason}"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; what is not known is null."""
        rule = self.table.rule
        cell = {"server": self.server, "workload": self.workload}
        whole = {"threshold": rule.text, "metric": rule.column, "limit": rule.limit, "finding": str(self.finding)}
        as_json: dict[str, Any] = plain({**cell, **whole, **asdict(self.estimate)})
        return as_json


def judge(run: Run) -> list[Judged]:
    """Return what a run says of each threshold in each cell that it is about, the worst first.

    A cell that cannot run here is left out. One without a number cannot be told.
    """
    raw = run.info.get("plan", {}).get("threshold", ())
    tables = [ThresholdTable.read(table, "run.json: threshold") for table in raw]
    judged = [
        _judged(table, server, workload, run.trials)
        for table in tables
        for server, workload in run.planned
        if table.covers(server, workload) and not _is_gap(run.trials, server, workload)
    ]
    order = list(Finding)
    return sorted(judged, key=lambda one: order.index(one.finding))


def worst(judged: Iterable[Judged]) -> Finding:
    """Return the worst finding; OK if there is none."""
    order = list(Finding)
    return min((one.finding for one in judged), key=order.index, default=Finding.OK)


def _judged(table: ThresholdTable, server: str, workload: str, trials: pd.DataFrame) -> Judged:
    here = trials[(trials["server"] == server) & (trials["workload"] == workload)]
    metric = metrics.BY_COLUMN[table.rule.column]
    measured = here[here["status"] == Status.MEASURED]
    estimate = _estimate(measured, metric)
    is_behind = any(server in load.behind for load in carried(measured).values())
    if is_held_down(measured, metric) or (is_behind and metric.column.startswith(TIMES)):
        estimate = replace(estimate, high=math.inf)
    finding = table.rule.finding(estimate.low, estimate.high)
    return Judged(table=table, server=server, workload=workload, estimate=estimate, finding=finding)


def _estimate(measured: pd.DataFrame, metric: Metric) -> Estimate:
    values = measured[metric.column].dropna().astype(float)
    if metric.column.startswith(ERRORS):
        total = float(values.sum()) if len(values) else math.nan
        return Estimate(total, total, total, 1.0)
    return (geometric_mean_interval if (values > 0).all() else mean_interval)(values.to_numpy(), LEVEL)


def _words(estimate: Estimate, metric: Metric) -> str:
    if estimate.high == math.inf:
        why = (
            "the server did not keep the rate"
            if metric.column.startswith(TIMES)
            else "the load generator was the limit"
        )
        return f"{metric.words(estimate.value)} or more, because {why}"
    return units.estimate(estimate, metric.words)


def _is_gap(trials: pd.DataFrame, server: str, workload: str) -> bool:
    statuses = trials.loc[(trials["server"] == server) & (trials["workload"] == workload), "status"]
    return bool((statuses == Status.SKIPPED).any())
