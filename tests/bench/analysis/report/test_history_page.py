"""The page of a history: its verdict, the figure of each cell, the values, and what was left out."""

from __future__ import annotations

import math
import re

import pytest
from helpers.histories import cell, history, night

from bench.analysis.comparing.two_runs import Impression
from bench.analysis.figures import trend
from bench.analysis.report.history import render, title
from bench.errors import ExitCode
from bench.units import ratio

SLOWER = cell([1.0] * 6 + [1.3] * 6, changes=(6,))
LEVEL = cell([1.0] * 12, server="asyncio-protocol")


def test_the_title_says_what_became_worse_since_when_and_by_how_much():
    assert title(history(LEVEL, SLOWER, code=ExitCode.REGRESSED)) == (
        "threads c16 became worse: server CPU per reply as a ratio to coroutines +30.0 % [+28.7 %, +31.3 %]"
        " since 2026-11-07, commit 060606060"
    )


def test_a_run_without_date_and_commit_is_named_in_the_title():
    slower = cell([1.0] * 6 + [1.3] * 6, changes=(6,), commits=False)
    assert title(history(slower, code=ExitCode.REGRESSED)).endswith(f"since run {night(6)}")


def test_other_cells_that_became_worse_stand_below_the_title():
    other = cell([2.0] * 5 + [3.0] * 7, changes=(5,), server="trio")
    page = render(history(SLOWER, other, code=ExitCode.REGRESSED))
    (line,) = re.findall(r"<li>(.*)</li>", page)
    assert "trio c16 became worse" in line
    assert "2026-11-06" in line


@pytest.mark.parametrize(
    ("cells", "code", "said"),
    [
        ([LEVEL], ExitCode.FINE, "No newest level is worse, in 12 runs from 2026-11-01 to 2026-11-12"),
        (
            [LEVEL, cell([1.0] * 12, impression=Impression.CANNOT_TELL)],
            ExitCode.INCONCLUSIVE,
            "No ratio is seen to be worse, but of 2 series, 1 cannot be told",
        ),
        (
            [LEVEL, cell([1.0] * 6 + [1.3] * 6, changes=(6,), server="coroutines", against="")],
            ExitCode.INCONCLUSIVE,
            "No ratio is seen to be worse, but of 2 series, 1 may be worse, though not as a ratio",
        ),
        (
            [LEVEL, cell([1.0] * 5, impression=Impression.MISSING)],  # the newest run lacks it: it does not count
            ExitCode.FINE,
            "No newest level is worse, in 12 runs from 2026-11-01 to 2026-11-12",
        ),
        (
            [cell([1.0] * 2, breaks=(1,), impression=Impression.MISSING)],
            ExitCode.NO_BASELINE,
            "No ratio is seen to be worse, but of 1 series, 1 cannot be joined with an earlier run",
        ),
    ],
)
def test_the_title_says_that_nothing_became_worse_or_what_is_not_known(cells, code, said):
    assert title(history(*cells, code=code)) == said


def test_every_run_has_its_value_and_what_was_left_out():
    broken = cell([1.0] * 12, breaks=(3,), server="trio")
    also = cell([1.0] * 12, breaks=(3,), server="curio")
    page = render(history(SLOWER, broken, also, left_out=["torn/run.json is not JSON <"], code=ExitCode.REGRESSED))
    rows = re.findall(r"<tr><td class=\"n\">(\d+)</td>", page)
    assert len(rows) == 36
    assert "1.30 [1.27, 1.33]" in page
    assert "+30.0 % from here on" in page
    assert page.count("libraries.trio is") == 1
    assert "torn/run.json is not JSON &lt;" in page
    assert "<script" not in page
    assert not re.findall(r"(?:src|href)=|url\(", page)


def test_the_newest_level_is_marked_only_where_it_is_worse():
    page = render(history(SLOWER, LEVEL, code=ExitCode.REGRESSED))
    assert page.count('class="level worse"') == 1
    assert page.count('class="level"') == 2
    assert page.count("newest level +30.0 % [+28.7 %, +31.3 %]") == 1


def test_points_levels_and_changes_are_where_they_belong():
    drawn = trend.trend(SLOWER, ratio, is_worse=True)
    xs = [point["x"] for point in drawn["points"]]
    assert xs == sorted(xs)
    assert xs[5] < drawn["changes"][0] < xs[6]
    low, high = drawn["levels"]
    assert (low["y"], high["y"]) == (drawn["points"][0]["y"], drawn["points"][-1]["y"])
    assert high["y"] < low["y"]  # more is higher
    assert [number for number, _ in drawn["labels"]] == [0, 6, 11]
    assert not drawn["is_cut"]


@pytest.mark.parametrize("width", [0.9, math.nan])
def test_wide_and_missing_intervals_leave_the_scale_to_the_values(width):
    drawn = trend.trend(cell([1.0, 1.02, 0.98], width=width), ratio, is_worse=False)
    ys = [point["y"] for point in drawn["points"]]
    assert max(ys) - min(ys) > trend.BODY / 6
    assert all(trend.TOP <= y <= trend.TOP + trend.BODY for y in ys)
    assert drawn["is_cut"] is not math.isnan(width)


def test_a_single_run_is_drawn_in_the_middle():
    (point,) = trend.trend(cell([1.0]), ratio, is_worse=False)["points"]
    assert trend.LEFT < point["x"] < trend.WIDTH
