"""A verdict as JUnit XML, for the test tab of a CI service: one case for each cell. Nothing is decided here.

A cell that regressed, and one that was not measured, is a failure whose type is its word. An open cell is skipped, with
the reason as the message.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bench.junit import JUnitCase, document
from bench.verdict.words import Word

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.verdict.values import CellVerdict, Comparison

OUTCOMES: Mapping[Word, Literal["passed", "failure", "skipped"]] = {
    Word.REGRESSED: "failure",
    Word.INVALID: "failure",
    Word.NO_BASELINE: "failure",
    Word.INCONCLUSIVE: "skipped",
    Word.IMPROVED: "passed",
    Word.OK: "passed",
}


def render(comparison: Comparison, seconds: float) -> str:
    """Return the document; `seconds` is the time that all cells took together."""
    each_s = seconds / max(1, len(comparison.cells))
    return document({"echobench regress": [_case(cell, comparison.host_problem, each_s) for cell in comparison.cells]})


def _case(cell: CellVerdict, host_problem: str, seconds: float) -> JUnitCase:
    word = Word.INVALID if host_problem else cell.word
    return JUnitCase(
        name=cell.cell,
        classname="echobench.regress",
        seconds=seconds,
        outcome=OUTCOMES[word],
        kind=word,
        message=host_problem or cell.noted(cell.reason),
    )
