"""The generator's own ceiling: what pairs of trials say, how it is kept, and what `run` reads off it."""

from __future__ import annotations

import contextlib
import errno
import json
import math
import os
import shutil
from functools import partial

import click
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.calibration import answer_cell, answer_paces, to_json
from bench.cli import calibrate as command
from bench.errors import MeasurementError, UsageError
from bench.experiment.doubts import Doubt
from bench.experiment.drive import drive
from bench.experiment.instrument import calibrate, ceiling
from bench.experiment.instrument.calibrate import PACED_SHARES, CellPairs, Effort, Pace, Rate, brief, calibration
from bench.experiment.instrument.ceiling import Ceilings
from bench.experiment.instrument.ceilings_here import ceilings_for
from bench.experiment.model import Server, Status, TrialResult
from bench.experiment.planning.plan import NamedWorkload, Plan
from clients.workload import Workload

GRID = {(1, 1024): 14_000.0, (64, 1024): 220_000.0, (1000, 1024): 170_000.0}
WIDE = GRID | {(1, 16384): 9_000.0, (64, 16384): 90_000.0, (1000, 16384): 60_000.0}


def closed(connections: int, message_bytes: int = 1024) -> Workload:
    return Workload(connections=connections, message_bytes=message_bytes)


def test_the_ceiling_of_a_measured_cell_is_what_was_measured():
    for (connections, message_bytes), rate in WIDE.items():
        assert Ceilings(WIDE).of(closed(connections, message_bytes)) == pytest.approx(rate)


def test_between_cells_the_ceiling_is_linear_in_logarithms():
    """8 connections lie half-way between 1 and 64 on a logarithmic axis, as 4 KiB does between 1 and 16 KiB."""
    middle = Ceilings(WIDE).of(closed(8, 4096))
    corners = [WIDE[1, 1024], WIDE[64, 1024], WIDE[1, 16384], WIDE[64, 16384]]
    assert middle == pytest.approx(math.exp(np.log(corners).mean()))


@given(connections=st.integers(1, 5000), message_bytes=st.integers(1, 16384))
def test_the_ceiling_never_leaves_the_range_that_was_measured(connections, message_bytes):
    found = Ceilings(WIDE).of(closed(connections, message_bytes))
    assert found is not None
    assert min(WIDE.values()) * 0.999 <= found <= max(WIDE.values()) * 1.001


@pytest.mark.parametrize(
    "workload",
    [
        closed(64, 16385),
        closed(64).replace(pipeline=2),
        closed(64).replace(think_s=0.1),
        closed(64).replace(requests_per_connection=10),
        closed(64).replace(rate_per_s=1000.0, arrivals="constant"),
    ],
)
def test_nothing_is_claimed_of_loads_that_were_not_calibrated(workload):
    assert Ceilings(WIDE).of(workload) is None


def pairs(ratios: list[float], connections: int = 64) -> CellPairs:
    cell = CellPairs(connections=connections, message_bytes=1024)
    for ratio in ratios:
        cell.reference.append(Rate(replies_per_s=100_000.0, response_p50_ns=50_000.0))
        cell.ours.append(Rate(replies_per_s=ratio * 100_000.0, response_p50_ns=52_000.0))
    return cell


def test_the_ratio_of_a_cell_encloses_the_ratio_of_its_pairs():
    answer = answer_cell(pairs([0.70, 0.72, 0.74, 0.71, 0.73, 0.72]))
    assert answer.ratio is not None
    assert answer.ratio.low <= 0.72 <= answer.ratio.high
    assert answer.ratio.bounded
    assert answer.added_ns is None
    assert answer.ceiling_per_s.value == pytest.approx(72_000.0)


def test_too_few_pairs_give_a_ratio_without_an_interval():
    answer = answer_cell(pairs([0.7, 0.72]))
    assert answer.ratio is not None
    assert not answer.ratio.bounded
    assert to_json(answer)["ratio"]["low"] is None


def test_calibration_json_has_bounds_beside_each_number():
    told = to_json(answer_cell(pairs([0.70, 0.72, 0.74, 0.71, 0.73, 0.72])))
    assert told["ceiling_per_s_low"] < told["ceiling_per_s"] < told["ceiling_per_s_high"]
    assert told["reference_per_s"] == 100_000.0
    assert to_json(answer_cell(pairs([0.7])))["ceiling_per_s_low"] is None


def test_added_response_time_is_stated_at_one_connection():
    answer = answer_cell(pairs([0.9] * 6, connections=1))
    assert answer.added_ns is not None
    assert answer.added_ns.value == pytest.approx(2_000.0)


def test_without_a_reference_there_is_a_ceiling_and_no_ratio():
    cell = pairs([0.7, 0.8, 0.9])
    cell.reference.clear()
    answer = answer_cell(cell)
    assert (answer.ratio, answer.reference_per_s) == (None, None)
    assert answer.ceiling_per_s.value == pytest.approx(80_000.0)


def test_punctuality_is_the_median_over_trials_of_a_share():
    paces = [
        Pace(
            generator="python",
            share=0.5,
            offered_per_s=1000.0,
            achieved_per_s=999.0,
            lateness_p50_ns=value,
            lateness_p99_ns=None,
            steal_share=0.0,
        )
        for value in (5_000.0, 9_000.0, 7_000.0)
    ]
    (answer,) = answer_paces(paces)
    assert answer.lateness_p50_ns is not None
    assert answer.lateness_p50_ns.value == 7_000.0
    assert not answer.lateness_p50_ns.bounded, "three trials give no interval"
    assert answer.lateness_p99_ns is None
    assert answer.achieved_ratio.value == pytest.approx(0.999)


def test_the_achieved_share_of_a_rate_has_no_bound_below_zero():
    given = {"generator": "python", "share": 0.5, "offered_per_s": 1000.0}
    unseen = {"lateness_p50_ns": None, "lateness_p99_ns": None, "steal_share": None}
    (answer,) = answer_paces([Pace(**given, achieved_per_s=rate, **unseen) for rate in (5.0, 900.0)])
    assert 0 < answer.achieved_ratio.low < answer.achieved_ratio.value < answer.achieved_ratio.high


def test_punctuality_is_told_for_each_generator_ours_first():
    paces = [
        Pace(
            generator=generator,
            share=share,
            offered_per_s=1000.0,
            achieved_per_s=1000.0,
            lateness_p50_ns=500.0,
            lateness_p99_ns=late_ns + trial,
            steal_share=None,
        )
        for share in (0.5, 0.25)
        for generator, late_ns in (("reference", 10_000.0), ("python", 50_000.0))
        for trial in range(6)
    ]
    answers = answer_paces(paces)
    assert [(answer.share, answer.generator) for answer in answers] == [
        (0.25, "python"),
        (0.25, "reference"),
        (0.5, "python"),
        (0.5, "reference"),
    ]
    ours = answers[0].lateness_p99_ns
    assert ours is not None
    assert (ours.low, ours.value, ours.high) == (50_000.0, 50_002.5, 50_005.0)  # of six trials the first and the last


EFFORT = Effort(pairs=2, window_s=0.1, warmup_s=0.1)
TESTED = Server(name="fastest")


def answers(experiment, metrics_of):
    """Drive an experiment by answers of a function of the trial. Return its outcome and every block it asked for."""
    asked = []

    def measure(block):
        asked.append(block)
        (trial,) = block.trials
        return (TrialResult(trial=trial, status=Status.MEASURED, metrics=metrics_of(trial)),)

    return drive(experiment, measure), asked


def test_each_cell_is_measured_in_pairs_whose_order_alternates():
    metrics = {"replies_per_s": 1000.0, "response_p50_ns": 1.0, "offered_per_s": 1000.0}
    found, asked = answers(calibration(TESTED, has_reference=True, effort=EFFORT, seed=1), lambda _: metrics)
    grid = asked[: 2 * 2 * 9]
    pairs = list(zip(grid[::2], grid[1::2], strict=True))
    assert all(not first.continues and second.continues for first, second in pairs)
    orders = [tuple(block.trials[0].generator for block in pair) for pair in pairs]
    assert {frozenset(orders[:9]), frozenset(orders[9:])} == {
        frozenset({("python", "reference")}),
        frozenset({("reference", "python")}),
    }
    assert all(len(cell.ours) == len(cell.reference) == EFFORT.pairs for cell in found.cells)
    assert len(asked) == EFFORT.trials


def test_the_ceiling_is_measured_anew_before_each_paced_pair():
    """On a machine that slows down from trial to trial, both generators are paced by what ours could do last."""

    def slowing(trial):
        rate = trial.workload.rate_per_s or 100_000.0 / trial.number
        return {"replies_per_s": rate, "offered_per_s": rate, "response_p50_ns": 1.0}

    found, asked = answers(calibration(TESTED, has_reference=True, effort=EFFORT, seed=1, message_bytes=()), slowing)
    assert len(asked) == 3 * len(found.paces) / 2 == 18
    for at in range(0, len(asked), 3):
        trials = [block.trials[0] for block in asked[at : at + 3]]
        ceiling_per_s = 100_000.0 / (at + 1)
        share = found.paces[at // 3 * 2].share
        paced_per_s = float(round(share * ceiling_per_s))
        assert [trial.workload.rate_per_s for trial in trials] == [None, paced_per_s, paced_per_s]
        order = ["python", "reference"] if at < 9 else ["reference", "python"]
        assert [trial.generator for trial in trials] == ["python", *order]
    assert sorted(pace.share for pace in found.paces) == sorted(PACED_SHARES * 4)


def test_a_brief_calibration_takes_the_better_of_two_trials_of_each_cell():
    rates = {(1, 64): [10.0, 12.0], (64, 1024): [30.0, 20.0]}
    left = {cell: iter(found) for cell, found in rates.items()}

    def metrics_of(trial):
        cell = trial.workload.connections, trial.workload.message_bytes
        return {"replies_per_s": next(left[cell]), "response_p50_ns": 1.0}

    found, _ = answers(brief(TESTED, rates, seed=1), metrics_of)
    assert found == Ceilings({(1, 64): 12.0, (64, 1024): 30.0})


def document() -> dict:
    cells = [{"connections": c, "message_bytes": b, "ceiling_per_s": rate} for (c, b), rate in GRID.items()]
    return {"fingerprint": ceiling.fingerprint(), "cells": cells}


def test_a_calibration_is_kept_for_this_machine_only(tmp_path):
    path = tmp_path / "deep" / "calibration.json"
    assert ceiling.load(path) is None
    ceiling.save(document(), path)
    assert ceiling.load(path) == Ceilings(GRID)
    other = json.loads(path.read_text())
    other["fingerprint"]["cpu_model"] = "another"
    path.write_text(json.dumps(other))
    assert ceiling.load(path) is None


@pytest.fixture
def plan_of_rounds():
    """Return a function that makes a plan of two workloads; a grid says nothing about the second."""
    loads = {"plain": closed(64), "piped": closed(64).replace(pipeline=2)}
    workloads = tuple(NamedWorkload(name=name, workload=load) for name, load in loads.items())

    def make(rounds, **fields):
        return Plan(name="p", servers=(TESTED,), workloads=workloads, rounds=rounds, seed=1, **fields)

    return make


@contextlib.contextmanager
def bench_of_ten_per_s(**_):
    """Stand for the live bench: the generator reaches 10 replies/s in every block."""
    metrics = {"replies_per_s": 10.0, "response_p50_ns": 1.0}
    yield lambda block: tuple(TrialResult(trial=one, status=Status.MEASURED, metrics=metrics) for one in block.trials)


def test_ceilings_of_a_long_plan_are_measured_unless_they_are_kept(plan_of_rounds, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert ceilings_for(plan_of_rounds(20), bench_of_ten_per_s) == Ceilings({(64, 1024): 10.0})
    ceiling.save(document(), ceiling.default_path())
    assert ceilings_for(plan_of_rounds(20), bench_of_ten_per_s) == Ceilings(GRID)


def test_a_short_plan_is_not_made_longer_to_know_the_ceilings(plan_of_rounds, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert ceilings_for(plan_of_rounds(19), bench_of_ten_per_s) == Ceilings({})


def test_ceilings_are_those_of_one_python_process(plan_of_rounds, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    ceiling.save(document(), ceiling.default_path())
    for fields in ({"workers": 2}, {"generator": "reference"}):
        assert ceilings_for(plan_of_rounds(20, **fields), bench_of_ten_per_s) == Ceilings({})


@pytest.mark.parametrize(("number", "kind"), [(errno.ENOSPC, MeasurementError), (errno.EACCES, UsageError)])
def test_a_calibration_that_cannot_be_kept_says_why(tmp_path, monkeypatch, number, kind):
    def fails(_path, _text):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(ceiling, "write_atomically", fails)
    with pytest.raises(kind, match=f"{os.strerror(number)}; .*choose another file with --out"):
        ceiling.save(document(), tmp_path / "calibration.json")


def test_a_damaged_calibration_says_what_to_do(tmp_path):
    path = tmp_path / "calibration.json"
    path.write_text("{")
    with pytest.raises(UsageError, match="delete it"):
        ceiling.load(path)


@pytest.fixture
def one_cell(monkeypatch):
    """Calibrate one cell and one pace: all that a command does is done, in 5 trials in place of 27."""
    monkeypatch.setattr(calibrate, "CONNECTIONS", (64,))
    monkeypatch.setattr(calibrate, "PACED_SHARES", (0.5,))
    monkeypatch.setattr(command, "calibration", partial(calibration, message_bytes=(1024,)))
    return [(64, 1024)], [0.5]


@pytest.fixture
def whole_grid():
    """Leave what is calibrated as it is."""
    return [(count, size) for count in (1, 64, 1000) for size in (64, 1024, 16384)], [0.25, 0.5, 0.75]


@pytest.mark.skipif(shutil.which("cc") is None, reason="the reference is compiled by the machine's C compiler")
@pytest.mark.parametrize("extent", ["one_cell", pytest.param("whole_grid", marks=pytest.mark.live)])
def test_calibrate_measures_prints_and_keeps(tmp_path, request, extent):
    """One short pair per cell through the real command: all are there, and `run` can read what it kept."""
    cells, shares = request.getfixturevalue(extent)
    kept, summary = tmp_path / "calibration.json", tmp_path / "summary.md"
    options = ["--pairs", "1", "--window", "100ms", "--warmup", "0.05", "--json", "--out", str(kept)]
    options += ["--summary", str(summary)]
    done = CliRunner().invoke(command.calibrate, options, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    told = json.loads(done.stdout)
    assert [(cell["connections"], cell["message_bytes"]) for cell in told["cells"]] == cells
    assert all(cell["ratio"]["value"] > 0 for cell in told["cells"])
    for paces in (told["paces"], told["reference_paces"]):
        assert [pace["share"] for pace in paces] == shares
        assert all(pace["lateness_p99_ns"]["value"] > 0 for pace in paces)
    found = ceiling.load(kept)
    assert found is not None
    assert found.of(closed(64)) > 0
    rows = [line.strip("| ").split(" | ") for line in summary.read_text().splitlines() if line.startswith("| ")]
    shown = {(6, f"{count:,}") for count, _ in cells} | {(7, f"{share:.0%}".replace("%", " %")) for share in shares}
    assert {(len(row), row[0]) for row in rows} >= shown
    assert len(rows) == 2 + len(cells) + 2 + 2 * len(shares)


def interrupted_in_its_fourth(block):
    (trial,) = block.trials
    if trial.number == 4:
        raise KeyboardInterrupt
    metrics = {"replies_per_s": 1000.0, "response_p50_ns": 1.0}
    return (TrialResult(trial=trial, status=Status.MEASURED, metrics=metrics),)


def throttled(block):
    (trial,) = block.trials
    metrics = {"replies_per_s": 1000.0, "response_p50_ns": 1.0, "offered_per_s": 1000.0}
    doubts = (Doubt.THROTTLED, Doubt.FEW_SAMPLES) if trial.number < 4 else ()
    return (TrialResult(trial=trial, status=Status.MEASURED, metrics=metrics, doubts=doubts),)


def test_a_calibration_says_what_the_host_did_to_it(tmp_path):
    options = ["--pairs", "1", "--out", str(tmp_path / "kept.json")]
    done = CliRunner().invoke(command.calibrate, options, obj=lambda: contextlib.nullcontext(throttled))
    assert done.exit_code == 0, done.output
    assert f"throttled: 3 of 27 trials. {Doubt.THROTTLED.advice}" in done.stdout
    assert Doubt.FEW_SAMPLES not in done.stdout, "that is not of the host"


def test_what_was_measured_until_an_interruption_is_shown_and_not_kept(tmp_path):
    kept = tmp_path / "calibration.json"
    door = lambda: contextlib.nullcontext(interrupted_in_its_fourth)  # noqa: E731 - a door in a line
    done = CliRunner().invoke(command.calibrate, ["--out", str(kept)], obj=door)
    assert done.exit_code != 0
    assert done.stdout.count("1.00") == 1, "one pair of the two that were begun"
    assert not kept.exists()


@pytest.mark.parametrize(
    "options",
    [
        ["--window", "nan"],
        ["--window", "0"],
        ["--window", "soon"],
        ["--warmup=-1"],
        ["--summary", "/nowhere/summary.md"],
    ],
)
def test_a_calibration_that_cannot_be_is_refused_before_anything_is_measured(options):
    with pytest.raises((UsageError, click.BadParameter)):
        command.calibrate.main(options, standalone_mode=False, obj=pytest.fail)


def test_a_window_without_a_reply_is_said_to_be_too_short():
    with pytest.raises(MeasurementError, match="longer"):
        answers(brief(TESTED, [(64, 1024)], seed=1), lambda _: {"replies_per_s": 0.0})


def test_a_trial_that_fails_ends_the_calibration_with_its_reason():
    def fails(block):
        return (TrialResult(trial=block.trials[0], status=Status.NOT_READY, detail="no such loop"),)

    with pytest.raises(MeasurementError, match="no such loop"):
        drive(calibration(TESTED, has_reference=False, effort=EFFORT, seed=1), fails)
