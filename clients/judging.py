"""What one load says of the thresholds that it was given: a finding, a sentence and JSON for each. Pure.

One load is one launch of a server, so an interval here covers this load alone. `echobench run` has several launches.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from clients.faults import of_server
from clients.result import KINDS, side_by_side
from clients.summary import duration
from clients.thresholds import NAMES, Finding, Threshold, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clients.result import Result

_QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
_COUNTS = ("sent", "replies", "errors", "in_flight", "late_sends", "idle_closed", "connections_established")
_TIMES = tuple(f"{kind}_{statistic}_ns" for kind in KINDS for statistic in ("mean", *_QUANTILES, "max"))
COLUMNS = {
    **NAMES,
    **{name: name for name in (*_TIMES, "replies_per_s", "offered_per_s", *_COUNTS, "client_cpu_s")},
}
"""What a threshold of a load may be about: the keys of `--json`, and short names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """A threshold with what the load gave: value and bounds in the column's unit, NaN where it is not known."""

    threshold: Threshold
    finding: Finding
    value: float
    low: float
    high: float

    @property
    def sentence(self) -> str:
        """Say it in a line: `FAILED: p99 is above 5 ms: 6.1 ms [5.9 ms, 6.4 ms]`."""
        metric, limit = self.threshold.text.split()[0], _words(self.threshold.column, self.threshold.limit)
        if math.isnan(self.value):
            return f"{self.finding}: {metric} is not known, too few replies support it: measure for longer"
        value = _words(self.threshold.column, self.value)
        if self.low != self.high:
            value += f" [{_words(self.threshold.column, self.low)}, {_words(self.threshold.column, self.high)}]"
        return f"{self.finding}: {metric} {self.threshold.relation(self.finding)} {limit}: {value}"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; what is not known is null."""
        numbers = {"value": self.value, "low": self.low, "high": self.high}
        known = {name: None if math.isnan(number) else number for name, number in numbers.items()}
        rule = {"threshold": self.threshold.text, "metric": self.threshold.column, "limit": self.threshold.limit}
        return {**rule, "finding": str(self.finding), **known}


def thresholds_of(texts: Sequence[str]) -> list[Threshold]:
    """Read `--fail-if`. Raise WorkloadError."""
    return [parse(text, COLUMNS) for text in texts]


def judge(result: Result, thresholds: Sequence[Threshold]) -> list[Judged]:
    """Return what the load says of each threshold: a percentile has the interval of its order statistics."""
    return [_judged(result, threshold) for threshold in thresholds]


def _judged(result: Result, threshold: Threshold) -> Judged:
    value = (result.to_json() | {"errors": of_server(result.failures)})[threshold.column]
    bounds = (math.nan, math.nan) if value is None else (value, value)
    kind, _, statistic = threshold.column.removesuffix("_ns").partition("_")
    if kind in KINDS and statistic in _QUANTILES:
        histogram = side_by_side(result.workload, result.histograms)[kind]
        bounds = histogram.percentile_bounds_ns(_QUANTILES[statistic]) or bounds
    low, high = map(float, bounds)
    finding = threshold.finding(low, high)
    value = math.nan if value is None else float(value)
    return Judged(threshold=threshold, finding=finding, value=value, low=low, high=high)


def _words(column: str, value: float) -> str:
    if column.endswith("_ns"):
        return duration(value)
    return f"{value:,.0f}/s" if column.endswith("_per_s") else f"{value:,g}"
