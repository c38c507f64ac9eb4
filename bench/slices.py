"""Two servers of one block, compared slice by slice: the one place where slices are divided. Imports nothing of ours.

A virtual machine changes its speed within a second, and what it does in a pass falls on all slices of that pass alike.
So the logarithm of the ratio of two slices of one pass is free of it. The median over the passes of a block is one
number for that block: slices vary by 20 to 40 %, and a median bears the pass in which the machine stood still. A block
is the unit of a statistic, and a pass is not, because all passes of a block share two launches. Source: the randomised
complete block design; Bulej et al., Duet benchmarking, 2020.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Slice = Mapping[str, Any]  # a row of slices.parquet

VALUE_OF: dict[str, Callable[[Slice], float | None]] = {
    "replies_per_s": lambda one: _quotient(one["replies"], one["slice_s"]),
    "server_cpu_us_per_reply": lambda one: _quotient(one["server_cpu_s"], one["replies"], 1e6),
    "response_p50_ns": lambda one: one["response_p50_ns"],
}
"""What a slice says of a metric, by the column of the metric. No other metric can be told from a slice."""


def log_ratios(ours: Sequence[Slice], theirs: Sequence[Slice], column: str) -> list[float]:
    """Return log(ours / theirs) of a metric for each pass in which both have a value above zero, in their order."""
    value_of = VALUE_OF[column]
    by_pass = {one["pass"]: value_of(one) for one in theirs}
    pairs = [(value_of(one), by_pass.get(one["pass"])) for one in ours]
    return [math.log(a / b) for a, b in pairs if a is not None and b is not None and a > 0 and b > 0]


def log_ratio(ours: Sequence[Slice], theirs: Sequence[Slice], column: str) -> float | None:
    """Return the median of `log_ratios`, which is the number of this block; None without a pass that both have."""
    found = log_ratios(ours, theirs, column)
    return statistics.median(found) if found else None


def _quotient(above: float | None, below: float | None, factor: float = 1.0) -> float | None:
    return None if above is None or not below else factor * above / below
