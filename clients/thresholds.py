"""A limit that a measured number must not pass: `p99 > 5ms` is a text, a rule, and a word for an interval. Pure.

The rule states what is bad: `--fail-if "p99 > 5ms"` fails where the whole interval lies above 5 ms. `python -m clients`
and `echobench run` read the same texts. Which numbers there are is told by the caller, as columns whose names end in
their units. Nothing here measures, prints, or knows a server.
"""

from __future__ import annotations

import difflib
import math
import operator
import re
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from clients.workload import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

EXAMPLE = "p99 > 5ms"
PERCENTILES = {
    **{f"p{digits}": f"response_p{digits}_ns" for digits in ("50", "90", "99", "999")},
    "p99.9": "response_p999_ns",
    "mean": "response_mean_ns",
    "max": "response_max_ns",
}
"""Short names of response times, by which people know them."""

NAMES = {**PERCENTILES, "throughput": "replies_per_s"}
"""Short names of what every load gives."""

_COMPARISONS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    ">=": (operator.ge, "at or above"),
    "<=": (operator.le, "at or below"),
    ">": (operator.gt, "above"),
    "<": (operator.lt, "below"),
}
COMPARISONS = tuple(_COMPARISONS)

_RULE = re.compile(rf"\s*(\S+?)\s*({'|'.join(COMPARISONS)})\s*(.+?)\s*")
_QUANTITY = re.compile(r"([0-9]+(?:,[0-9]{3})*(?:\.[0-9]+)?(?:[eE][0-9]+)?|\.[0-9]+)\s*(\S*)")
_TIMES = {"ns": 1.0, "us": 1e3, "µs": 1e3, "μs": 1e3, "ms": 1e6, "s": 1e9, "min": 60e9}  # in ns: then 5s is exact
_SIZES = {"B": 1.0, "kB": 1e3, "MB": 1e6, "GB": 1e9, "KiB": 2.0**10, "MiB": 2.0**20, "GiB": 2.0**30}
_RATES = {"/s": 1.0, "k/s": 1e3, "M/s": 1e6}


def _in(units: Mapping[str, float], one: float) -> dict[str, float]:
    return {unit: scale / one for unit, scale in units.items()}


_UNITS: dict[str, tuple[dict[str, float], str]] = {
    "_us_per_reply": (_in(_TIMES, 1e3), "a time with its unit, such as 20us"),
    "_per_reply": ({"": 1.0}, "a number without a unit"),
    "_per_s": ({"": 1.0} | _RATES, "a rate, such as 20000/s"),
    "_bytes": (_SIZES, "a size with its unit, such as 64MiB"),
    "_ns": (_TIMES, "a time with its unit, such as 5ms"),
    "_s": (_in(_TIMES, 1e9), "a time with its unit, such as 500ms"),
    "_share": ({"": 1.0, "%": 0.01}, "a share, such as 5%"),
    "": ({"": 1.0}, "a number without a unit"),
}
"""By the end of a column's name, the first that fits: how much of the column's unit each unit is, and what is said."""


class Finding(StrEnum):
    """What an interval says of a threshold, worst first."""

    FAILED = "FAILED"
    CANNOT_TELL = "CANNOT-TELL"
    OK = "OK"


@dataclass(frozen=True, slots=True, kw_only=True)
class Threshold:
    """A limit in the unit of its `column`; `text` is what a person wrote: `p99 > 5ms`."""

    column: str
    comparison: str
    limit: float
    text: str

    def finding(self, low: float, high: float) -> Finding:
        """Return what the interval from `low` to `high` says.

        It is FAILED if all of it lies beyond the limit, and OK if none of it does. NaN bounds say nothing.
        """
        if math.isnan(low) or math.isnan(high):
            return Finding.CANNOT_TELL
        is_beyond = _COMPARISONS[self.comparison][0]
        ends = is_beyond(low, self.limit), is_beyond(high, self.limit)
        if all(ends):
            return Finding.FAILED
        return Finding.CANNOT_TELL if any(ends) else Finding.OK

    def relation(self, finding: Finding) -> str:
        """Say how a number with such a finding lies to the limit: `is above`, `is not above`, or `may be above`."""
        words = _COMPARISONS[self.comparison][1]
        verb = {Finding.FAILED: "is", Finding.OK: "is not", Finding.CANNOT_TELL: "may be"}[finding]
        return f"{verb} {words}"


def parse(text: str, columns: Mapping[str, str]) -> Threshold:
    """Read `METRIC COMPARISON VALUE`. `columns` has the column of each name that a metric may be called by.

    Raises WorkloadError for a text of another form, an unknown metric, naming the nearest, and a unit of another kind.
    """
    match = _RULE.fullmatch(text)
    if match is None:
        form = f"METRIC, one of {' '.join(COMPARISONS)}, and VALUE"
        raise WorkloadError(f"threshold {text!r} is not understood: write {form}, as in {EXAMPLE!r}")
    return made(match[1], match[2], match[3], columns)


def made(metric: str, comparison: str, value: str, columns: Mapping[str, str]) -> Threshold:
    """Return the threshold of its three parts. Raise what `parse` raises."""
    if metric not in columns:
        near = difflib.get_close_matches(metric, columns, n=1, cutoff=0.4)
        hint = f"did you mean {near[0]!r}?" if near else f"short names are {', '.join(_short(columns))}"
        raise WorkloadError(f"unknown metric {metric!r}: {hint}")
    if comparison not in _COMPARISONS:
        raise WorkloadError(f"unknown comparison {comparison!r}: write one of {' '.join(COMPARISONS)}")
    column = columns[metric]
    limit = _limit(value, column, metric)
    return Threshold(column=column, comparison=comparison, limit=limit, text=f"{metric} {comparison} {value}")


def _short(columns: Mapping[str, str]) -> list[str]:
    return [name for name, column in columns.items() if name != column] or list(columns)


def _limit(value: str, column: str, metric: str) -> float:
    units, accepted = next(known for end, known in _UNITS.items() if column.endswith(end))
    match = _QUANTITY.fullmatch(value)
    if match is None or match[2] not in units:
        raise WorkloadError(f"{value!r} is no limit of {metric}: write {accepted}")
    limit = float(match[1].replace(",", "")) * units[match[2]]
    if not math.isfinite(limit):
        raise WorkloadError(f"{value!r} is no limit of {metric}: no number passes it")
    return limit
