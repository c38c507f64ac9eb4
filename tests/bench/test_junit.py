"""JUnit XML, as everything here writes it, is what the strictest common schema allows."""

from __future__ import annotations

import pytest
from helpers.junit import junit_fault
from hypothesis import given
from hypothesis import strategies as st

from bench.junit import JUnitCase, document

CASES = st.builds(
    JUnitCase,
    name=st.text(),
    classname=st.text(),
    seconds=st.floats(0, 1e7),
    outcome=st.sampled_from(["passed", "failure", "skipped"]),
    kind=st.text(),
    message=st.text(),
    output=st.text(),
)


@pytest.mark.usefixtures("coverage_paused")
@given(suites=st.dictionaries(st.text(), st.lists(CASES, max_size=3), max_size=3))
def test_whatever_is_reported_is_valid(suites):
    assert junit_fault(document(suites)) == ""


@pytest.mark.parametrize(
    ("wrong", "instead_of"),
    [('time="1.2345"', 'time="1.234"'), ("", 'errors="0"'), ("<error /><properties />", "<failure")],
)
def test_the_schema_refuses_what_is_wrong(wrong, instead_of):
    case = JUnitCase(name="a", classname="b", seconds=1.234, outcome="failure")
    text = document({"suite": [case]})
    assert instead_of in text
    changed = text.replace(instead_of, wrong + instead_of * (instead_of == "<failure"), 1)
    assert junit_fault(changed) != ""
