"""JUnit XML of a run: a test case per trial, failed if it could not be measured, skipped if it could not be run.

Only what the strictest common schema knows is written (junit-10.xsd): no properties within a case, no error element.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xml.etree import ElementTree as ET

from bench.experiment.model import Status

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from bench.analysis.frame import Run


def render(run: Run) -> dict[str, str]:
    """Return one file."""
    trials = run.trials.to_dict("records")
    suite = ET.Element("testsuite", name=f"echobench {run.id}", errors="0", tests=str(len(trials)))
    suite.extend(_case(trial) for trial in trials)
    suite.set("failures", str(len(suite.findall("testcase/failure"))))
    suite.set("skipped", str(len(suite.findall("testcase/skipped"))))
    suite.set("time", f"{sum(float(case.attrib['time']) for case in suite):.3f}")
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return {"junit.xml": ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"}


def _case(trial: Mapping[Hashable, Any]) -> ET.Element:
    measured = trial["status"] == Status.MEASURED
    case = ET.Element(
        "testcase",
        classname=f"echobench.{trial['server']}",
        name=f"{trial['workload']} trial {trial['trial']}",
        time=f"{trial['window_s'] if measured else 0:.3f}",
    )
    if trial["status"] == Status.SKIPPED:
        ET.SubElement(case, "skipped", type=trial["status"], message=trial["status_detail"])
    elif not measured:
        ET.SubElement(case, "failure", type=trial["status"], message=trial["status_detail"])
    return case
