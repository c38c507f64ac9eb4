"""Results folder of airspeed velocity, for `asv compare` and `asv publish`.

They are machine.json, benchmarks.json and one file of results for the run's commit. Every series in seconds is a
benchmark of its own, without parameters. asv 0.6 cannot see a difference between runs of six trials each, however
large it is, so give it seven or more. Of fewer it holds the 99 % intervals against each other.
"""

from __future__ import annotations

import json
import math
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.analysis.export._provenance import provenance
from bench.analysis.export._series import durations
from bench.errors import UsageError
from bench.stats import geometric_mean_interval

if TYPE_CHECKING:
    from bench.analysis.runs.run_folder import Run

_LEVEL = 0.99
COLUMNS = [
    *("result", "params", "version", "started_at", "duration", "stats_ci_99_a", "stats_ci_99_b"),
    *("stats_q_25", "stats_q_75", "stats_number", "stats_repeat", "samples"),
]


def render(run: Run) -> dict[str, str]:
    """Return three files under `results/`. Raises UsageError for a run outside git: asv knows commits only."""
    origin = provenance(run)
    if origin.commit is None:
        raise UsageError(
            f"{run.path} was not made in a git repository, and asv keeps results by commit: use json or csv"
        )
    found = [(f"{one.cell}/{name}", one) for name, one in durations(run)]
    started_ms = int(datetime.fromisoformat(origin.started_at).timestamp() * 1000)
    python = ".".join(origin.python_version.split(".")[:2])
    environment = f"existing-py{python}"
    results = {
        "version": 2,
        "commit_hash": origin.commit,
        "env_name": environment,
        "date": started_ms,
        "params": {"machine": origin.machine, "python": python, "cpu": origin.cpu, "os": origin.system},
        "python": python,
        "requirements": {},
        "env_vars": {},
        "result_columns": COLUMNS,
        "results": {name: _result(np.array(one.in_seconds()), started_ms) for name, one in found},
        "durations": {},
    }
    machine = {"machine": origin.machine, "version": 1, "cpu": origin.cpu, "os": origin.system}
    benchmarks = {"version": 2, **{name: _description(name) for name, _ in found}}
    files = {
        "benchmarks.json": benchmarks,
        f"{origin.machine}/machine.json": machine,
        f"{origin.machine}/{origin.commit[:8]}-{environment}.json": results,
    }
    return {f"results/{name}": json.dumps(content, indent=1) + "\n" for name, content in files.items()}


def _description(name: str) -> dict[str, Any]:
    return {
        "name": name,
        "code": "",
        "param_names": [],
        "params": [],
        "type": "time",
        "unit": "seconds",
        "version": "1",
        "timeout": 60.0,
    }


def _result(seconds: np.ndarray[Any, np.dtype[np.float64]], started_ms: int) -> list[Any]:
    """Return one row of COLUMNS. The interval of a single trial is null, which asv does not ask for then."""
    interval = geometric_mean_interval([float(value) for value in seconds], _LEVEL)
    q25, median, q75 = (float(value) for value in np.quantile(seconds, [0.25, 0.5, 0.75]))
    samples = [float(value) for value in seconds]
    ends = ([end] if math.isfinite(end) else None for end in (interval.low, interval.high))
    spread = [*ends, [q25], [q75]]
    return [[median], [], "1", started_ms, float(seconds.sum()), *spread, [1], [len(samples)], [samples]]
