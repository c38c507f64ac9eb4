"""github-action-benchmark, custom tools: one file per direction, because the tool knows one direction per file.

Schema: an array of {name, unit, value, range, extra} (src/extract.ts). It compares one number with that of the last
commit, measured on another day: use it for a chart, not as a gate.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from bench.analysis.export.series import Series, series

if TYPE_CHECKING:
    from bench.analysis.frame import Run


def render(run: Run) -> dict[str, str]:
    """Return the two files; a direction without any series has no file, since the tool refuses an empty one."""
    found = series(run)
    files = {
        f"github-action-benchmark-{word}.json": [
            _entry(one) for one in found if one.metric.larger_is_better == larger_is_better
        ]
        for word, larger_is_better in (("bigger", True), ("smaller", False))
    }
    return {name: json.dumps(entries, indent=2) + "\n" for name, entries in files.items() if entries}


def _entry(one: Series) -> dict[str, Any]:
    estimate = one.estimate
    entry = {
        "name": f"{one.cell} {one.metric.column}",
        "unit": one.metric.unit,
        "value": estimate.value,
        "extra": one.remark,
    }
    return {**entry, "range": f"\u00b1 {estimate.high - estimate.value:g}"} if estimate.bounded else entry
