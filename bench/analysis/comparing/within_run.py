"""The servers of one run as ratios to one of them, with intervals. Nothing is judged here."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from bench import metrics, units
from bench.analysis.estimates.cells import cells as cells_of
from bench.analysis.estimates.cells import sweep
from bench.analysis.estimates.ratios import Ratio, Ratios
from bench.plain import plain

if TYPE_CHECKING:
    from bench.analysis.runs.run_folder import Run

Rows = dict[tuple[str, str], dict[str, Ratio]]
"""By workload and server, and then by the column of the metric."""


def against(run: Run, baseline: str) -> Rows:
    """Return every other server's ratios to `baseline` where that was measured, of every metric that is a result.

    Raises UsageError if it never was, and MeasurementError if nothing was.
    """
    ratios = Ratios(run)
    ratios.require(baseline)
    swept = sweep(run.trials)
    cells = cells_of(run.trials, swept, metrics.THROUGHPUT)
    here = {cell.workload for cell in cells if cell.server == baseline and cell.measured}
    return {
        (cell.workload, cell.server): {
            metric.column: ratios.of(metric, cell.workload, cell.server, baseline) for metric in swept.metrics
        }
        for cell in cells
        if cell.server != baseline and cell.workload in here
    }


def text(ratio: Ratio) -> str:
    """Write a ratio with its interval, and an asterisk if the load generator was the limit with either server."""
    return units.estimate(ratio.estimate, units.ratio) + ("*" if ratio.limited and ratio.values else "")


def to_json(ratio: Ratio) -> dict[str, Any]:
    """Return plain JSON types; a number that is not known is null."""
    as_json: dict[str, Any] = plain({**asdict(ratio.estimate), "is_bound": bool(ratio.limited)})
    return as_json
