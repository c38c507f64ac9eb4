"""The history of several stored runs: where the level changed, and where it cannot be followed."""

from __future__ import annotations

import json

import numpy as np
import pytest
from helpers.run_folders import Builder, saturated
from helpers.tracing import paused

from bench.analysis.comparing.levels import change_points, held_against, look
from bench.analysis.comparing.many_runs import history
from bench.analysis.comparing.two_runs import LOWER_BOUND, Impression
from bench.analysis.runs.run_folder import load
from bench.errors import UsageError
from bench.metrics import CPU, THROUGHPUT
from bench.verdict.rules import rule_of


@pytest.mark.parametrize("n", [8, 20, 60])
@paused()
def test_a_series_without_change_rarely_shows_one(n):
    draw = np.random.default_rng(3)
    shown = sum(bool(change_points(draw.normal(size=n))) for _ in range(300))
    print(f"{n} equal runs: {shown} of 300 series with a change point")
    assert shown <= 9


def test_a_step_is_found_where_it_is():
    draw = np.random.default_rng(4)
    values = draw.normal(0, 0.02, size=30) + 0.1 * (np.arange(30) >= 18)
    ((at, p),) = change_points(values)
    assert at == 18
    assert p <= 0.001


def test_two_steps_are_found_in_order():
    draw = np.random.default_rng(5)
    values = draw.normal(0, 0.01, size=60) + 0.1 * (np.arange(60) >= 20) + 0.1 * (np.arange(60) >= 40)
    assert [at for at, _ in change_points(values)] == [20, 40]


def test_too_few_runs_show_nothing():
    assert change_points(np.array([1.0, 1.0, 1.0, 9.0, 9.0, 9.0, 9.0])) == []


def test_a_history_names_the_run_from_which_it_is_slower(stored):
    runs = [load(stored(f"{n:02}", seed=n, slower=0.2 if n >= 8 else 0.0, rounds=4)) for n in range(14)]
    cell = next(cell for cell in history(runs) if cell.metric == "server_cpu_us_per_reply")
    (change,) = cell.changes
    assert change.run == "08"
    assert change.ratio == pytest.approx(1.2, abs=0.03)
    assert cell.step.since == "08"
    assert cell.step.ratio.low < 1.2 < cell.step.ratio.high
    assert [(level.first, level.last) for level in cell.levels] == [("00", "07"), ("08", "13")]
    assert len(cell.points) == 14
    as_json = json.loads(json.dumps(cell.to_json(), allow_nan=False))
    assert (as_json["changes"][0]["run"], as_json["look"]) == ("08", "LOOKS-SLOWER")


@pytest.mark.parametrize("metric", [CPU, THROUGHPUT])
@pytest.mark.parametrize(
    ("slower", "impression"),
    [
        ([0.0] * 10, Impression.LOOKS_ALIKE),
        # Two levels: back to the old one, or still above it.
        ([0.0] * 9 + [0.5] * 9 + [0.0] * 9, Impression.LOOKS_ALIKE),
        ([0.0] * 9 + [0.5] * 9 + [0.2] * 9, Impression.LOOKS_SLOWER),
        ([0.0] * 6 + [0.77] * 6, Impression.LOOKS_SLOWER),
        ([0.5] * 9 + [0.0] * 9, Impression.LOOKS_FASTER),
        # One run, or two, are no level yet. They are no reason to be green either.
        ([0.0] * 11 + [0.77], Impression.CANNOT_TELL),
        ([0.0] * 10 + [0.77] * 2, Impression.CANNOT_TELL),
        ([0.0] * 7, Impression.CANNOT_TELL),
        ([0.0], Impression.MISSING),
    ],
)
def test_an_impression_is_of_the_newest_level(metric, slower, impression):
    worse = np.log1p(slower) + np.random.default_rng(1).normal(0, 0.005, size=len(slower))
    values = -worse if metric.larger_is_better else worse
    assert look(values, [at for at, _ in change_points(values)], rule_of(metric)) is impression


@pytest.mark.parametrize(
    ("levels", "held"),
    [([0.0, 0.5], 0), ([0.2, 0.0, 0.5], 1), ([0.0, 0.5, 0.2], 0), ([0.3, 0.0, 0.5, 0.2], 1), ([0.5, 0.2, 0.0], 1)],
)
@pytest.mark.parametrize("metric", [CPU, THROUGHPUT])
def test_a_level_is_held_against_the_one_it_is_worse_than(metric, levels, held):
    """It may have come down from the one before it, and still be worse than the best."""
    sign = -1 if metric.larger_is_better else 1
    assert held_against([np.full(9, sign * level) for level in levels], rule_of(metric)) == held


def test_a_run_of_another_machine_has_nothing_to_be_compared_with(stored):
    runs = [load(stored("a", rounds=2)), load(stored("b", rounds=2, machine__cpu_model="another"))]
    assert {cell.impression for cell in history(runs)} == {Impression.MISSING}


def test_a_cell_that_the_newest_run_lacks_is_missing(stored):
    runs = [load(stored(f"{n:02}", seed=n, servers=("threads", "b")[: 2 - n], rounds=2)) for n in range(2)]
    looks = {cell.server: cell.impression for cell in history(runs)}
    assert looks == {"threads": Impression.CANNOT_TELL, "b": Impression.MISSING}


def test_an_open_loop_is_followed_by_its_response_time(tmp_path):
    """Its throughput is what was asked for, and no result."""
    asked = {"rate_per_s": 1000.0, "arrivals": "poisson"}
    folders = [
        Builder(tmp_path / name).run(servers=("threads",), connections=(16,), rounds=2, workload=asked) for name in "ab"
    ]
    assert {cell.metric for cell in history([load(one) for one in folders])} == {
        "server_cpu_us_per_reply",
        "response_p50_ns",
    }


def test_a_throughput_that_the_generator_held_down_cannot_be_told(tmp_path):
    folders = [
        Builder(tmp_path / str(n)).run(servers=("threads",), connections=(16,), rounds=2, change=saturated)
        for n in range(2)
    ]
    reasons = {cell.metric: cell.reason for cell in history([load(one) for one in folders])}
    assert reasons["replies_per_s"] == LOWER_BOUND


@paused()
def test_runs_of_another_machine_are_not_joined(stored):
    runs = [
        load(stored(f"{n:02}", seed=n, slower=0.5 * (n >= 8), rounds=3, machine__cpu_model="new" if n >= 8 else "old"))
        for n in range(16)
    ]
    cell = history(runs)[0]
    assert cell.changes == ()
    ((run, field),) = cell.breaks
    assert run == "08"
    assert "machine.cpu_model is 'old' in one and 'new' in the other" in field


@paused()
def test_runs_that_are_alike_in_a_row_are_said_to_be(stored):
    runs = [load(stored(f"{n:02}", seed=n, slower=0.3 * np.sin(n / 5) + 0.5, rounds=3)) for n in range(24)]
    assert history(runs)[0].alike


def test_a_history_of_one_run_is_wrong_use(stored):
    with pytest.raises(UsageError, match="two or more"):
        history([load(stored("a"))])
