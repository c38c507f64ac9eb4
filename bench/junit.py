"""JUnit XML, written once for all who report to a CI service. Knows nothing of servers, trials or verdicts.

Only what the strictest common schema allows is written (Jenkins' junit-10.xsd; a test validates by it): `failure` and
`skipped`, no `error`, no properties within a case, and times of three decimals.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal
from xml.etree import ElementTree as ET

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(frozen=True, slots=True, kw_only=True)
class JUnitCase:
    """One test case. `kind` is one word for why it failed or was skipped, `message` a sentence; `output` is shown."""

    name: str
    classname: str
    seconds: float
    outcome: Literal["passed", "failure", "skipped"] = "passed"
    kind: str = ""
    message: str = ""
    output: str = ""


def document(suites: Mapping[str, Sequence[JUnitCase]]) -> str:
    """Return the document of the suites by their names."""
    root = ET.Element("testsuites")
    for name, cases in suites.items():
        counts = {word: str(sum(case.outcome == word for case in cases)) for word in ("failure", "skipped")}
        suite = ET.SubElement(
            root,
            "testsuite",
            name=_clean(name),
            tests=str(len(cases)),
            failures=counts["failure"],
            errors="0",
            skipped=counts["skipped"],
            time=_time(sum(case.seconds for case in cases)),
        )
        for case in cases:
            _add(suite, case)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _add(suite: ET.Element, case: JUnitCase) -> None:
    names = {"name": _clean(case.name), "classname": _clean(case.classname)}
    element = ET.SubElement(suite, "testcase", names, time=_time(case.seconds))
    if case.outcome != "passed":
        ET.SubElement(element, case.outcome, type=_clean(case.kind), message=_clean(case.message))
    if case.output:
        ET.SubElement(element, "system-out").text = _clean(case.output)


def _time(seconds: float) -> str:
    """Write seconds with the three decimals that the schema allows."""
    return f"{seconds:.3f}"


def _clean(text: str) -> str:
    """Replace what XML cannot hold; a server's log may contain anything."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
