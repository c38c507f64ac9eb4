"""The small programs of the tutorial: each prints what the tutorial shows, and the two trees count alike."""

from __future__ import annotations

import runpy

import pytest
from helpers.checkout import CHECKOUT

EXAMPLES = CHECKOUT / "docs" / "examples"
MEASURE = {"stall"}  # what they print is a figure of the tutorial
SHOWN = sorted((EXAMPLES / "output").glob("*.txt"))


def printed_by(name, capsys):
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    return capsys.readouterr().out


@pytest.mark.parametrize("shown", SHOWN, ids=lambda path: path.stem)
def test_a_program_prints_what_the_tutorial_shows(shown, capsys):
    assert printed_by(shown.stem, capsys) == shown.read_text()


def test_every_program_that_prints_has_its_output_shown():
    programs = {path.stem for path in EXAMPLES.glob("*.py") if "print(" in path.read_text()}
    assert programs - MEASURE == {path.stem for path in SHOWN}


def test_both_sides_print_and_take_turns(capsys):
    sides = [line.strip().partition(":")[0] for line in printed_by("resumed", capsys).splitlines()]
    assert sides == ["caller", "generator", "caller", "generator", "caller", "generator", "caller"]


def test_one_generator_and_nested_ones_yield_the_same(capsys):
    wanted = [number**power for power in (2, 3) for number in range(1, 6)]
    assert [int(word) for word in printed_by("squares", capsys).split()] == wanted
    assert printed_by("squares_nested", capsys) == printed_by("squares", capsys)


def test_return_values_reach_the_caller(capsys):
    sums = tuple(sum(number**power for number in range(1, 6)) for power in (2, 3))
    assert printed_by("squares_returned", capsys).endswith(f"{sums}\n")


@pytest.mark.parametrize("name", ["binary", "abinary"])
def test_a_tree_of_depth_five_has_63_nodes(name, capsys):
    assert int(printed_by(name, capsys)) == 2**6 - 1
