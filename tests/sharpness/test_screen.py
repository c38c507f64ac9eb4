"""The session `screen`: its table from made-up runs with a known cost, and that a run that fails ends it."""

from __future__ import annotations

import sys

import pytest
from helpers.block_run import BlockRun
from sharpness import screen

from bench.analysis.runs import run_folder
from bench.errors import MeasurementError


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_a_cost_of_a_tenth_is_seen_as_such(tmp_path):
    without = run_folder.load(BlockRun(speeds={"threads": 40_000.0}).write(tmp_path / "without"))
    slower = without.trials.assign(replies_per_s=without.trials["replies_per_s"] * 0.9)
    drawn = run_folder.load(BlockRun(speeds={"threads": 40_000.0}).write(tmp_path / "with"))
    drawn.trials["replies_per_s"] = slower["replies_per_s"]
    head, _, row = cells(screen.table(without, drawn, 2))
    assert head[:3] == ["server", "turns", "throughput"]
    assert row[:3] == ["threads", "4", "0.900 [0.900, 0.900]"]
    assert row[3] == "1.000 [1.000, 1.000]"


def test_a_run_that_fails_ends_the_session_with_its_words(tmp_path, monkeypatch):
    monkeypatch.setattr(screen, "PLAN", tmp_path / "missing.toml")
    with pytest.raises(MeasurementError, match=r"ended with status 2"):
        screen.measured(tmp_path, 1, 1)


def test_a_command_that_draws_no_screen_is_not_taken_for_one():
    with pytest.raises(MeasurementError, match="drew no screen"):
        screen.on_a_screen([sys.executable, "-S", "-c", "print('nothing')"])


@pytest.mark.live
def test_turns_add_to_the_run_of_each_way(tmp_path):
    runs = screen.measured(tmp_path, 2, 1)
    assert [set(run_folder.load(path).trials["round"]) for path in runs.values()] == [{1, 2}, {1, 2}]
