"""The digest: counting in pieces changes nothing, and what it fills adds up to what it was given."""

from __future__ import annotations

from array import array
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients import digest as digest_module
from clients.digest import PIECE, Digest
from clients.faults import Failure, of_server
from clients.histogram import Histogram
from clients.recorder import Recorded
from clients.result import KINDS, Result
from clients.workload import Workload

TICK_NS = 100_000_000
BEGIN_NS = 7_000_000_000


def columns(pairs):
    return array("q", [pair[0] for pair in pairs]), array("q", [pair[1] for pair in pairs])


replies = st.lists(st.tuples(st.integers(0, 10**10), st.integers(0, 10**10)), max_size=30).map(columns)
durations = st.lists(st.integers(0, 10**10), max_size=30).map(lambda values: array("q", values))
slices = st.lists(
    st.builds(
        lambda replies, connect, failures: Recorded(replies[0], replies[1], connect, failures),
        replies=replies,
        connect=durations,
        failures=st.dictionaries(st.sampled_from(list(Failure)), st.integers(1, 5)).map(Counter),
    ),
    min_size=1,
    max_size=25,
)


class Log:
    """Keeps the lines that an interval log would write."""

    def __init__(self):
        self.lines = []

    def write(self, since_epoch_s, length_s, distributions):
        assert since_epoch_s > 0
        self.lines.append((length_s, {kind: histogram.compact() for kind, histogram in distributions.items()}))


def digested(taken, *, piece=None, waits=False):
    """Give slices to a digest, a tick apart; return the result, the log, and how often it would have let others run."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(digest_module, "COUNTED_LATER_S_MAX", (len(taken) * TICK_NS - (not waits)) / 1e9)
        return _digested(taken, piece=piece)


def _digested(taken, *, piece):
    times_ns = [BEGIN_NS + number * TICK_NS for number in range(1, len(taken) + 1)]
    return _digested_at(times_ns, taken, piece=piece)


def _digested_at(times_ns, taken, *, piece=None):
    result, log = Result(workload=Workload()), Log()
    made = Digest(result, log=log, tick_ns=TICK_NS, piece=piece, clock=lambda: BEGIN_NS)
    made.begin(BEGIN_NS, BEGIN_NS + len(taken) * TICK_NS)
    breaths = sum(1 for one, at_ns in zip(taken, times_ns, strict=True) for _ in made.take(one, at_ns))
    made.finish()
    made.write_log()
    return result, log, breaths


@given(taken=slices)
def test_digest_counts_once_in_result_timeline_and_log(taken):
    result, log, _ = digested(taken, piece=None)
    for kind in KINDS:
        values = np.concatenate([one.durations(kind) for one in taken])
        assert result.histograms[kind].count == values.size
        assert result.histograms[kind].total_ns == values.sum()
        assert sum(int(line[kind].counts.sum()) for _, line in log.lines) == values.size
    assert result.replies == sum(int(interval.response.counts.sum()) for interval in result.timeline)
    assert sum(interval.errors for interval in result.timeline) == sum(of_server(one.failures) for one in taken)
    assert result.failures == sum((one.failures for one in taken), Counter())
    assert sum(interval.length_ns for interval in result.timeline) == len(taken) * TICK_NS
    assert sum(length_s for length_s, _ in log.lines) == pytest.approx(len(taken) * TICK_NS / 1e9)


@given(taken=slices)
def test_digest_counts_in_pieces_what_it_counts_at_once(taken):
    whole, whole_log, _ = digested(taken, piece=None)
    pieced, pieced_log, _ = digested(taken, piece=3)
    assert pieced.to_wire() == whole.to_wire()
    assert len(pieced_log.lines) == len(whole_log.lines)


@given(taken=slices)
def test_digest_counts_at_the_end_what_it_counts_at_once(taken):
    at_once, _, _ = digested(taken)
    later, _, _ = digested(taken, waits=True)
    assert later.to_wire() == at_once.to_wire()


def test_digest_lets_others_run_after_every_piece_of_a_slice():
    values, nothing = array("q", range(10 * PIECE)), array("q")
    one = Recorded(response=values, service=nothing, connect=nothing, failures=Counter())
    _, _, whole = digested([one], piece=None)
    _, _, pieced = digested([one], piece=PIECE)
    assert pieced - whole == 9
    assert digested([one], piece=PIECE, waits=True)[2] == 0


@given(off_ns=st.lists(st.integers(0, TICK_NS // 2 - 1), min_size=25, max_size=25))
def test_digest_books_a_late_tick_in_its_own_interval_and_second(off_ns):
    taken = [Recorded(array("q", [number]), array("q"), array("q"), Counter()) for number in range(25)]
    times_ns = [BEGIN_NS + number * TICK_NS + off for number, off in enumerate(off_ns, start=1)]
    result, log, _ = _digested_at(times_ns, taken)
    assert [interval.to_json()["replies"] for interval in result.timeline] == [1] * 25
    assert [Histogram.expand(kinds["response"]).count for _, kinds in log.lines] == [10, 10, 5]
