"""Bencher Metric Format, for `bencher run --adapter json`.

It is {benchmark: {measure: {value, lower_value, upper_value}}}, with the interval's ends as bounds. The format has
no place for a unit, so the unit stands in the slug of the measure. `throughput` is Bencher's own measure. The baseline
of a ratio stands in the name of the benchmark, which may be long. The name of a measure may not.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.analysis.export._values import ChartValue


def render_values(found: Sequence[ChartValue]) -> dict[str, str]:
    """Return one file; a metric's unit stands in its slug."""
    benchmarks: dict[str, dict[str, dict[str, float]]] = {}
    for one in found:
        benchmark = f"{one.cell} / {one.against}" if one.against else one.cell
        benchmarks.setdefault(benchmark, {})[_measure(one)] = _metric(one)
    return {"bencher.json": json.dumps(benchmarks, indent=2) + "\n"}


def _measure(one: ChartValue) -> str:
    name = one.exported.measure or one.metric.column.replace("_", "-")
    return f"{name}-ratio" if one.against else name


def _metric(one: ChartValue) -> dict[str, float]:
    estimate = one.estimate
    bounds = {"lower_value": estimate.low, "upper_value": estimate.high} if estimate.bounded else {}
    return {"value": estimate.value, **bounds}
