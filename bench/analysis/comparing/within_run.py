"""The servers of one run as ratios to one of them, with intervals. Nothing is judged here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench import metrics, units
from bench.analysis.estimates.ranking import rank
from bench.analysis.estimates.ratios import Ratio, require_server, to_baseline
from bench.plain import plain

if TYPE_CHECKING:
    import pandas as pd

Ratios = dict[tuple[str, str], dict[str, Ratio]]
"""By workload and server, and then by the column of the metric."""


def against(trials: pd.DataFrame, baseline: str) -> Ratios:
    """Return every other server's ratios to `baseline`, paired by round. Raise UsageError if that has no trial here."""
    found = rank(trials)
    rows: Ratios = {}
    for metric in metrics.TABLE:
        cells = found.cells[metric.column]
        require_server(baseline, cells)
        for cell, ratio in to_baseline(cells, baseline):
            rows.setdefault((cell.workload, cell.server), {})[metric.column] = ratio
    return rows


def text(ratio: Ratio) -> str:
    """Write a ratio with its interval, and an asterisk if the load generator was the limit with either server."""
    return units.estimate(ratio.estimate, units.ratio) + ("*" if ratio.limited and ratio.rounds else "")


def to_json(ratio: Ratio) -> dict[str, Any]:
    """Return plain JSON types; a number that is not known is null."""
    found = ratio.estimate
    numbers = {"value": found.value, "low": found.low, "high": found.high, "level": found.level}
    as_json: dict[str, Any] = plain({**numbers, "is_bound": bool(ratio.limited)})
    return as_json
