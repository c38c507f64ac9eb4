"""Two files: for its tools customBiggerIsBetter and customSmallerIsBetter.

The tool knows one direction per file. Schema: an array of {name, unit, value, range, extra} (src/extract.ts). It
compares one number with that of the last commit, measured on another day: use it for a chart, not as a gate.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bench import units

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.analysis.export._values import ChartValue


def render_values(found: Sequence[ChartValue]) -> dict[str, str]:
    """Return a file per direction; one without any value is left out, since the tool refuses an empty file."""
    files = {
        f"github-action-benchmark-{word}.json": [
            _entry(one) for one in found if one.metric.larger_is_better == larger_is_better
        ]
        for word, larger_is_better in (("bigger", True), ("smaller", False))
    }
    return {name: json.dumps(entries, indent=2) + "\n" for name, entries in files.items() if entries}


def _entry(one: ChartValue) -> dict[str, Any]:
    """Return one entry. The tool reads one number as the range: the larger side, where the interval is uneven."""
    name, estimate = f"{one.cell} {one.metric.column}", one.estimate
    entry = {
        "name": f"{name} / {one.against}" if one.against else name,
        "unit": "ratio" if one.against else one.exported.unit,
        "value": estimate.value,
        "extra": f"{one.remark}; {_interval(one)}" if one.against and estimate.bounded else one.remark,
    }
    if not estimate.bounded:
        return entry
    return {**entry, "range": f"\u00b1 {max(estimate.high - estimate.value, estimate.value - estimate.low):g}"}


def _interval(one: ChartValue) -> str:
    return f"{units.share(one.estimate.level)} interval {units.bounds(one.estimate, '{:.4f}'.format)}"
