"""The search for the highest rate, driven by made-up servers: no process, no clock."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cli.search import parse_objective
from bench.errors import MeasurementError, UsageError
from bench.experiment.doubts import Doubt
from bench.experiment.drive import Silent, drive
from bench.experiment.model import Server, Status, StopReason, Trial, TrialResult
from bench.experiment.search import Bracket, Objective, Probe, Rating, rated, search
from clients.workload import Workload

OBJECTIVE = Objective(limit_ns=10e6)


def result(
    rate_per_s: float, latency_ns: float | None, *doubts: Doubt, status: Status = Status.MEASURED, **metrics: Any
) -> TrialResult:
    trial = Trial(
        number=1,
        round=0,
        server=Server(name="made-up"),
        workload_name="search",
        workload=Workload(rate_per_s=rate_per_s, arrivals="constant"),
    )
    values = {"offered_per_s": rate_per_s, "replies_per_s": rate_per_s, "response_p99_ns": latency_ns, "errors": 0}
    return TrialResult(trial=trial, status=status, metrics=values | metrics, doubts=doubts)


def found_by(answer, **bracket):
    """Search with a server whose trial at a rate is `answer(rate)`; return what was found and every probe."""
    probes = []

    class Ear(Silent):
        def told(self, news):
            probes.append(news)

    asked = search(
        Server(name="made-up"), Workload(rate_per_s=1.0, arrivals="poisson", seed=7), OBJECTIVE, Bracket(**bracket)
    )
    asked_rates = []

    def measure(block):
        (trial,) = block.trials
        asked_rates.append(trial.workload.rate_per_s)
        return (answer(trial.workload.rate_per_s),)

    found = drive(asked, measure, watcher=Ear())
    assert [probe.rate_per_s for probe in probes] == asked_rates
    assert found.trials == len(probes)
    return found, probes


@given(knee=st.floats(2.0, 1e6), first=st.floats(1.0, 1e6), precision=st.floats(0.01, 0.5))
def test_the_answer_encloses_the_knee_within_the_precision(knee, first, precision):
    """Whatever the first rate, the last kept and the first missed rate lie on either side of the knee, and close."""
    found, _ = found_by(
        lambda rate: result(rate, 1e6 if rate <= knee else 50e6), first_per_s=first, precision=precision
    )
    bracket = found.bracket
    assert bracket.kept_per_s is not None
    assert bracket.missed_per_s is not None
    assert bracket.kept_per_s <= knee < bracket.missed_per_s
    assert bracket.missed_per_s / bracket.kept_per_s <= 1 + precision + 1e-9


def test_a_server_that_keeps_nothing_ends_the_search_without_a_rate():
    found, probes = found_by(lambda rate: result(rate, 50e6), first_per_s=100.0)
    assert found.bracket.kept_per_s is None
    assert min(probe.rate_per_s for probe in probes) >= found.bracket.least_per_s


def test_a_rate_is_decided_by_the_majority_of_its_trials():
    """One trial in a noisy second does not decide; two of three do."""
    bracket = Bracket(first_per_s=100.0)
    assert not bracket.tell(Rating.MISSED)
    assert not bracket.tell(Rating.KEPT)
    assert bracket.tell(Rating.KEPT)
    assert bracket.kept_per_s == 100.0


def test_a_saturated_generator_makes_the_answer_a_lower_bound():
    def answer(rate):
        if rate < 1000:
            return result(rate, 1e6)
        return result(rate, 50e6, Doubt.GENERATOR_SATURATED, replies_per_s=900.0)

    found, _ = found_by(answer, first_per_s=100.0)
    assert found.bracket.limited_by_generator


def test_an_interrupted_search_returns_how_far_it_came():
    rates = []

    def answer(rate):
        rates.append(rate)
        if len(rates) == 4:
            raise KeyboardInterrupt
        return result(rate, 1e6)

    asked = search(
        Server(name="made-up"), Workload(rate_per_s=1.0, arrivals="poisson"), OBJECTIVE, Bracket(first_per_s=100.0)
    )
    found = drive(asked, lambda block: (answer(block.trials[0].workload.rate_per_s),))
    assert (found.stopped, found.trials, found.bracket.kept_per_s) == (StopReason.INTERRUPTED, 3, 100.0)


def test_search_tells_each_probe_with_rate_observation_and_result():
    _, probes = found_by(lambda rate: result(rate, 2.5e6 if rate < 150 else 50e6), first_per_s=100.0)
    assert all(isinstance(probe, Probe) for probe in probes)
    assert probes[0].lines == ["       100/s  p99    2.5 ms  kept"]


@pytest.mark.parametrize("status", [Status.NOT_READY, Status.WRONG_ECHO, Status.GENERATOR_FAILED])
def test_a_trial_that_says_nothing_about_its_rate_ends_the_search(status):
    broken = dataclasses.replace(result(100.0, None), status=status, detail="no such loop")
    with pytest.raises(MeasurementError, match="no such loop"):
        found_by(lambda _: broken, first_per_s=100.0)


@pytest.mark.parametrize(
    ("measured", "rating"),
    [
        (result(100.0, 5e6), Rating.KEPT),
        # Above the limit.
        (result(100.0, 11e6), Rating.MISSED),
        # Too few samples for the percentile: not known is not kept.
        (result(100.0, None), Rating.MISSED),
        # Fast, because it failed.
        (result(100.0, 5e6, errors=1), Rating.MISSED),
        # Fast, because it was asked less often than planned.
        (result(100.0, 5e6, replies_per_s=90.0), Rating.MISSED),
        (result(100.0, 5e6, status=Status.SERVER_DIED), Rating.MISSED),
        (result(100.0, 11e6, Doubt.GENERATOR_SATURATED), Rating.GENERATOR),
    ],
)
def test_what_keeps_an_objective(measured, rating):
    assert rated(measured, OBJECTIVE) is rating


def test_an_objective_is_read_as_people_write_it():
    assert parse_objective("p99<10ms") == OBJECTIVE
    assert parse_objective("p50 <= 500us") == Objective(percentile="p50", limit_ns=500e3)
    with pytest.raises(UsageError, match="p99<10ms"):
        parse_objective("p98<10ms")
