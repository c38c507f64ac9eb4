"""JUnit XML: a test case per trial, failed where it could not be measured, and one per threshold and cell.

A trial that could not be run is skipped, and so is a threshold that cannot be told.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from bench.analysis.estimates.thresholds import judge
from bench.experiment.model import Status
from bench.junit import JUnitCase, document
from clients.thresholds import Finding

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from bench.analysis.estimates.thresholds import Judged
    from bench.analysis.runs.run_folder import Run

OUTCOMES: Mapping[Finding, Literal["passed", "failure", "skipped"]] = {
    Finding.FAILED: "failure",
    Finding.CANNOT_TELL: "skipped",
    Finding.OK: "passed",
}


def render(run: Run) -> dict[str, str]:
    """Return one file."""
    suites = {f"echobench {run.id}": [_case(row) for row in run.trials.to_dict("records")]}
    if judged := judge(run):
        suites["echobench thresholds"] = [_threshold(one) for one in judged]
    return {"junit.xml": document(suites)}


def _threshold(judged: Judged) -> JUnitCase:
    return JUnitCase(
        name=f"{judged.workload} {judged.table.rule.text}",
        classname=f"echobench.{judged.server}",
        seconds=0.0,
        outcome=OUTCOMES[judged.finding],
        kind=judged.finding,
        message=judged.reason,
    )


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
