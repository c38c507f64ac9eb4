"""The rounds of a run, driven by made-up results."""

from __future__ import annotations

import dataclasses
import math

import pytest

from bench.experiment.drive import Silent, drive
from bench.experiment.model import Server, Status, TrialResult
from bench.experiment.planning.plan import NamedWorkload, Plan
from bench.experiment.precision import Measured
from bench.experiment.rounds import Tally, rounds
from clients.workload import Workload


class Heard(Silent):
    """Remembers the news."""

    def __init__(self):
        self.news = []

    def told(self, news):
        self.news.append(news)


SERVERS = (Server(name="a"), Server(name="b"), Server(name="gone", gap="it is not here"))
PLAN = Plan(
    name="p",
    servers=SERVERS,
    workloads=(NamedWorkload(name="w", workload=Workload()),),
    rounds=3,
    seed=5,
    generator="reference",
)


def run(plan, done=(), fail=lambda trial: False, slices_of=lambda trial: (), earlier=(), **driven):
    asked = []

    def measure(block):
        asked.extend(block.trials)
        return tuple(
            TrialResult(
                trial=trial,
                status=Status.SERVER_DIED if fail(trial) else Status.MEASURED,
                metrics={"window_s": 0.5},
                slices=slices_of(trial),
            )
            for trial in block.trials
        )

    return drive(rounds(plan, done, earlier), measure, **driven), asked


def test_every_trial_of_the_plan_is_asked_for_in_its_order():
    tally, trials = run(PLAN)
    assert trials == list(PLAN.trials())
    assert (tally.statuses, tally.window_s) == ({Status.SKIPPED: 1, Status.MEASURED: 6}, 3.0)
    assert {trial.generator for trial in trials} == {"reference"}


def test_what_cannot_be_measured_is_kept_once_and_before_the_rest():
    kept = []
    run(PLAN, keep=kept.append)
    assert [(result.trial.server.name, result.status) for result in kept[:2]] == [
        ("gone", Status.SKIPPED),
        (kept[1].trial.server.name, Status.MEASURED),
    ]
    run(PLAN, done=[result.trial.number for result in kept[:3]], keep=kept.append)
    assert [result.trial.server.name for result in kept].count("gone") == 1


def test_what_an_earlier_run_measured_is_not_asked_for_again():
    everything = [trial.number for trial in PLAN.trials()]
    _, trials = run(PLAN, done=everything[:4])
    assert [trial.number for trial in trials] == everything[4:]


def test_a_block_of_which_a_trial_is_missing_is_measured_whole():
    everything = [trial.number for trial in PLAN.trials()]
    _, trials = run(PLAN, done=everything[:3])
    assert [trial.number for trial in trials] == everything[2:]


def test_each_block_foresees_the_next_that_is_not_done():
    everything = [trial.number for trial in PLAN.trials()]
    asked = []
    drive(rounds(PLAN, done=everything[2:4]), lambda block: asked.append(block) or ())
    assert [[trial.number for trial in block.trials] for block in asked] == [everything[:2], everything[4:]]
    assert [block.following for block in asked] == [asked[1].trials, ()], "what an earlier run measured is passed over"
    whole = []
    drive(rounds(PLAN), lambda block: whole.append(block) or ())
    assert [block.following for block in whole] == [*(block.trials for block in whole[1:]), ()]


def test_a_run_ends_once_every_ratio_is_narrow_enough():
    """Both servers are the same but for up to one part in a thousand, which changes from block to block."""

    def slices_of(trial):
        rate = 1000 * (1 + 0.001 * math.sin(1.7 * trial.block) * (trial.server.name == "a"))
        return tuple(
            {"pass": n, "slice_s": 1.0, "replies": rate, "server_cpu_s": 0.5, "response_p50_ns": 1.0} for n in range(5)
        )

    plan = dataclasses.replace(PLAN, rounds=50, until=0.01, baseline="b")
    tally, trials = run(plan, slices_of=slices_of)
    assert len(trials) == 2 * 6, "six blocks are the fewest that give an interval"
    assert tally.is_whole
    blocks = [[Measured("w", trial.server.name, slices_of(trial)) for trial in trials[at : at + 2]] for at in (0, 2, 4)]
    watcher = Heard()
    done = [trial.number for trial in trials[:6]]
    _, rest = run(plan, done=done, slices_of=slices_of, earlier=blocks, watcher=watcher)
    assert rest == trials[6:], "what an earlier run measured counts"
    assert [news.rounds for news in watcher.news] == [3, 4, 5, 6]
    assert len(run(dataclasses.replace(plan, until=1e-6), slices_of=slices_of)[1]) == 2 * 50


def test_a_trial_that_fails_is_counted_and_the_run_goes_on():
    tally, trials = run(PLAN, fail=lambda trial: trial.round == 2)
    assert len(trials) == 6
    assert tally.statuses[Status.SERVER_DIED] == 2
    assert not tally.is_whole


def test_a_run_of_which_nothing_could_be_measured_is_not_whole():
    tally, trials = run(dataclasses.replace(PLAN, servers=SERVERS[2:]))
    assert trials == []
    assert not tally.is_whole


@pytest.mark.parametrize(
    ("statuses", "is_whole"),
    [
        ({Status.MEASURED: 3}, True),
        ({Status.MEASURED: 3, Status.SKIPPED: 1}, True),
        ({Status.SKIPPED: 1}, False),
        ({Status.MEASURED: 3, Status.NONCONFORMING: 1}, False),
        ({}, False),
    ],
)
def test_a_run_is_whole_if_all_that_could_be_measured_was(statuses, is_whole):
    assert Tally(statuses=statuses).is_whole is is_whole
    assert not Tally(statuses=statuses, was_interrupted=True).is_whole
