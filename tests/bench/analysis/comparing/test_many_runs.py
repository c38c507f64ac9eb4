"""The history of several stored runs: where the level changed, and where it cannot be followed."""

from __future__ import annotations

import json

import numpy as np
import pytest

from bench.analysis.comparing.many_runs import change_points, history
from bench.analysis.runs.run_folder import load
from bench.errors import UsageError


@pytest.mark.parametrize("n", [8, 20, 60])
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
    assert len(cell.points) == 14
    assert json.loads(json.dumps(cell.to_json(), allow_nan=False))["changes"][0]["run"] == "08"


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


def test_runs_that_are_alike_in_a_row_are_said_to_be(stored):
    runs = [load(stored(f"{n:02}", seed=n, slower=0.3 * np.sin(n / 5) + 0.5, rounds=3)) for n in range(24)]
    assert history(runs)[0].alike


def test_a_history_of_one_run_is_wrong_use(stored):
    with pytest.raises(UsageError, match="two or more"):
        history([load(stored("a"))])
