"""What every format shows: per cell and metric, one value for each measured trial. Formats differ in dress only.

A name is the key under which tools keep history: `server/workload` and the names of METRICS are never changed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import MeasurementError
from bench.stats import Estimate, mean_interval

if TYPE_CHECKING:
    import pandas as pd

    from bench.analysis.runs.run_folder import Run


@dataclass(frozen=True, slots=True)
class Metric:
    """A column worth tracking, and its unit. `duration` is its name among tools that know nothing but seconds."""

    column: str
    unit: str
    duration: str | None = None
    seconds_per_unit: float = 0.0
    larger_is_better: bool = False

    def seconds(self, value: float) -> float:
        """Return a value as seconds, where smaller is better; a rate becomes seconds per reply."""
        return self.seconds_per_unit / value if self.larger_is_better else self.seconds_per_unit * value


METRICS = (
    Metric("replies_per_s", "replies/s", "time_per_reply", 1.0, larger_is_better=True),
    Metric("server_cpu_us_per_reply", "us", "server_cpu_per_reply", 1e-6),
    Metric("response_p50_ns", "ns", "response_p50", 1e-9),
    Metric("response_p99_ns", "ns", "response_p99", 1e-9),
    Metric("server_rss_max_bytes", "bytes"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One metric of one cell: for each measured trial that has one its value above zero, number, round, start."""

    server: str
    workload: str
    connections: int
    message_bytes: int
    metric: Metric
    values: tuple[float, ...]
    trials: tuple[int, ...]
    rounds: tuple[int, ...]
    started_at: tuple[str, ...]
    lower_bound: bool

    @property
    def cell(self) -> str:
        """Server and workload in one word."""
        return f"{self.server}/{self.workload}"

    @property
    def estimate(self) -> Estimate:
        """The mean of the trials with its interval."""
        return mean_interval(self.values)

    @property
    def remark(self) -> str:
        """What a reader must know beside the value, in a few words."""
        trials = f"{len(self.values)} trial{'s' if len(self.values) > 1 else ''}"
        return f"{trials}; a lower bound: the load generator was the limit" if self.lower_bound else trials

    def in_seconds(self) -> list[float]:
        """Return the values as seconds, where smaller is better."""
        return [self.metric.seconds(value) for value in self.values]


def series(run: Run) -> list[Series]:
    """Return every series of a run, cells in the order of server and workload.

    An open loop's replies per second are left out: they are what was asked for. Raises MeasurementError if no trial
    has a number.
    """
    found = [
        one
        for _, cell in run.measured.groupby(["server", "workload"], sort=True)
        for metric in METRICS
        if (one := _one(cell, metric)) is not None
    ]
    if not found:
        raise MeasurementError(f"{run.path} has no measured trial: there is no number to export")
    return found


def durations(run: Run) -> list[tuple[str, Series]]:
    """Return the series that can be told in seconds, each with its name among durations."""
    return [(one.metric.duration, one) for one in series(run) if one.metric.duration is not None]


def _one(cell: pd.DataFrame, metric: Metric) -> Series | None:
    first = cell.iloc[0]
    seen = cell[(cell[metric.column] > 0).fillna(value=False)]
    if seen.empty or (metric.larger_is_better and first["arrivals"] != "closed"):
        return None
    return Series(
        server=str(first["server"]),
        workload=str(first["workload"]),
        connections=int(first["connections"]),
        message_bytes=int(first["message_bytes"]),
        metric=metric,
        values=tuple(float(value) for value in seen[metric.column]),
        trials=tuple(int(number) for number in seen["trial"]),
        rounds=tuple(int(number) for number in seen["round"]),
        started_at=tuple(str(text) for text in seen["started_at"]),
        lower_bound=metric.larger_is_better and bool(seen["throughput_is_lower_bound"].any()),
    )
