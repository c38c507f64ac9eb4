"""Bencher Metric Format: {benchmark: {measure: {value, lower_value, upper_value}}}, the interval's ends as bounds.

A measure's unit cannot be told in the format, so it stands in the slug. `throughput` is Bencher's own measure.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bench.analysis.export.series import Series, series

if TYPE_CHECKING:
    from bench.analysis.frame import Run


def render(run: Run) -> dict[str, str]:
    """Return one file."""
    benchmarks: dict[str, dict[str, dict[str, float]]] = {}
    for one in series(run):
        benchmarks.setdefault(one.cell, {})[_measure(one)] = _metric(one)
    return {"bencher.json": json.dumps(benchmarks, indent=2) + "\n"}


def _measure(one: Series) -> str:
    return "throughput" if one.metric.larger_is_better else one.metric.column.replace("_", "-")


def _metric(one: Series) -> dict[str, float]:
    estimate = one.estimate
    bounds = {"lower_value": estimate.low, "upper_value": estimate.high} if estimate.bounded else {}
    return {"value": estimate.value, **bounds}
