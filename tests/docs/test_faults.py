"""The faulty servers of the tutorial: each has the fault of its chapter, and one conformance case finds it."""

from __future__ import annotations

import re

import pytest
from helpers.checkout import CHECKOUT

from bench.experiment.conformance import CASES, Group, Outcome, cases_of, check
from bench.experiment.planning.catalog import catalog

EXAMPLES = CHECKOUT / "docs" / "examples"
CROWD = CASES["crowd-10000"].scaled(connections=1100, count=1100)  # select gives up at descriptor 1024
FAULTS = {
    "faults/reset_kills.py": ("reset", r"server has ended with status 1.*ConnectionResetError"),
    "faults/full_buffer.py": ("partial-sends", r"server has ended with status 1.*sendall.*BlockingIOError"),
    "loop/step01_generators.py": ("crowd-10000", r"connection 10\d\d of 1100.*out of range in select\(\)"),
}


def results(name, cases):
    return {result.case: result for result in check(catalog().file(EXAMPLES / name), cases, patience_s=2)}


@pytest.mark.parametrize("name", FAULTS)
def test_a_faulty_server_is_found_by_the_case_the_tutorial_names(name):
    case, reason = FAULTS[name]
    found = results(name, [CROWD if case == CROWD.name else CASES[case]])[case]
    assert found.outcome is Outcome.FAILED
    assert re.search(reason, found.detail, re.DOTALL), found.detail


def test_each_fault_is_mended_by_the_next_server():
    """Each of the three passes the cases that the ones before it fail."""
    mended = [case for case, _ in FAULTS.values()]
    for number, name in enumerate(FAULTS):
        passed = results(name, [CASES[case] for case in mended[:number]])
        assert {result.outcome for result in passed.values()} == {Outcome.PASSED}


def test_the_spinning_server_is_correct_and_works_while_it_waits():
    server = catalog().file(EXAMPLES / "spin.py")
    spin = CASES["descriptors"].scaled(seconds=0.2)
    *correct, found = check(server, [*cases_of(Group.BASIC), spin])
    assert {result.outcome for result in correct} == {Outcome.PASSED}
    assert found.outcome is Outcome.FAILED
    assert "it spins" in found.detail
