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
    ("measured", "rating", "why"),
    [
        (result(100.0, 5e6), Rating.KEPT, ""),
        (result(100.0, 11e6), Rating.MISSED, "p99 above the limit"),
        # Fast, because it failed, or because it was asked less often than planned.
        (result(100.0, 5e6, errors=1), Rating.MISSED, "1 failed request"),
        (result(100.0, 5e6, replies_per_s=90.0), Rating.MISSED, "90 % answered in time"),
        (result(100.0, 11e6, Doubt.GENERATOR_SATURATED), Rating.GENERATOR, "p99 above the limit"),
        # What is unknown is not missed, and not kept.
        (result(100.0, None), Rating.UNKNOWN, "too few replies for p99"),
        (result(100.0, None, status=Status.SERVER_DIED), Rating.UNKNOWN, "server-died"),
        (result(100.0, None, status=Status.NO_REPLIES), Rating.UNKNOWN, "no-replies"),
        (
            result(100.0, 5e6, connections_requested=64, connections_established=10),
            Rating.UNKNOWN,
            "54 of 64 connections did not stand",
        ),
        # 63 of 64 connections stand in the backlog of a server that serves one at a time.
        (
            result(10_000.0, 5e6, in_flight=63, response_mean_ns=50e3),
            Rating.UNKNOWN,
            "63 requests unanswered at the end, as if some connections were not served",
        ),
        # As many are in flight where replies take so long.
        (result(10_000.0, 9e6, in_flight=63, response_mean_ns=6e6), Rating.KEPT, ""),
    ],
)
def test_what_keeps_an_objective(measured, rating, why):
    assert rated(measured, OBJECTIVE) == (rating, why)


def test_what_is_unknown_ends_the_search_with_what_was_found():
    def answer(rate):
        crashed = dataclasses.replace(result(rate, None), status=Status.SERVER_DIED, detail="mine ended with status 1")
        return result(rate, 1e6) if rate < 1000 else crashed

    found, probes = found_by(answer, first_per_s=100.0)
    assert (found.bracket.kept_per_s, found.bracket.unknown_per_s) == (800.0, 1600.0)
    assert [probe.rated.rating for probe in probes[-2:]] == [Rating.UNKNOWN] * 2
    assert found.why_unknown == "mine ended with status 1"


def test_the_doubts_of_trials_are_counted_and_told():
    found, probes = found_by(lambda rate: result(rate, 50e6, Doubt.FOREIGN_CPU), first_per_s=2.0)
    assert found.doubts == {Doubt.FOREIGN_CPU: len(probes)}
    assert probes[0].lines[0].endswith("missed: p99 above the limit  (doubts: foreign-cpu)")


def test_a_window_has_enough_requests_for_its_percentile_at_the_least_rate():
    """The 99th percentile takes 368 of them, and a Poisson stream of 368 has fewer in half of the windows."""
    assert OBJECTIVE.least_rate_per_s(2.0) == pytest.approx((368 + 3 * 368**0.5) / 2)
    assert Objective(percentile="p50", limit_ns=1e6).least_rate_per_s(1.0) < 15


def test_an_objective_is_read_as_people_write_it():
    assert parse_objective("p99<10ms") == OBJECTIVE
    assert parse_objective("p99 < 10 ms") == OBJECTIVE
    assert parse_objective("p50 <= 500us") == Objective(percentile="p50", limit_ns=500e3)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("p98<10ms", "write p99<10ms"),
        ("p99 < 10", "a time needs its unit"),
        ("p99<10msec", "duration '10msec' is not understood"),
        ("p99<0ms", "give a time above 0"),
    ],
)
def test_an_objective_that_cannot_be_is_wrong_use(text, said):
    with pytest.raises(UsageError, match=said):
        parse_objective(text)
