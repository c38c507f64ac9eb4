"""When requests fall due: pure, seeded iterators of nanoseconds after the start. Nothing here reads a clock.

One schedule serves all connections. Arrivals of a rate r(t) are found by inverting its integral R(t): request n is due
at R^-1(n) with constant arrivals, and at R^-1(E1 + ... + En), the E exponential with mean 1, with Poisson arrivals
(time rescaling; Cinlar, Introduction to Stochastic Processes, 1975). Of W workers each takes every W-th constant
arrival, or a Poisson process of a W-th of the rate: both merge into the whole schedule.
"""

from __future__ import annotations

import math
from array import array
from itertools import accumulate, chain, count, repeat
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from clients.shapes import Constant

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from clients.workload import Workload

_STANDSTILL_PER_S = 1e-100
_NEVER_NS = 2.0**62


class RateCurve:
    """A rate that is linear in pieces over time, and the inverse of its integral."""

    def __init__(self, pieces: list[tuple[float, float, float]]) -> None:
        """Take pieces of (seconds, rate at the start, rate at the end); the last rate goes on for ever."""
        self._pieces: list[_Piece] = []
        time_s = count = 0.0
        for length_s, start, end in pieces:
            begin, count = count, count + length_s * (start + end) / 2
            self._pieces.append(_Piece(time_s, begin, count, start, (end - start) / length_s))
            time_s += length_s
        self._pieces.append(_Piece(time_s, count, math.inf, pieces[-1][2], 0.0))

    def times_s(self, counts: Iterable[float]) -> Iterator[float]:
        """Yield when the integral of the rate reaches each of the counts, which never go down, in seconds."""
        pieces = iter(self._pieces)
        begin_s, begin, end, rate, slope = next(pieces)
        for wanted in counts:
            while wanted >= end:
                begin_s, begin, end, rate, slope = next(pieces)
            left = wanted - begin
            # The root of rate*t + slope*t**2/2 = left in the form that does not cancel when the slope is small.
            root = math.sqrt(max(rate * rate + 2 * slope * left, 0.0)) if slope else rate
            yield begin_s + 2 * left / max(rate + root, _STANDSTILL_PER_S)


class _Piece(NamedTuple):
    """Where a piece begins, in time and in the integral, where it ends in that, its first rate, and how that grows."""

    begin_s: float
    begin: float
    end: float
    rate: float
    slope: float


def due_times_ns(workload: Workload, *, worker: int = 0, workers: int = 1) -> Iterator[int]:
    """Return the due times of one worker's requests without end, in order, in ns after the start.

    The profile of a rate spans the window; warm-up has the rate with which it begins. Raises nothing; the workload has
    been checked. A rate that has ended at 0 is due again in a hundred years. They are made one by one: to make
    hundreds ahead would be a pause of 0.15 ms, in which requests fall due.
    """
    assert workload.rate_per_s is not None
    if workload.rate_profile is None and workload.arrivals == "constant":
        interval_ns = min(1e9 / workload.rate_per_s, _NEVER_NS)
        return map(int, map(interval_ns.__mul__, count(worker, workers)))
    shape = (workload.rate_profile or Constant(workload.rate_per_s)).pieces()
    pieces = [(workload.warmup_s, shape[0].start, shape[0].start)] if workload.warmup_s else []
    pieces += [(share * workload.duration_s, start, end) for share, start, end in shape]
    times_s = RateCurve(pieces).times_s(_counts(workload, worker, workers))
    return (int(min(time_s * 1e9, _NEVER_NS)) for time_s in times_s)


def _counts(workload: Workload, worker: int, workers: int) -> Iterator[float]:
    """Return at what counts of the whole schedule the requests of a worker are due."""
    if workload.arrivals != "poisson":
        return count(worker, workers)
    random = Random(f"{workload.seed}/{worker}")
    return accumulate(random.expovariate(1 / workers) for _ in repeat(None))


def start_delay_s(workload: Workload, number: int) -> float:
    """Return how long after the start connection `number` is opened and busy, by the profile of connections.

    It begins when the level is nearer to it than to one connection less, so that the last of a ramp has a turn too.
    """
    if workload.connections_profile is None:
        return 0.0
    elapsed_s = workload.warmup_s
    for position, (share, start, end) in enumerate(workload.connections_profile.pieces()):
        if number < start:
            return elapsed_s if position else 0.0
        if number < end:
            return elapsed_s + share * workload.duration_s * (number - start + 0.5) / (end - start)
        elapsed_s += share * workload.duration_s
    return elapsed_s


class Schedule:
    """The due times of one worker in clock nanoseconds: `take()` returns each once, the earliest first."""

    __slots__ = ("_due_times", "_start_ns", "take")

    def __init__(self, due_times: Iterator[int], start_ns: int) -> None:
        """Take due times relative to `start_ns`."""
        self._due_times, self._start_ns = due_times, start_ns
        self.take: Callable[[], int] = map(start_ns.__add__, due_times).__next__

    def shift(self, by_ns: int) -> None:
        """Have everything that was not taken yet fall due that much later. Not after `backlog`."""
        self._start_ns += by_ns
        self.take = map(self._start_ns.__add__, self._due_times).__next__

    def backlog(self, at_ns: int) -> int:
        """Return how many requests were due before `at_ns` and were not taken."""
        waiting = array("q")  # while a server stands still, it becomes millions
        while (due_ns := self.take()) < at_ns:
            waiting.append(due_ns)
        self.take = chain(waiting, [due_ns], iter(self.take, None)).__next__
        return len(waiting)
