"""How much the machine wandered: from the baseline's slices, against a model that wanders by a known factor."""

from __future__ import annotations

import math

import numpy as np
import pytest
from helpers import block_run
from helpers.block_run import BlockRun

from bench.analysis.estimates.ranking import rank
from bench.analysis.estimates.remarks import wandering
from bench.analysis.estimates.wander import wander
from bench.analysis.runs import run_folder
from bench.metrics import CPU

SPEEDS = {"threads": 40_000.0, "coroutines": 50_000.0}


@pytest.fixture
def seen(tmp_path):
    """Return a function that makes a run of the model, and says how its machine wandered."""

    def make(**how):
        folder = BlockRun(**{"speeds": SPEEDS, **how}).write(tmp_path / f"run-{len(list(tmp_path.iterdir()))}")
        run = run_folder.load(folder)
        return run, wander(run, rank(run))

    return make


def test_the_spread_within_a_block_is_that_of_the_baselines_slices(seen):
    run, found = seen()
    mine = run.slices[run.slices["server"] == "threads"]
    rates = (mine["replies"] / mine["slice_s"]).astype(float)
    spreads = [np.percentile(part, 90) / np.percentile(part, 10) for _, part in rates.groupby(mine["block"])]
    assert found.server == "threads"
    assert found.within == pytest.approx(np.median(spreads), rel=0.05)


def test_a_machine_that_wanders_more_is_said_to(seen, monkeypatch):
    monkeypatch.setattr(block_run, "STALLS", 0.0)
    _, some = seen(passes=200)
    monkeypatch.setattr(block_run, "WANDER", 3.0)
    _, more = seen(passes=200)
    assert 1.3 < some.within < 1.6
    assert 2.3 < more.within < 3.2


def test_blocks_of_different_workloads_are_held_against_their_own_level(seen):
    _, found = seen(connections=(1, 16), speeds=SPEEDS)
    assert found.across < 1.3


def test_few_blocks_have_no_spread_between_them(seen):
    _, found = seen(blocks=4)
    assert math.isnan(found.across)
    assert "between blocks" not in wandering(found)


def test_with_a_given_rate_the_cpu_per_reply_tells(seen):
    _, found = seen(workload={"rate_per_s": 1_000.0, "arrivals": "poisson"})
    assert found.metric is CPU
    assert "server CPU per reply of threads varied" in wandering(found)


def test_a_run_without_slices_says_nothing(builder):
    run = run_folder.load(builder.run())
    assert wander(run, rank(run)) is None
    assert wandering(None) == ""
