"""A run is one thing, however many calls measure it: what it ends with, and what is measured again."""

from __future__ import annotations

import contextlib
import dataclasses

import pytest

from bench.analysis.runs import run_folder
from bench.errors import MeasurementError, UsageError
from bench.experiment.campaign import Campaign, _check_kept, resume
from bench.experiment.drive import Silent
from bench.experiment.instrument.ceiling import Ceilings
from bench.experiment.model import Server, Status, TrialResult
from bench.experiment.planning.plan import NamedWorkload, Plan
from bench.experiment.store import Store
from clients.workload import Workload

PLAN = Plan(
    name="p",
    servers=(Server(name="a"), Server(name="b")),
    workloads=(NamedWorkload(name="w", workload=Workload()),),
    rounds=4,
    seed=5,
)
"""Four blocks of two trials each."""


def door_of(statuses=(), *, fails=None, too_long=0):
    """Return a door whose trials end as told, the first so many; `fails(trial)` may raise.

    The trial `too_long` has 9000 bytes for the latency log.
    """
    left = list(statuses)

    def measure(block):
        for trial in block.trials:
            if fails is not None:
                fails(trial)
        return tuple(
            TrialResult(
                trial=trial,
                status=left.pop(0) if left else Status.MEASURED,
                started_at="2026-01-01T00:00:00+00:00",
                metrics={"window_s": 0.5, "replies_per_s": 100.0},
                hlog=f"Tag={trial.number:04}.response,1.0,1.0,1.0,HIST\n{'x' * 9000 * (trial.number == too_long)}",
            )
            for trial in block.trials
        )

    return lambda **_: contextlib.nullcontext(measure)


@pytest.fixture
def begun(tmp_path):
    """Return a function that opens the run's folder, made at the first call, as a campaign."""
    folders = []

    def ready():
        if not folders:
            store = Store.create(tmp_path, "p", {})
            folders.append(store.path)
        else:
            store = Store.open(folders[0], even_complete=True)
            store.restart()
        return Campaign(PLAN, store, Ceilings({}), 0.0, store.done())

    return ready


def stopped_at(number):
    def fails(trial):
        if trial.number == number:
            raise KeyboardInterrupt

    return fails


def test_a_trial_that_failed_before_the_resume_counts_in_its_end(begun):
    tally = begun().measure(Silent(), door_of([Status.SERVER_DIED], fails=stopped_at(5)))
    assert (tally.was_interrupted, tally.statuses) == (True, {Status.SERVER_DIED: 1, Status.MEASURED: 3})
    tally = begun().measure(Silent(), door_of())
    assert tally.statuses == {Status.SERVER_DIED: 1, Status.MEASURED: 7}
    assert not tally.is_whole
    assert tally.window_s == 2.0, "what this call measured"


def test_a_run_with_nothing_left_to_measure_is_whole(begun):
    begun().measure(Silent(), door_of())
    tally = begun().measure(Silent(), door_of())
    assert tally.statuses == {Status.MEASURED: 8}
    assert tally.is_whole


def test_a_block_measured_again_takes_the_place_of_its_first_half(begun, disk_of):
    ready = begun()
    with disk_of(8000), pytest.raises(MeasurementError, match="make room, then --resume it"):
        ready.measure(Silent(), door_of(too_long=4))
    ready.store.close()
    again = begun()
    assert again.done == {1, 2, 3}
    assert again.measure(Silent(), door_of()).is_whole
    lines = (again.store.path / "latency.hlog").read_text().splitlines()
    tags = [int(line[4:8]) for line in lines if line.startswith("Tag=")]
    assert sorted(tags) == list(range(1, 9)), "the lines of trial 3 stand there once"
    assert len(run_folder.load(again.store.path).trials) == 8


def test_a_trial_that_failed_on_a_full_disk_is_measured_again(begun, disk_of):
    ready = begun()
    ended = [Status.MEASURED, Status.MEASURED, Status.GENERATOR_FAILED]
    with disk_of(100_000), pytest.raises(MeasurementError, match="make room, then --resume it"):
        ready.measure(Silent(), door_of(ended))
    ready.store.close()
    again = begun()
    assert again.done == {1, 2}
    assert again.measure(Silent(), door_of()).is_whole


def test_a_trial_that_failed_for_its_own_reason_is_kept(begun):
    ended = [Status.MEASURED, Status.MEASURED, Status.GENERATOR_FAILED]
    tally = begun().measure(Silent(), door_of(ended))
    assert tally.statuses == {Status.MEASURED: 7, Status.GENERATOR_FAILED: 1}


@pytest.mark.parametrize(
    "changed",
    [
        {"seed": 6},
        {"workloads": (NamedWorkload(name="w", workload=Workload(duration_s=9.0)),)},
    ],
)
def test_a_run_whose_plan_was_changed_is_not_resumed(begun, changed):
    first = begun()
    first.measure(Silent(), door_of(fails=stopped_at(5)))
    _check_kept(first.store, PLAN)
    with pytest.raises(UsageError, match=r"its plan is not that of trial \d, which is measured; start a new run"):
        _check_kept(first.store, dataclasses.replace(PLAN, **changed))


@pytest.mark.parametrize("lacking", ["plan", "anyway"])
def test_a_run_that_lacks_what_it_was_begun_with_is_not_resumed(tmp_path, lacking):
    info = {"plan": {}, "anyway": False}
    store = Store.create(tmp_path, "p", {name: value for name, value in info.items() if name != lacking})
    store.close()
    with pytest.raises(UsageError, match=f"cannot be resumed: its run.json lacks {lacking}"):
        resume(store.path)


def test_a_torn_record_is_told_and_its_trial_is_measured_again(begun):
    first = begun()
    first.measure(Silent(), door_of())
    (first.store.path / "trials" / "0003.json").write_text('{"trial": {"nu')
    (first.store.path / "trials" / "0008.json").unlink()
    again = begun()
    (note,) = again.store.notes
    assert "trials/0003.json is left out: it is not JSON" in note
    assert again.extent.trials == 4, "their blocks are measured whole"
    assert again.measure(Silent(), door_of()).statuses == {Status.MEASURED: 8}
    run = run_folder.load(first.store.path)
    assert len(run.trials) == 8
    assert not [line for line in run.damage if "record" in line]


def test_a_trial_that_lost_an_agent_stays_and_is_repeated_by_resume(begun):
    first = begun()
    tally = first.measure(Silent(), door_of([Status.MEASURED, Status.AGENT_LOST]))
    assert tally.statuses == {Status.MEASURED: 7, Status.AGENT_LOST: 1}
    assert not tally.is_whole
    assert first.store.info["state"] == "partial"
    assert run_folder.load(first.store.path).trials["status"].tolist().count("agent-lost") == 1
    again = begun()
    assert again.extent.trials == 2
    assert again.measure(Silent(), door_of()).statuses == {Status.MEASURED: 8}
    assert again.store.info["state"] == "complete"
