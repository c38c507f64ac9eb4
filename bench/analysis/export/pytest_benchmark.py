"""For `pytest-benchmark compare`, in seconds.

Readers of its JSON, such as github-action-benchmark and Bencher, read it too. A trial stands for a round, so
`stats.data` has one value per trial, and `ops` of a `time_per_reply` is replies/s.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.analysis.export._provenance import provenance
from bench.analysis.export._series import Series, durations

if TYPE_CHECKING:
    from bench.analysis.runs.run_folder import Run


def render(run: Run) -> dict[str, str]:
    """Return one file with a benchmark per cell and duration, grouped by duration."""
    origin = provenance(run)
    whole = {
        "machine_info": {
            "node": origin.machine,
            "processor": origin.cpu,
            "machine": origin.cpu,
            "python_implementation": origin.python_implementation,
            "python_version": origin.python_version,
            "system": origin.system,
            "release": origin.kernel,
            "cpu": {"brand_raw": origin.cpu, "count": origin.cpus},
        },
        "commit_info": {"id": origin.commit, "dirty": origin.dirty, "time": origin.started_at, "branch": None},
        "benchmarks": [_benchmark(name, one) for name, one in durations(run)],
        "datetime": origin.started_at,
        "version": "5.1.0",
    }
    return {"pytest-benchmark.json": json.dumps(whole, indent=1) + "\n"}


def _benchmark(name: str, one: Series) -> dict[str, Any]:
    return {
        "group": name,
        "name": f"{one.cell}/{name}",
        "fullname": f"echobench/{one.cell}/{name}",
        "params": None,
        "param": None,
        "extra_info": {
            "server": one.server,
            "workload": one.workload,
            "connections": one.connections,
            "message_bytes": one.message_bytes,
            "remark": one.remark,
        },
        "options": {"disable_gc": False, "timer": "monotonic", "min_rounds": len(one.values), "warmup": True},
        "stats": _stats(np.array(one.in_seconds())),
    }


def _stats(seconds: np.ndarray[Any, np.dtype[np.float64]]) -> dict[str, Any]:
    """Return every statistic the format names; that of one trial's spread is 0, as the tool itself writes it."""
    q1, median, q3 = (float(value) for value in np.quantile(seconds, [0.25, 0.5, 0.75]))
    mean, iqr = float(seconds.mean()), q3 - q1
    sd = float(seconds.std(ddof=1)) if seconds.size > 1 else 0.0
    low, high = q1 - 1.5 * iqr, q3 + 1.5 * iqr
    inside = seconds[(seconds >= low) & (seconds <= high)]
    beyond_sd, beyond_iqr = int((abs(seconds - mean) > sd).sum()), seconds.size - inside.size
    return {
        "min": float(seconds.min()),
        "max": float(seconds.max()),
        "mean": mean,
        "stddev": sd,
        "rounds": int(seconds.size),
        "median": median,
        "iqr": iqr,
        "q1": q1,
        "q3": q3,
        "iqr_outliers": beyond_iqr,
        "stddev_outliers": beyond_sd,
        "outliers": f"{beyond_sd};{beyond_iqr}",
        "ld15iqr": float(inside.min()),
        "hd15iqr": float(inside.max()),
        "ops": 1 / mean,
        "total": float(seconds.sum()),
        "data": [float(value) for value in seconds],
        "iterations": 1,
    }
