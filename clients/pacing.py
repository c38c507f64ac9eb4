"""When requests fall due: pure, seeded iterators of nanoseconds after the start. Nothing here reads a clock.

One schedule serves all connections. Arrivals of a rate r(t) are found by inverting its integral R(t): request n is due
at R^-1(n) with constant arrivals, and at R^-1(E1 + ... + En), the E exponential with mean 1, with Poisson arrivals
(time rescaling; Cinlar, Introduction to Stochastic Processes, 1975). Of W workers each takes every W-th constant
arrival, or a Poisson process of a W-th of the rate: both merge into the whole schedule.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clients.workload import Profile, Workload

_CHUNK = 512
_STANDSTILL_PER_S = 1e-100
_NEVER_NS = 2.0**62


class RateCurve:
    """A rate that is linear in pieces over time, and the inverse of its integral."""

    def __init__(self, pieces: list[tuple[float, float, float]]) -> None:
        """Take pieces of (seconds, rate at the start, rate at the end); the last rate goes on for ever."""
        lengths_s, self._starts, ends = (np.array(column, dtype=float) for column in zip(*pieces, strict=True))
        self._slopes = (ends - self._starts) / lengths_s
        self._times_s = np.concatenate(([0.0], np.cumsum(lengths_s)))
        self._counts = np.concatenate(([0.0], np.cumsum(lengths_s * (self._starts + ends) / 2)))
        self._starts = np.append(self._starts, ends[-1])
        self._slopes = np.append(self._slopes, 0.0)

    def times_s(self, counts: np.ndarray[Any, np.dtype[np.float64]]) -> np.ndarray[Any, np.dtype[np.float64]]:
        """Return when the integral of the rate reaches each count, shape (n,), in seconds."""
        piece = np.clip(np.searchsorted(self._counts, counts, side="right") - 1, 0, self._starts.size - 1)
        start, slope, left = self._starts[piece], self._slopes[piece], counts - self._counts[piece]
        # The root of start*t + slope*t**2/2 = left in the form that does not cancel when the slope is small.
        root = np.sqrt(np.maximum(start**2 + 2 * slope * left, 0.0))
        speed = np.maximum(start + root, _STANDSTILL_PER_S)
        times: np.ndarray[Any, np.dtype[np.float64]] = self._times_s[piece] + 2 * left / speed
        return times


def due_times_ns(workload: Workload, *, worker: int = 0, workers: int = 1) -> Iterator[int]:
    """Yield the due times of one worker's requests without end, in order, in ns after the start.

    The profile of a rate spans the window; warm-up has the rate with which it begins. Raises nothing; the workload has
    been checked. A rate that has ended at 0 is due again in a hundred years.
    """
    assert workload.rate_per_s is not None
    profile: Profile = workload.rate_profile or ((1.0, workload.rate_per_s, workload.rate_per_s),)
    pieces = [(workload.warmup_s, profile[0][1], profile[0][1])] if workload.warmup_s else []
    pieces += [(share * workload.duration_s, start, end) for share, start, end in profile]
    curve = RateCurve(pieces)
    random = np.random.default_rng([workload.seed, worker])
    count = 0.0
    steps = np.arange(_CHUNK, dtype=float)
    while True:
        if workload.arrivals == "poisson":
            counts = count + np.cumsum(random.exponential(workers, _CHUNK))
            count = float(counts[-1])
        else:
            counts = (count + steps) * workers + worker
            count += _CHUNK
        yield from np.minimum(curve.times_s(counts) * 1e9, _NEVER_NS).astype(np.int64).tolist()


def primed(due_times: Iterator[int]) -> Iterator[int]:
    """Return the same due times, the first of them made already."""
    first = next(due_times)
    return chain((first,), due_times)


def start_delay_s(workload: Workload, number: int) -> float:
    """Return how long after the start connection `number` begins to be busy, by the profile of connections."""
    if not workload.connections_profile:
        return 0.0
    elapsed_s = workload.warmup_s
    for position, (share, start, end) in enumerate(workload.connections_profile):
        if number < start:
            return elapsed_s if position else 0.0
        if number < end:
            return elapsed_s + share * workload.duration_s * (number - start + 1) / (end - start)
        elapsed_s += share * workload.duration_s
    return elapsed_s


class Schedule:
    """The due times of one worker in clock nanoseconds, each taken once, the earliest first."""

    def __init__(self, due_times: Iterator[int], start_ns: int) -> None:
        """Take due times relative to `start_ns`."""
        self._due_times = due_times
        self._start_ns = start_ns
        self._waiting: deque[int] = deque()

    def take(self) -> int:
        """Return the next due time in clock nanoseconds."""
        return self._waiting.popleft() if self._waiting else self._start_ns + next(self._due_times)

    def backlog(self, at_ns: int) -> int:
        """Return how many requests were due before `at_ns` and were not taken."""
        while not self._waiting or self._waiting[-1] < at_ns:
            self._waiting.append(self._start_ns + next(self._due_times))
        return bisect_left(self._waiting, at_ns)
