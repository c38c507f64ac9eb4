"""A comparison as JUnit, as those tools read it that colour a build."""

from __future__ import annotations

import junitparser
from helpers.junit import junit_fault

from bench.regress import junit
from bench.verdict.values import CellVerdict, Comparison
from bench.verdict.words import Word


def test_junit_is_read_and_counts():
    cells = tuple(CellVerdict(cell=f"{word}/c16", word=word, reason=f"because <{word}> \x1b[31m") for word in Word)
    text = junit.render(Comparison(cells=cells, looks=(10,), alpha=0.01), 12.3456)
    assert junit_fault(text) == ""
    (suite,) = junitparser.JUnitXml.fromstring(text.encode())
    assert (suite.tests, suite.failures, suite.skipped, suite.errors) == (6, 3, 1, 0)
    results = {case.name: case.result for case in suite}
    assert results["REGRESSED/c16"][0].type == "REGRESSED"
    assert "because <INVALID>" in results["INVALID/c16"][0].message
    assert results["OK/c16"] == []


def test_junit_of_an_invalid_host_has_no_green_case():
    cells = (CellVerdict(cell="a", word=Word.OK, reason="fine"),)
    text = junit.render(Comparison(cells=cells, looks=(10,), alpha=0.01, host_problem="steal 40 %"), 1.0)
    assert junit_fault(text) == ""
    (suite,) = junitparser.JUnitXml.fromstring(text.encode())
    assert suite.failures == 1
