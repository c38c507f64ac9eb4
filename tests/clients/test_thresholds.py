"""Limits as people write them: what is read, what is said when it is wrong, and what a load says of one."""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest

from clients.cli import CANNOT_TELL, FAILED, FINE, INVALID, _status
from clients.faults import Failure
from clients.judging import COLUMNS, judge, thresholds_of
from clients.result import Result
from clients.thresholds import Finding, parse
from clients.workload import Workload, WorkloadError

MILLISECOND_NS = 1_000_000


@pytest.mark.parametrize(
    ("text", "column", "limit"),
    [
        ("p99 > 5ms", "response_p99_ns", 5e6),
        ("max > 5s", "response_max_ns", 5e9),
        ("p99.9>=1.5s", "response_p999_ns", 1.5e9),
        ("service_p50_ns < 250us", "service_p50_ns", 250e3),
        ("p50 > 40µs", "response_p50_ns", 40e3),
        ("throughput < 20k/s", "replies_per_s", 20e3),
        ("throughput <= 20,000", "replies_per_s", 20e3),
        ("errors > 0", "errors", 0.0),
        ("client_cpu_s > 500 ms", "client_cpu_s", 0.5),
    ],
)
def test_a_limit_is_read_in_its_own_unit(text, column, limit):
    found = parse(text, COLUMNS)
    assert (found.column, found.limit) == (column, limit)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("p98 > 5ms", "unknown metric 'p98': did you mean 'p99'?"),
        ("respnse_p99_ns > 5ms", "did you mean 'response_p99_ns'?"),
        ("p99 > 5", "'5' is no limit of p99: write a time with its unit, such as 5ms"),
        ("p99 > 5KiB", "'5KiB' is no limit of p99: write a time"),
        ("throughput < 5ms", "'5ms' is no limit of throughput: write a rate, such as 20000/s"),
        ("errors > 5ms", "write a number without a unit"),
        ("p99 > -5ms", "'-5ms' is no limit of p99"),
        ("p99 > nan", "'nan' is no limit of p99"),
        ("p99 > 1e400ms", "'1e400ms' is no limit of p99: no number passes it"),
        ("p99 > 5ms > 3ms", "'5ms > 3ms' is no limit of p99"),
        ("p99 = 5ms", "is not understood: write METRIC, one of >= <= > <, and VALUE, as in 'p99 > 5ms'"),
        ("", "is not understood"),
    ],
)
def test_a_wrong_limit_is_answered_with_what_is_right(text, says):
    with pytest.raises(WorkloadError) as caught:
        parse(text, COLUMNS)
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("comparison", "low", "high", "finding"),
    [
        (">", 5.1, 7, Finding.FAILED),
        (">", 5, 7, Finding.CANNOT_TELL),
        (">", 4, 5, Finding.OK),
        (">=", 5, 7, Finding.FAILED),
        ("<", 3, 4.9, Finding.FAILED),
        ("<", 5, 7, Finding.OK),
        ("<", 4, math.inf, Finding.CANNOT_TELL),
        (">", 6, math.inf, Finding.FAILED),
        (">", math.nan, math.nan, Finding.CANNOT_TELL),
    ],
)
def test_an_interval_fails_only_as_a_whole(comparison, low, high, finding):
    assert parse(f"sent {comparison} 5", COLUMNS).finding(low, high) is finding


def result(times_ns, **failures):
    """Return what a load of a second gave whose replies took these times."""
    made = Result(workload=Workload(connections=1), window_end_ns=1_000_000_000, sent=len(times_ns))
    made.histograms["response"].add(np.asarray(times_ns, dtype=np.int64))
    made.failures = Counter({Failure(kind): count for kind, count in failures.items()})
    return made


def test_a_percentile_is_judged_by_its_order_statistics():
    """Of 1 to 10,000 us, the 99th percentile is 9,900 us. Its bounds are 20 ranks away, rounded up to a bucket."""
    found = result(np.arange(1, 10_001) * 1000)
    (one,) = judge(found, thresholds_of(["p99 > 5ms"]))
    assert one.value == pytest.approx(9.9e6, rel=1e-3)
    assert (one.low, one.high) == pytest.approx((9.88e6, 9.921e6), rel=1e-3)
    assert one.sentence == "FAILED: p99 is above 5 ms: 9.9 ms [9.89 ms, 9.93 ms]"


@pytest.mark.parametrize(
    ("rules", "status"),
    [
        (["p99 > 20ms"], FINE),
        (["p99 > 9.9ms"], CANNOT_TELL),
        (["p99 > 9.9ms", "p50 > 1ms"], FAILED),
        (["p50 > 9ms", "throughput < 9999/s"], FINE),
        (["throughput <= 10000/s"], FAILED),
        (["p99 > 20ms", "service_p99_ns > 1ms"], FAILED),
    ],
)
def test_the_worst_finding_of_a_load_is_its_exit_status(rules, status):
    found = result(np.arange(1, 10_001) * 1000)
    assert _status(found, judge(found, thresholds_of(rules))) == status


def test_too_few_replies_cannot_be_told():
    found = result([MILLISECOND_NS] * 100)
    (one,) = judge(found, thresholds_of(["p99 > 5ms"]))
    assert one.sentence == "CANNOT-TELL: p99 is not known, too few replies support it: measure for longer"
    assert one.to_json()["value"] is None


def test_a_load_that_was_not_made_passes_no_threshold():
    found = result([MILLISECOND_NS] * 1000, unsent=500)
    assert _status(found, judge(found, thresholds_of(["p99 > 5ms"]))) == INVALID
    assert _status(found, judge(found, thresholds_of(["p99 > 500us"]))) == FAILED
    assert _status(result([], refused=3), judge(result([], refused=3), thresholds_of(["errors > 0"]))) == INVALID
