"""Bencher Metric Format: {benchmark: {measure: {value, lower_value, upper_value}}}, the interval's ends as bounds.

A measure's unit cannot be told in the format, so it stands in the slug. `throughput` is Bencher's own measure. What a
ratio is to stands in the benchmark's name, which may be long; a measure's may not.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from bench.analysis.export.figures import Figure, of_comparison, of_run

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bench.analysis.runs.run_folder import Run


def render(run: Run, baseline: str | None = None) -> dict[str, str]:
    """Return the files of a run, with the ratios to `baseline` if that is given."""
    return _files(of_run(run, baseline))


def render_comparison(path: Path) -> dict[str, str]:
    """Return the files of a comparison."""
    return _files(of_comparison(path))


def _files(found: Sequence[Figure]) -> dict[str, str]:
    benchmarks: dict[str, dict[str, dict[str, float]]] = {}
    for one in found:
        benchmark = f"{one.cell} / {one.against}" if one.against else one.cell
        benchmarks.setdefault(benchmark, {})[_measure(one)] = _metric(one)
    return {"bencher.json": json.dumps(benchmarks, indent=2) + "\n"}


def _measure(one: Figure) -> str:
    name = "throughput" if one.metric.larger_is_better else one.metric.column.replace("_", "-")
    return f"{name}-ratio" if one.against else name


def _metric(one: Figure) -> dict[str, float]:
    estimate = one.estimate
    bounds = {"lower_value": estimate.low, "upper_value": estimate.high} if estimate.bounded else {}
    return {"value": estimate.value, **bounds}
