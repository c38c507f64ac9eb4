"""How much the machine wandered while it measured, as the baseline's own slices saw it. Numbers in, numbers out.

What is here describes one run. It estimates nothing, so it has no interval, and no ratio is corrected by it: the pass
that a slow slice fell in has slowed the other servers too.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.analysis.runs.run_folder import plain_rows
from bench.metrics import CPU, THROUGHPUT
from bench.slices import VALUE_OF

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.analysis.estimates.ranking import Ranking
    from bench.analysis.runs.run_folder import Run
    from bench.metrics import Metric

HIGH, LOW = 90, 10
"""The percentiles between which a spread is taken: a few stalls are no wandering."""

FEWEST = 5
"""Slices of a block, or blocks of a run, below which there is no spread to speak of."""


@dataclass(frozen=True, slots=True)
class Wander:
    """How many times the 10th percentile the 90th was, of the baseline's slices.

    `within` is that of the slices of a block, the median over all blocks. `across` is that of the blocks' medians, each
    over the median of its workload; NaN below five blocks.
    """

    server: str
    metric: Metric
    within: float
    across: float


def wander(run: Run, ranking: Ranking) -> Wander | None:
    """Return how the baseline's rate wandered, or its CPU per reply where all rates were given; None without slices."""
    metric = CPU if ranking.sweep.open_loop else THROUGHPUT
    blocks = _logs(run, ranking.baseline, metric)
    if not blocks:
        return None
    levels: defaultdict[str, list[float]] = defaultdict(list)
    for (workload, _), logs in blocks.items():
        levels[workload].append(float(np.median(logs)))
    moved = [level - float(np.median(of)) for of in levels.values() for level in of]
    within = float(np.median([_spread(logs) for logs in blocks.values()]))
    return Wander(str(ranking.baseline), metric, within, _spread(moved) if len(moved) >= FEWEST else float("nan"))


def _logs(run: Run, server: str | None, metric: Metric) -> dict[tuple[str, int], list[float]]:
    """Return the logarithms of a server's slices by workload and block; a block of too few slices is left out."""
    rows = run.slices[(run.slices["server"] == server) & run.slices["trial"].isin(run.measured["trial"])]
    found: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
    for one in plain_rows(rows):
        value = VALUE_OF[metric.column](one)
        if value is not None and value > 0:
            found[one["workload"], one["block"]].append(float(np.log(value)))
    return {block: logs for block, logs in found.items() if len(logs) >= FEWEST}


def _spread(logs: Sequence[float]) -> float:
    high, low = np.percentile(logs, (HIGH, LOW))
    return float(np.exp(high - low))
