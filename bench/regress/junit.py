"""A verdict as JUnit XML, for the test tab of a CI service: one case per cell. Shows; decides nothing.

Only what the strictest common schema (junit-10.xsd) knows is used: a red cell is a failure whose type is its word, an
open one is skipped, with the reason as the message.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

from bench.analysis.verdict import CellVerdict, Comparison, Word

_FAILURES = {Word.REGRESSED, Word.INVALID}
_SKIPPED = {Word.INCONCLUSIVE, Word.NO_BASELINE}
_NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def render(comparison: Comparison, seconds: float) -> str:
    """Return the document; `seconds` is the time that all cells took together."""
    cells, invalid_host = comparison.cells, bool(comparison.host_problem)
    words = [Word.INVALID if invalid_host else cell.word for cell in cells]
    suite = ET.Element(
        "testsuite",
        name="echobench regress",
        tests=str(len(cells)),
        failures=str(sum(word in _FAILURES for word in words)),
        errors="0",
        skipped=str(sum(word in _SKIPPED for word in words)),
        time=f"{seconds:.3f}",
    )
    for cell, word in zip(cells, words, strict=True):
        suite.append(_case(cell, word, comparison.host_problem, seconds / len(cells)))
    root = ET.Element("testsuites")
    root.append(suite)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _case(cell: CellVerdict, word: Word, host_problem: str, seconds: float) -> ET.Element:
    case = ET.Element("testcase", name=clean(cell.cell), classname="echobench.regress", time=f"{seconds:.3f}")
    message = clean(host_problem or cell.reason)
    if word in _FAILURES:
        ET.SubElement(case, "failure", type=word, message=message)
    elif word in _SKIPPED:
        ET.SubElement(case, "skipped", type=word, message=message)
    return case


def clean(text: str) -> str:
    """Replace what XML cannot hold; a server's log may contain anything."""
    return _NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text)
