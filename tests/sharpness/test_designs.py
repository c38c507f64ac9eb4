"""The session `designs`: its table from made-up runs of both designs, and small runs of its own."""

from __future__ import annotations

import pytest
from helpers.block_run import BlockRun
from sharpness import designs

from bench.analysis.estimates.cells import measured_solo
from bench.analysis.estimates.ranking import rank
from bench.analysis.runs import run_folder
from bench.errors import MeasurementError

SPEEDS = {"threads": 40_000.0, "coroutines": 60_000.0}


def cells(table):
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]


def test_both_designs_show_the_same_ratios_in_one_table(tmp_path):
    found = {
        "blocks": rank(run_folder.load(BlockRun(speeds=SPEEDS).write(tmp_path / "blocks"))),
        "solo": rank(run_folder.load(BlockRun(speeds=SPEEDS, solo=tuple(SPEEDS)).write(tmp_path / "solo"))),
    }
    head, _, *rows = cells(designs.table(found))
    assert head == ["ratio", "blocks: by slices of the same pass over 8 blocks", head[2]]
    assert head[2].startswith("solo: by trials of the same round over 8")
    assert [row[0] for row in rows] == ["coroutines, throughput", "coroutines, server CPU per reply"]
    assert all(1.3 < float(cell.split()[0]) < 1.7 for cell in rows[0][1:])


@pytest.mark.live
def test_turns_add_to_the_run_of_each_design(tmp_path):
    runs = designs.measured(tmp_path, {"blocks": 0.1, "solo": 0.1}, 2, "python")
    trials = {design: run_folder.load(path).trials for design, path in runs.items()}
    assert not measured_solo(trials["blocks"]).any()
    assert measured_solo(trials["solo"]).all()


def test_a_run_that_fails_ends_the_session_with_its_words(tmp_path, monkeypatch):
    monkeypatch.setattr(designs, "PLAN", tmp_path / "missing.toml")
    with pytest.raises(MeasurementError, match=r"--generator reference .*ended with status 2"):
        designs.measured(tmp_path, {"blocks": 0.1}, 1, "reference")
