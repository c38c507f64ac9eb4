"""The search for the highest rate, driven by made-up servers: no process, no clock."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cli.search import parse_objective
from bench.errors import UsageError
from bench.experiment.model import Server, Status, Trial, TrialResult
from bench.experiment.search import Objective, Outcome, Search, judge, run
from bench.experiment.trial.doubts import Doubt
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


def server_with_knee(knee_per_s: float):
    """Answer like a server that keeps the objective up to a rate and never beyond it."""
    return lambda rate: result(rate, 1e6 if rate <= knee_per_s else 50e6)


@given(knee=st.floats(2.0, 1e6), first=st.floats(1.0, 1e6), precision=st.floats(0.01, 0.5))
def test_the_answer_encloses_the_knee_within_the_precision(knee, first, precision):
    """Whatever the first rate, the last kept and the first missed rate lie on either side of the knee, and close."""
    search = Search(first_per_s=first, precision=precision)
    run(search, server_with_knee(knee), OBJECTIVE)
    assert search.kept_per_s is not None
    assert search.missed_per_s is not None
    assert search.kept_per_s <= knee < search.missed_per_s
    assert search.missed_per_s / search.kept_per_s <= 1 + precision + 1e-9


def test_a_server_that_keeps_nothing_ends_the_search_without_a_rate():
    search = Search(first_per_s=100.0)
    trials = run(search, lambda rate: result(rate, 50e6), OBJECTIVE)
    assert search.kept_per_s is None
    assert min(rate for rate, _ in trials) >= search.least_per_s


def test_a_rate_is_decided_by_the_majority_of_its_trials():
    """One trial in a noisy second does not decide; two of three do."""
    search = Search(first_per_s=100.0)
    assert not search.tell(Outcome.MISSED)
    assert not search.tell(Outcome.KEPT)
    assert search.tell(Outcome.KEPT)
    assert search.kept_per_s == 100.0


def test_a_saturated_generator_makes_the_answer_a_lower_bound():
    search = Search(first_per_s=100.0)
    run(
        search,
        lambda rate: (
            result(rate, 1e6) if rate < 1000 else result(rate, 50e6, Doubt.GENERATOR_SATURATED, replies_per_s=900.0)
        ),
        OBJECTIVE,
    )
    assert search.limited_by_generator


@pytest.mark.parametrize(
    ("measured", "outcome"),
    [
        (result(100.0, 5e6), Outcome.KEPT),
        # Above the limit.
        (result(100.0, 11e6), Outcome.MISSED),
        # Too few samples for the percentile: not known is not kept.
        (result(100.0, None), Outcome.MISSED),
        # Fast, because it failed.
        (result(100.0, 5e6, errors=1), Outcome.MISSED),
        # Fast, because it was asked less often than planned.
        (result(100.0, 5e6, replies_per_s=90.0), Outcome.MISSED),
        (result(100.0, 5e6, status=Status.SERVER_DIED), Outcome.MISSED),
        (result(100.0, 11e6, Doubt.GENERATOR_SATURATED), Outcome.GENERATOR),
    ],
)
def test_what_keeps_an_objective(measured, outcome):
    assert judge(measured, OBJECTIVE) is outcome


def test_an_objective_is_read_as_people_write_it():
    assert parse_objective("p99<10ms") == OBJECTIVE
    assert parse_objective("p50 <= 500us") == Objective(percentile="p50", limit_ns=500e3)
    with pytest.raises(UsageError, match="p99<10ms"):
        parse_objective("p98<10ms")
