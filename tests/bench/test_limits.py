"""The limits stand in one file, each with a judge and a reason, and no judge keeps one of its own."""

from __future__ import annotations

import ast
import math

import pytest
from helpers.checkout import CHECKOUT

from bench import limits
from bench.limits import Limit

ROWS = {name: row for name, row in vars(limits).items() if isinstance(row, Limit)}
JUDGES = ("bench/experiment/trial/examine.py", "bench/regress/validity.py", "bench/experiment/host/diagnosis.py")
COLUMNS = ("doctor_warns", "doctor_bad", "trial", "regress")


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS.keys())
def test_every_question_has_a_judge_and_a_reason(row):
    assert any(not math.isnan(getattr(row, column)) for column in COLUMNS)
    assert row.question
    assert row.why.endswith(".")


def test_a_judge_that_does_not_ask_refuses_nothing():
    assert not any(seen > limits.NOT_ASKED or seen < limits.NOT_ASKED for seen in (0.0, 1.0, math.inf))


def numbers_kept(source):
    """Return the names at the top of a file that are given a number, or several."""
    return [
        ast.unparse(node.targets[0])
        for node in ast.parse(source).body
        if isinstance(node, ast.Assign)
        and any(isinstance(part, ast.Constant) and isinstance(part.value, int | float) for part in ast.walk(node.value))
    ]


def test_a_judge_keeps_no_limit_of_its_own():
    kept = {name for path in JUDGES for name in numbers_kept((CHECKOUT / path).read_text())}
    assert kept == {"STEADY_LEVEL"}, "the level of a statistic is no limit; everything else belongs in bench/limits.py"


def test_the_checker_sees_a_limit():
    assert numbers_kept("A = 0.05\nB, C = 1, 2\nD = 'x'\nE: float = 3.0") == ["A", "(B, C)"]


def test_every_limit_is_read_by_the_judge_of_its_column():
    source = {path: (CHECKOUT / path).read_text() for path in JUDGES}
    columns = {"trial": JUDGES[0], "regress": JUDGES[1], "doctor_warns": JUDGES[2], "doctor_bad": JUDGES[2]}
    unread = [
        f"{name}.{column}"
        for name, row in ROWS.items()
        for column, judge in columns.items()
        if not math.isnan(getattr(row, column)) and f"limits.{name}" not in source[judge]
    ]
    assert unread == []
