"""github-action-benchmark, custom tools: one file per direction, because the tool knows one direction per file.

Schema: an array of {name, unit, value, range, extra} (src/extract.ts). It compares one number with that of the last
commit, measured on another day: use it for a chart, not as a gate.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

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
    """Leave out the file of a direction without any figure, since the tool refuses an empty one."""
    files = {
        f"github-action-benchmark-{word}.json": [
            _entry(one) for one in found if one.metric.larger_is_better == larger_is_better
        ]
        for word, larger_is_better in (("bigger", True), ("smaller", False))
    }
    return {name: json.dumps(entries, indent=2) + "\n" for name, entries in files.items() if entries}


def _entry(one: Figure) -> dict[str, Any]:
    """Return one entry. The tool reads one number as the range: the larger side, where the interval is uneven."""
    name, estimate = f"{one.cell} {one.metric.column}", one.estimate
    entry = {
        "name": f"{name} / {one.against}" if one.against else name,
        "unit": "ratio" if one.against else one.metric.unit,
        "value": estimate.value,
        "extra": f"{one.remark}; {_interval(one)}" if one.against and estimate.bounded else one.remark,
    }
    if not estimate.bounded:
        return entry
    return {**entry, "range": f"\u00b1 {max(estimate.high - estimate.value, estimate.value - estimate.low):g}"}


def _interval(one: Figure) -> str:
    estimate = one.estimate
    return f"{100 * estimate.level:g} % interval {estimate.low:.4f} to {estimate.high:.4f}"
