"""The order of a plan, and the run of it against a fake that answers at once: no process, no clock."""

from __future__ import annotations

from collections import Counter

import pytest

from bench.errors import MeasurementError
from bench.experiment.drive import run
from bench.experiment.model import Server, Status, TrialResult
from bench.experiment.planning.plan import NamedWorkload, Plan
from clients.workload import Workload


def workload(connections, only=None):
    return NamedWorkload(name=f"c{connections}", workload=Workload(connections=connections), only=only)


def plan(**changes):
    fields = {
        "name": "test",
        "servers": (Server(name="a"), Server(name="b"), Server(name="one", connections_max=1)),
        "workloads": (workload(1), workload(16)),
        "trials_per_cell": 4,
        "seed": 7,
    }
    return Plan(**{**fields, **changes})


def cells(trials):
    return [trial.cell for trial in trials]


def test_every_round_visits_every_cell_once():
    trials = list(plan().trials())
    for number in (1, 2, 3, 4):
        visited = cells(trial for trial in trials if trial.round == number)
        assert Counter(visited) == Counter([("a", "c1"), ("b", "c1"), ("one", "c1"), ("a", "c16"), ("b", "c16")])
    assert [trial.round for trial in trials] == sorted(trial.round for trial in trials)


def test_rounds_are_shuffled_and_the_seed_decides_how():
    assert cells(plan().trials()) == cells(plan().trials())
    assert cells(plan().trials()) != cells(plan(seed=8).trials())
    trials = cells(plan().trials())
    assert trials[:5] != trials[5:10]


def test_every_trial_has_a_seed_of_its_own_and_the_plans_seed_decides_which():
    seeds = [trial.workload.seed for trial in plan().trials()]
    assert len(set(seeds)) == len(seeds)
    assert seeds == [trial.workload.seed for trial in plan().trials()]


def test_what_cannot_be_measured_comes_first_as_a_gap_with_its_reason():
    found = plan(
        servers=(Server(name="a"), Server(name="one", connections_max=1), Server(name="no", gap="x is not installed")),
        refused={"a": "it is no echo server"},
    )
    gaps = [(gap.trial.number, gap.trial.cell, gap.status, gap.detail) for gap in found.gaps()]
    assert gaps == [
        (1, ("a", "c1"), Status.NONCONFORMING, "it is no echo server"),
        (2, ("no", "c1"), Status.SKIPPED, "x is not installed"),
        (3, ("a", "c16"), Status.NONCONFORMING, "it is no echo server"),
        (4, ("one", "c16"), Status.SKIPPED, "one serves 1 at a time, at most"),
        (5, ("no", "c16"), Status.SKIPPED, "x is not installed"),
    ]
    assert [trial.number for trial in found.trials()] == [6, 7, 8, 9]
    assert {trial.round for trial in plan().trials()} == {1, 2, 3, 4}


def test_a_workload_can_be_for_some_servers_only():
    found = plan(workloads=(workload(1), workload(16, only={"b"})))
    assert set(cells(found.trials())) == {("a", "c1"), ("b", "c1"), ("one", "c1"), ("b", "c16")}
    assert found.gaps() == []


def test_the_most_connections_are_those_that_will_be_held():
    assert plan().connections_most == 16
    assert plan(servers=(Server(name="one", connections_max=1),)).connections_most == 1
    assert plan(servers=(Server(name="no", gap="why"),)).connections_most == 0


class Listener:
    """A watcher that remembers."""

    def __init__(self):
        self.heard = []

    def began(self, trial):
        self.heard.append(("began", trial.number))

    def ended(self, result):
        self.heard.append(("ended", result.trial.number))


def measured(trial):
    return TrialResult(trial=trial, status=Status.MEASURED, metrics={"window_s": 2.0})


def test_every_trial_is_saved_the_moment_it_ends():
    order = []

    def measure(trial):
        order.append(("measure", trial.number))
        return measured(trial)

    watcher = Listener()
    tally = run(plan(trials_per_cell=1), measure, lambda result: order.append(("save", result.trial.number)), watcher)
    assert order == [("save", 1), *[(what, number) for number in range(2, 7) for what in ("measure", "save")]]
    assert watcher.heard[:3] == [("ended", 1), ("began", 2), ("ended", 2)]
    assert tally.is_whole
    assert tally.window_s == 10.0
    assert tally.statuses == {Status.SKIPPED: 1, Status.MEASURED: 5}


@pytest.mark.parametrize("error", [MeasurementError("the cable is out"), OSError("the cable is out")])
def test_a_trial_that_fails_is_a_result_and_the_run_goes_on(error):
    saved = []

    def measure(trial):
        if trial.number == 3:
            raise error
        return measured(trial)

    tally = run(plan(), measure, saved.append, Listener())
    assert len(saved) == 21
    assert [(result.trial.number, result.detail) for result in saved if result.status is Status.GENERATOR_FAILED] == [
        (3, "the trial failed: the cable is out")
    ]
    assert not tally.is_whole
    assert not tally.was_interrupted


def test_a_fault_of_our_own_is_not_hidden_in_a_row():
    def measure(_trial):
        raise TypeError("a bug")

    with pytest.raises(TypeError, match="a bug"):
        run(plan(), measure, lambda _: None, Listener())


@pytest.mark.parametrize(
    ("status", "whole"),
    [(status, status in {Status.MEASURED, Status.SKIPPED}) for status in Status if status != "skipped"],
)
def test_a_run_is_whole_if_all_that_can_be_measured_was(status, whole):
    tally = run(plan(), lambda trial: TrialResult(trial=trial, status=status), lambda _: None, Listener())
    assert tally.is_whole is whole


def test_a_run_in_which_nothing_could_be_measured_is_not_whole():
    found = plan(servers=(Server(name="no", gap="why"),))
    assert not run(found, measured, lambda _: None, Listener()).is_whole


def test_an_interrupt_ends_the_run_and_keeps_what_was_measured():
    saved = []

    def measure(trial):
        if trial.number == 5:
            raise KeyboardInterrupt
        return measured(trial)

    tally = run(plan(), measure, saved.append, Listener())
    assert [result.trial.number for result in saved] == [1, 2, 3, 4]
    assert tally.was_interrupted
    assert not tally.is_whole


def test_a_resumed_run_measures_the_rest_and_no_more():
    numbers = []

    def measure(trial):
        numbers.append(trial.number)
        return measured(trial)

    run(plan(), measure, lambda _: None, Listener(), done={1, 2, 3, 4, 21})
    assert numbers == list(range(5, 21))
