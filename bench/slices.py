"""Two servers of one block, compared slice by slice: the one place where slices are divided. Imports nothing of ours.

A virtual machine changes its speed within a second, and what it does in a pass falls on all slices of that pass alike.
So the logarithm of the ratio of two slices of one pass is free of it. Slices vary by 10 to 40 % all the same, and in
some passes the machine stands still. So the passes of a block come to one number by their trimmed mean. A block is the
unit of a statistic, and a pass is not, because all passes of a block share two launches. Sources: the randomised
complete block design; Bulej et al., Duet benchmarking, 2020; for the trimmed mean, Wilcox, Introduction to Robust
Estimation and Hypothesis Testing, 2012.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    Slice = Mapping[str, Any]  # a row of slices.parquet

TRIMMED_PERCENT = 20
"""Of the passes of a block, so many count on neither side."""
VALUE_OF: dict[str, Callable[[Slice], float | None]] = {
    "replies_per_s": lambda one: _quotient(one["replies"], one["slice_s"]),
    "server_cpu_us_per_reply": lambda one: _quotient(one["server_cpu_s"], one["replies"], 1e6),
    "response_p50_ns": lambda one: one["response_p50_ns"],
}
"""What a slice says of a metric, by the column of the metric. No other metric can be told from a slice."""

READ = ("pass", "slice_s", "replies", "server_cpu_s", "response_p50_ns")
"""The columns of slices.parquet that are read here."""


def values(slices: Sequence[Slice], column: str) -> dict[int, float]:
    """Return what the slices of a launch say of a metric by their passes, in their order, where it is above zero."""
    value_of = VALUE_OF[column]
    found = ((one["pass"], value_of(one)) for one in slices)
    return {number: value for number, value in found if value is not None and value > 0}


def log_ratios(ours: Sequence[Slice], theirs: Sequence[Slice], column: str) -> list[float]:
    """Return log(ours / theirs) of a metric for each pass in which both have a value above zero, in their order."""
    return _logs(values(ours, column), values(theirs, column))


def log_ratio(ours: Sequence[Slice], theirs: Sequence[Slice], column: str) -> float | None:
    """Return the `location` of `log_ratios`, which is the number of this block; None without a pass that both have."""
    return log_ratio_of(values(ours, column), values(theirs, column))


def log_ratio_of(ours: Mapping[int, float], theirs: Mapping[int, float]) -> float | None:
    """Return the `log_ratio` of what `values` returned, for those who divide one launch by many."""
    found = _logs(ours, theirs)
    return location(found) if found else None


def location(values: Sequence[float]) -> float:
    """Return the mean of at least one value, without the largest and the smallest fifth of them.

    It is nearly as precise as a mean where nothing disturbs, and bears it when up to a fifth of the values are far off.
    Negating the values negates it exactly.
    """
    cut = len(values) * TRIMMED_PERCENT // 100
    return math.fsum(sorted(values)[cut : len(values) - cut]) / (len(values) - 2 * cut)


def _logs(ours: Mapping[int, float], theirs: Mapping[int, float]) -> list[float]:
    return [math.log(value / theirs[number]) for number, value in ours.items() if number in theirs]


def _quotient(above: float | None, below: float | None, factor: float = 1.0) -> float | None:
    return None if above is None or not below else factor * above / below
