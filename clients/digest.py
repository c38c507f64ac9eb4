"""Turns what was recorded into distributions: of each second for the log, of each interval, and of the whole window.

Counting ten thousand durations is a pause in somebody's latency, so it is done when the window is over. The durations
of a long window would take too much memory until then. They are counted as they come, and an open loop's in pieces:
`take` yields after each piece, and the load sends and receives in between. Nothing that reads a socket may be added.
"""

from __future__ import annotations

import time
from collections import deque
from typing import TYPE_CHECKING

from clients.faults import of_server
from clients.histogram import Compact, Histogram, counted
from clients.result import KINDS, Interval, Result, side_by_side

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clients.clock import NowNs
    from clients.hlog import IntervalLog
    from clients.recorder import Durations, Recorded
    from clients.workload import Workload

_SECOND_NS = 1_000_000_000
_INTERVAL_NS = 100_000_000  # of the timeline, at least
_TIMELINE_LENGTH = 100  # intervals at the most, so that memory does not grow with the run
_UNLOGGED_MAX = 60  # seconds whose distributions wait to be encoded
COUNTED_LATER_S_MAX = 5.0  # so long a window is counted when it is over
_RECORD_BYTES = 24  # of a response and a service time, and half as much for columns that grow
_RATE_MAX_PER_S = 500_000  # more than any process can do
PIECE = 2048  # durations counted in some 50 us


def kept_bytes(workload: Workload, workers: int) -> int:
    """Return how much one of so many workers keeps until it is counted: 0 in a closed loop, whose rate is not known."""
    if workload.rate_per_s is None:
        return 0
    kept_s = min(workload.duration_s, COUNTED_LATER_S_MAX)
    return round(kept_s * min(workload.rate_per_s / workers, _RATE_MAX_PER_S) * _RECORD_BYTES)


class Digest:
    """Fills the histograms and the timeline of `result`, slice by slice, and writes the log in the end.

    A slice may end late by up to half of `tick_ns`: it still belongs to the interval and second that it would have.
    `piece` durations are counted before `take` yields; all of a kind at once if it is None.
    """

    def __init__(
        self, result: Result, *, log: IntervalLog | None, tick_ns: int, piece: int | None, clock: NowNs
    ) -> None:
        self._result, self._log, self._now_ns = result, log, clock
        self._slack_ns = tick_ns // 2
        self._piece = piece
        self._second = {kind: Histogram() for kind in KINDS}
        self._second_start_ns = self._second_end_ns = 0
        self._undigested: deque[tuple[Recorded, int]] = deque()
        self._unlogged: deque[tuple[float, float, dict[str, Compact]]] = deque()
        self._interval = _OpenInterval(0)
        self._interval_length_ns = 0
        self._waits = False

    def add_opened(self, connect_ns: Durations) -> None:
        """Count how long the connections took that were made before the window."""
        self._second["connect"].add(connect_ns)

    def begin(self, begin_ns: int, end_ns: int) -> None:
        """Begin the window, which is to end at `end_ns`."""
        self._result.window_start_ns = self._second_start_ns = begin_ns
        self._interval = _OpenInterval(begin_ns)
        self._interval_length_ns = max(_INTERVAL_NS, (end_ns - begin_ns) // _TIMELINE_LENGTH)
        self._waits = end_ns - begin_ns <= COUNTED_LATER_S_MAX * _SECOND_NS

    def take(self, taken: Recorded, at_ns: int) -> Iterator[None]:
        """Take what was recorded until `at_ns`. Yield where something more urgent may be done."""
        self._undigested.append((taken, at_ns))
        if not self._waits:
            yield from self._digest_oldest()

    def _digest_oldest(self) -> Iterator[None]:
        taken, at_ns = self._undigested.popleft()
        if taken.failures:
            self._result.failures.update(taken.failures)
            self._interval.errors += of_server(taken.failures)
        yield
        for kind, histogram in self._second.items():
            for values_ns in self._pieces(taken.durations(kind)):
                counts = counted(values_ns)
                histogram.add_counted(counts)
                if kind == "response":
                    self._interval.response.add_counted(counts)
                yield
        self._interval.end_ns = self._second_end_ns = at_ns
        if at_ns - self._interval.begin_ns >= self._interval_length_ns - self._slack_ns:
            self._close_interval()
            yield
        if at_ns - self._second_start_ns >= _SECOND_NS - self._slack_ns:
            yield from self._close_second()

    def finish(self) -> None:
        """Digest what was taken, and close what is open."""
        while self._undigested:
            for _ in self._digest_oldest():
                pass
        if self._interval.end_ns > self._interval.begin_ns:
            self._close_interval()
        for _ in self._close_second():
            pass

    def write_log(self) -> None:
        """Encode and write the seconds that are closed: milliseconds for each, so what can is left for the end."""
        for _ in self._write():
            pass

    def _write(self) -> Iterator[None]:
        while self._unlogged:
            since_epoch_s, length_s, second = self._unlogged.popleft()
            assert self._log is not None
            recorded = {kind: Histogram.expand(held) for kind, held in second.items()}
            self._log.write(since_epoch_s, length_s, side_by_side(self._result.workload, recorded))
            yield

    def _pieces(self, values_ns: Durations) -> Iterator[Durations]:
        piece = self._piece or max(1, values_ns.size)
        for begin in range(0, values_ns.size, piece):
            yield values_ns[begin : begin + piece]

    def _close_interval(self) -> None:
        self._result.timeline.append(self._interval.close(self._result.window_start_ns))

    def _close_second(self) -> Iterator[None]:
        """Add the second to the whole, and keep it for the log."""
        closed = {}
        is_logged = self._log is not None and self._second_end_ns > self._second_start_ns
        for kind, histogram in self._second.items():
            self._result.histograms[kind].merge(histogram)
            if is_logged:
                closed[kind] = histogram.compact()
            histogram.clear()
            yield
        if is_logged:
            since_epoch_s = time.time() - (self._now_ns() - self._second_start_ns) / 1e9
            self._unlogged.append((since_epoch_s, (self._second_end_ns - self._second_start_ns) / 1e9, closed))
        self._second_start_ns = self._second_end_ns
        if len(self._unlogged) >= _UNLOGGED_MAX:
            yield from self._write()


class _OpenInterval:
    """The interval of the timeline that is being filled."""

    def __init__(self, begin_ns: int) -> None:
        self.begin_ns = self.end_ns = begin_ns
        self.errors = 0
        self.response = Histogram()

    def close(self, window_ns: int) -> Interval:
        """Return what it holds, and begin the next."""
        length_ns = self.end_ns - self.begin_ns
        closed = Interval(self.begin_ns - window_ns, length_ns, self.errors, self.response.compact())
        self.begin_ns, self.errors = self.end_ns, 0
        self.response.clear()
        return closed
