"""JUnit XML: a test case per trial, failed where it could not be measured.

A trial that could not be run is skipped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bench.experiment.model import Status
from bench.junit import JUnitCase, document

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from bench.analysis.runs.run_folder import Run


def render(run: Run) -> dict[str, str]:
    """Return one file."""
    return {"junit.xml": document({f"echobench {run.id}": [_case(row) for row in run.trials.to_dict("records")]})}


def _case(trial: Mapping[Hashable, Any]) -> JUnitCase:
    name, classname = f"{trial['workload']} trial {trial['trial']}", f"echobench.{trial['server']}"
    if trial["status"] == Status.MEASURED:
        return JUnitCase(name=name, classname=classname, seconds=trial["window_s"])
    return JUnitCase(
        name=name,
        classname=classname,
        seconds=0.0,
        outcome="skipped" if trial["status"] == Status.SKIPPED else "failure",
        kind=trial["status"],
        message=trial["status_detail"],
    )
