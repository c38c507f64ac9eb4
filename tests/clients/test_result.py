"""A result adds up, travels between processes, and knows when it is right."""

from __future__ import annotations

import json
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients import summary
from clients.faults import Failure
from clients.histogram import Histogram
from clients.result import KINDS, Interval, Result
from clients.workload import Workload

durations = st.lists(st.integers(0, 10**10), max_size=30)
counts = st.integers(0, 10**9)


def filled(values):
    histogram = Histogram()
    histogram.add(np.array(values, dtype=np.int64))
    return histogram


intervals = st.builds(
    Interval,
    at_ns=counts,
    length_ns=st.integers(1, 10**9),
    errors=counts,
    response=durations.map(lambda values: filled(values).compact()),
)
results = st.builds(
    Result,
    workload=st.builds(Workload, connections=st.integers(1, 99), seed=counts),
    window_start_ns=counts,
    window_end_ns=st.integers(10**9, 10**10),
    sent=counts,
    failed=counts,
    in_flight=counts,
    due=counts,
    idle_closed=counts,
    connections_established=counts,
    cpu_s=st.floats(0, 100),
    spin_s=st.floats(0, 100),
    workers=st.integers(0, 64),
    workers_lost=st.integers(0, 64),
    interrupted=st.booleans(),
    failures=st.dictionaries(st.sampled_from(Failure), st.integers(1, 99)).map(Counter),
    histograms=st.fixed_dictionaries({kind: durations.map(filled) for kind in KINDS}),
    timeline=st.lists(intervals, max_size=3),
)


@given(result=results)
def test_the_wire_carries_a_result_exactly(result):
    wire = json.loads(json.dumps(result.to_wire()))
    back = Result.from_wire(wire)
    assert back.to_json() == result.to_json()
    assert json.loads(json.dumps(back.to_wire())) == wire
    assert back.workload == result.workload


@given(parts=st.lists(results, min_size=2, max_size=3))
def test_merging_adds_counts_and_pools_durations(parts):
    expected = {kind: Histogram() for kind in KINDS}
    for part in parts:
        for kind in KINDS:
            expected[kind].merge(part.histograms[kind])
    sums = {
        name: sum(getattr(part, name) for part in parts)
        for name in (
            "sent",
            "failed",
            "in_flight",
            "due",
            "idle_closed",
            "connections_established",
            "workers",
            "workers_lost",
        )
    }
    failures = sum((part.failures for part in parts), Counter())
    window = min(part.window_start_ns for part in parts), max(part.window_end_ns for part in parts)
    merged, *others = parts
    for other in others:
        merged.merge(other)
    assert {name: getattr(merged, name) for name in sums} == sums
    assert merged.failures == failures
    assert (merged.window_start_ns, merged.window_end_ns) == window
    for kind in KINDS:
        assert merged.histograms[kind].counts.tolist() == expected[kind].counts.tolist()


@given(result=results)
def test_every_json_key_has_its_unit_and_every_missing_value_is_null(result):
    fields = result.to_json()
    assert json.dumps(fields, allow_nan=False)
    for kind in KINDS:
        for name in ("mean", "p50", "p90", "p99", "p999", "max"):
            assert f"{kind}_{name}_ns" in fields
    assert (fields["response_mean_ns"] is None) == (fields["replies"] == 0)
    assert summary.text(result, "127.0.0.1:1")


RIGHT = [
    # replies and nothing else
    ({}, 1, 0, True),
    # connections that were lost are no wrong reply
    ({Failure.RESET: 1, Failure.TIMEOUT: 2, Failure.REFUSED: 3, Failure.CLOSED_EARLY: 5}, 1, 0, True),
    # of a load that was asked for, more than one in a hundred was not made
    ({Failure.UNSENT: 1}, 99, 0, True),
    ({Failure.UNSENT: 2}, 99, 0, False),
    ({Failure.NO_LOCAL_PORT: 2}, 99, 0, False),
    ({Failure.NO_DESCRIPTOR: 2}, 99, 0, False),
    # a wrong reply, or half of one
    ({Failure.MISMATCH: 1}, 1, 0, False),
    ({Failure.SHORT_REPLY: 1}, 1, 0, False),
    # nothing measured
    ({}, 0, 0, False),
    # a part of the load was lost
    ({}, 1, 1, False),
]


@pytest.mark.parametrize(("failures", "replies", "lost", "right"), RIGHT)
def test_a_result_is_right_with_replies_and_none_wrong(failures, replies, lost, right):
    result = Result(workload=Workload(), failures=Counter(failures), workers_lost=lost, sent=replies)
    result.histograms["response"] = filled([1_000] * replies)
    assert result.is_right == right


def test_a_load_that_ended_before_its_window_can_still_be_told():
    result = Result(workload=Workload(), cpu_s=0.1, spin_s=0.1, interrupted=True)
    assert "0%   of a core, 0% spent waiting actively" in summary.text(result, "127.0.0.1:1")


def test_in_a_closed_loop_service_is_response():
    result = Result(
        workload=Workload(), histograms={**{kind: Histogram() for kind in KINDS}, "response": filled([7] * 9)}
    )
    assert result.to_json()["service_p50_ns"] == result.to_json()["response_p50_ns"] == 7
    assert result.to_json()["lateness_p50_ns"] is None


@pytest.mark.parametrize(("longest_ns", "told"), [(999_000_000, False), (1_000_000_000, True)])
def test_connecting_for_a_second_names_the_backlog(longest_ns, told):
    histograms = {kind: Histogram() for kind in KINDS}
    result = Result(workload=Workload(), histograms={**histograms, "connect": filled([50_000, longest_ns])})
    assert ("backlog is full: call listen() with a larger one" in summary.text(result, "127.0.0.1:1")) == told


@pytest.mark.parametrize(
    ("failure", "words"),
    [(Failure.NO_LOCAL_PORT, "widen net.ipv4.ip_local_port_range"), (Failure.NO_DESCRIPTOR, "raise the limit (ulimit")],
)
@pytest.mark.parametrize("replies", [[], [50_000]])
def test_what_this_machine_lacked_is_said_with_its_cure(failure, words, replies):
    """With replies below the table, and without any in its place; never as a fault of the server."""
    histograms = {kind: Histogram() for kind in KINDS} | {"response": filled(replies)}
    result = Result(workload=Workload(), failures=Counter({failure: 5}), histograms=histograms)
    said = summary.text(result, "127.0.0.1:1") if replies else summary.why_blank(result, "127.0.0.1:1")
    assert words in said
    assert "start the server" not in said


DURATIONS = [(None, "-"), (0, "0 ns"), (999, "999 ns"), (1_500, "1.5 us"), (2_340_000, "2.34 ms"), (5e9, "5 s")]
DURATIONS += [(999.9999, "1 us"), (1e6 - 1, "1 ms"), (2e12, "2000 s")]  # never 1e+03


@pytest.mark.parametrize(("value_ns", "text"), DURATIONS)
def test_durations_for_people(value_ns, text):
    assert summary.duration(value_ns) == text


@pytest.mark.parametrize("width", [40, 60, 80])
def test_what_is_told_of_a_load_fits_the_terminal(width):
    histograms = {kind: filled([999_600, 12_300_000]) for kind in KINDS}
    result = Result(workload=Workload(rate_per_s=1e5, arrivals="poisson"), cpu_s=0.1, spin_s=0.1, histograms=histograms)
    wide, fitted = (summary.text(result, "127.0.0.1:54321", columns) for columns in (None, width))
    assert max(map(len, fitted.splitlines())) <= width
    assert sorted(fitted.split()) == sorted(wide.split()), "no word and no number is broken"
