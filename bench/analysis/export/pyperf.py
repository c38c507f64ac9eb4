"""For `pyperf compare_to`, in seconds.

It is pyperf JSON, format 1.0: one run per trial, with one value. pyperf cannot compare files with unequal numbers of
trials: it then calls any difference significant. So give both runs the same `--trials`.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from bench.analysis.export._series import Series, durations

if TYPE_CHECKING:
    from bench.analysis.runs.run_folder import Run


def render(run: Run) -> dict[str, str]:
    """Return one file with a benchmark per cell and duration."""
    suite = {
        "version": "1.0",
        "metadata": {"unit": "second", "description": f"echobench run {run.id}"},
        "benchmarks": [_benchmark(f"{one.cell}/{name}", one) for name, one in durations(run)],
    }
    return {"pyperf.json": json.dumps(suite, indent=1) + "\n"}


def _benchmark(name: str, one: Series) -> dict[str, Any]:
    return {
        "metadata": {"name": name, "loops": 1},
        "runs": [
            {"metadata": {"date": _date(started_at)}, "values": [value]}
            for started_at, value in zip(one.started_at, one.in_seconds(), strict=True)
        ],
    }


def _date(started_at: str) -> str:
    """Return the time as pyperf parses it: with microseconds, without a zone."""
    return datetime.fromisoformat(started_at).strftime("%Y-%m-%d %H:%M:%S.%f")
