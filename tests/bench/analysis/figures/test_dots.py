"""Which trials are drawn as dots where a run has very many."""

import math

import pytest

from bench.analysis.estimates.cells import Cell
from bench.analysis.figures import dots
from bench.stats import Estimate


def cell(values):
    return Cell(
        server="threads",
        workload="c1",
        x=1.0,
        estimate=Estimate(1.0, math.nan, math.nan, 0.95),
        values=tuple(values),
        trials=len(values),
        measured=len(values),
        solo=0,
        lower_bound=False,
        statuses=(),
    )


def test_few_trials_are_all_drawn_in_their_order():
    few = [cell([3.0, 1.0, 2.0])]
    assert dots.thinned(few) == tuple(few)
    assert dots.notes(few) == ()


@pytest.mark.parametrize(("cells", "drawn"), [(1, 2000), (100, 20), (1000, 12)])
def test_of_many_trials_the_lowest_and_the_highest_stay(cells, drawn):
    values = [float(value) for value in range(5000)]
    peak = [*values[::-1], 1e9]
    found = dots.thinned([cell(peak)] * cells)[0]
    assert len(found.values) == drawn
    assert (min(found.values), max(found.values)) == (0.0, 1e9)
    assert found.values[drawn // 2] == pytest.approx(2500, abs=300)
    assert found.measured == 5001


def test_the_figure_says_how_many_dots_are_drawn():
    (said,) = dots.notes([cell([1.0] * 25)] * 100)
    assert said.startswith("Where there are more than 20 dots, 20 are drawn")
