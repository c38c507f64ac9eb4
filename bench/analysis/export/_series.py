"""The series that every format shows: one value for each measured trial, by cell and metric.

Tools keep history under the names of these series. So `server/workload` and the names in `metrics.Exported` never
change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import metrics, units
from bench.analysis.estimates.cells import is_held_down
from bench.errors import MeasurementError
from bench.stats import Estimate, geometric_mean_interval

if TYPE_CHECKING:
    import pandas as pd

    from bench.analysis.runs.run_folder import Run
    from bench.metrics import Metric


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One metric of one cell: the trials that were measured and have a value above zero, in the order of their rounds.

    `values`, `trials` and `started_at` are in the same order.
    """

    server: str
    workload: str
    connections: int
    message_bytes: int
    metric: Metric
    values: tuple[float, ...]
    trials: tuple[int, ...]
    started_at: tuple[str, ...]
    lower_bound: bool

    @property
    def cell(self) -> str:
        """Server and workload in one word."""
        return f"{self.server}/{self.workload}"

    @property
    def estimate(self) -> Estimate:
        """The geometric mean of the trials with its interval."""
        return geometric_mean_interval(self.values)

    @property
    def remark(self) -> str:
        """What a reader must know beside the value, in a few words."""
        trials = units.plural(len(self.values), "trial")
        return f"{trials}; a lower bound: the load generator was the limit" if self.lower_bound else trials

    def in_seconds(self) -> list[float]:
        """Return the values as seconds, where smaller is better."""
        return [self.metric.seconds(value) for value in self.values]


def series(run: Run) -> list[Series]:
    """Return every series of a run, cells in the order of server and workload.

    The replies per second of an open loop are left out, because they are what was asked for. Raises MeasurementError if
    no trial has a number.
    """
    found = [
        one
        for _, cell in run.measured.groupby(["server", "workload"], sort=True)
        for metric in metrics.EXPORTED
        if (one := _one(cell, metric)) is not None
    ]
    if not found:
        raise MeasurementError(f"{run.path} has no measured trial: there is no number to export")
    return found


def durations(run: Run) -> list[tuple[str, Series]]:
    """Return the series that can be told in seconds, each with its name among durations."""
    named = ((one.metric.exported, one) for one in series(run))
    return [(exported.duration, one) for exported, one in named if exported is not None and exported.duration]


def _one(cell: pd.DataFrame, metric: Metric) -> Series | None:
    first = cell.iloc[0]
    seen = cell[(cell[metric.column] > 0).fillna(value=False)]
    if seen.empty or (metric.is_bounded_by_generator and first["arrivals"] != "closed"):
        return None
    return Series(
        server=str(first["server"]),
        workload=str(first["workload"]),
        connections=int(first["connections"]),
        message_bytes=int(first["message_bytes"]),
        metric=metric,
        values=tuple(float(value) for value in seen[metric.column]),
        trials=tuple(int(number) for number in seen["trial"]),
        started_at=tuple(str(text) for text in seen["started_at"]),
        lower_bound=is_held_down(seen, metric),
    )
