"""A distribution of durations, in the buckets of an HDR histogram with three significant digits.

The buckets are those of HdrHistogram (Tene, https://hdrhistogram.org) with a lowest value of 1 ns, a highest of one
hour and three digits, so every HDR tool opens the payload that `encode` returns. numpy fills them, not the library's
`record_value`, which costs more than the exchange that it would record.

Histograms of one kind add up. Percentiles are taken after merging and are never averaged. What a percentile of several
trials means belongs to `bench`.
"""

from __future__ import annotations

import math
import zlib
from typing import Any, NamedTuple, Self

import numpy as np

try:
    from hdrh.codec import HdrCookieException, HdrLengthException
    from hdrh.histogram import HdrHistogram
except ModuleNotFoundError:  # there are no wheels for free-threaded Pythons, nor for Linux on ARM
    CAN_ENCODE = False
else:
    CAN_ENCODE = True
"""Whether histograms can be written to a log and read from one. Without, they can be filled and told all the same."""

Integers = np.ndarray[Any, np.dtype[np.int64]]

HIGHEST_NS = 3_600_000_000_000
DIGITS = 3
# Linear sub-buckets of an octave: 2048 resolve three digits, and the lower half of each is the octave before.
_HALF = 1024
_COUNTS = (HIGHEST_NS.bit_length() - 9) * _HALF  # up to the octave of the highest

# Both ends of the 95 % order-statistic interval of a quantile q must lie within the sample of n values. That is so if
# all of them lie below the quantile with a chance of at most 2.5 %: q ** n <= 0.025. Source: Le Boudec, Performance
# Evaluation of Computer and Communication Systems, 2010, section 2.2.
_TAIL = 0.025
_NORMAL = 1.96
"""Both tails of the normal distribution beyond so many standard deviations hold 5 %."""


def samples_needed(quantile: float) -> int:
    """Return how many values a quantile needs for a 95 % interval: 6 for the median, 368 for the 99th percentile."""
    return math.ceil(math.log(_TAIL) / math.log(max(quantile, 1 - quantile)))


def highest_quantile(samples: int) -> float:
    """Return the highest quantile that so many values, 1 or more, support: 0.99 takes 368 of them."""
    return float(_TAIL ** (1 / samples))


def bucket_indices(values_ns: Integers) -> Integers:
    """Return the HDR bucket of each duration, shape (n,); values outside [0, one hour] go to the nearest bucket."""
    return _bucket_indices(np.clip(values_ns, 0, HIGHEST_NS))


def _bucket_indices(values_ns: Integers) -> Integers:
    indices: Integers = np.where(values_ns < _HALF, values_ns, _logarithmic(values_ns))
    return indices


def _logarithmic(values_ns: Integers) -> Integers:
    # A float's bits are its exponent followed by its mantissa; exponent and first ten mantissa bits together count
    # 1024 steps per octave, which is the HDR index shifted by a constant. Exact: every value is below 2**53.
    indices: Integers = (values_ns.astype(np.float64).view(np.int64) >> 42) - (1023 + 9) * _HALF
    return indices


def _highest_equivalent(indices: Integers) -> Integers:
    octave = np.maximum(indices // _HALF - 1, 0)
    highest: Integers = ((indices - octave * _HALF + 1) << octave) - 1
    return highest


_VALUES_NS = _highest_equivalent(np.arange(_COUNTS, dtype=np.int64))


class Counted(NamedTuple):
    """Durations as counts per bucket, shape (n,) up to the last filled one, with their exact total and extremes."""

    counts: Integers
    total_ns: int
    min_ns: int
    max_ns: int


def counted(values_ns: Integers) -> Counted:
    """Count durations, shape (n,), n > 0, for as many histograms as want them. A value beyond an hour is an hour."""
    least, most = int(np.minimum.reduce(values_ns)), int(np.maximum.reduce(values_ns))
    if least < 0 or most > HIGHEST_NS:
        indices = bucket_indices(values_ns)
    else:  # in fewer steps: this is between two requests of a load
        indices = _logarithmic(values_ns) if least >= _HALF else _bucket_indices(values_ns)
    counts = np.bincount(indices)
    return Counted(counts, int(np.add.reduce(values_ns)), least, most)


def decoded(payload: str) -> tuple[Integers, Integers]:
    """Return the filled buckets of the histogram that `encode` wrote: their highest values in ns, and their counts.

    Both have the shape (n,), and values ascend. Raise ValueError if it is none, or one with other buckets.
    """
    counts = _decoded(payload)
    filled = np.flatnonzero(counts != 0)
    return _VALUES_NS[filled], counts[filled]


def _decoded(payload: str) -> Integers:
    try:
        found = HdrHistogram.decode(payload)
    except (zlib.error, HdrCookieException, HdrLengthException) as error:
        raise ValueError(repr(error)) from error
    made_with = (found.lowest_trackable_value, found.highest_trackable_value, found.significant_figures)
    if made_with != (1, HIGHEST_NS, DIGITS):
        raise ValueError(f"lowest value, highest value and digits are {made_with}")
    return np.frombuffer(found.counts, dtype=np.int64)


class Histogram:
    """Counts per bucket; `total_ns`, `min_ns` and `max_ns` are exact.

    Only the first `_used` buckets may hold anything: most durations are far below an hour, and to go through all its
    buckets would take ten times as long.
    """

    __slots__ = ("_used", "counts", "max_ns", "min_ns", "total_ns")

    def __init__(self) -> None:
        self.counts = np.zeros(_COUNTS, dtype=np.int64)
        self._forget()

    def clear(self) -> None:
        """Count anew from nothing, in the same memory."""
        self.counts[: self._used] = 0
        self._forget()

    def _forget(self) -> None:
        self._used = 0
        self.total_ns = 0
        self.min_ns: int | None = None
        self.max_ns: int | None = None

    def add(self, values_ns: Integers) -> None:
        """Count durations, shape (n,). Nothing is dropped: a value beyond an hour counts as an hour."""
        if values_ns.size:
            self.add_counted(counted(values_ns))

    def add_counted(self, durations: Counted) -> None:
        """Count durations that were counted already."""
        size = durations.counts.size
        self.counts[:size] += durations.counts
        self._used = max(self._used, size)
        self._extend(*durations[1:])

    def merge(self, other: Self) -> None:
        """Count all that another histogram counted."""
        self.counts[: other._used] += other.counts[: other._used]
        self._used = max(self._used, other._used)
        if other.min_ns is not None and other.max_ns is not None:
            self._extend(other.total_ns, other.min_ns, other.max_ns)

    def _extend(self, total_ns: int, min_ns: int, max_ns: int) -> None:
        self.total_ns += total_ns
        self.min_ns = min_ns if self.min_ns is None else min(self.min_ns, min_ns)
        self.max_ns = max_ns if self.max_ns is None else max(self.max_ns, max_ns)

    @property
    def count(self) -> int:
        """How many durations were counted."""
        return int(self.counts[: self._used].sum())

    def count_from(self, value_ns: int) -> int:
        """Return how many durations are so long or longer, to a bucket."""
        return int(self.counts[int(bucket_indices(np.array([value_ns]))[0]) : self._used].sum())

    @property
    def mean_ns(self) -> float | None:
        """The exact mean, None if nothing was counted."""
        return self.total_ns / count if (count := self.count) else None

    def percentile_ns(self, quantile: float) -> int | None:
        """Return the highest value of the bucket that holds the quantile, None if too few samples support it."""
        cumulative = np.cumsum(self.counts[: self._used])
        count = int(cumulative[-1]) if self._used else 0
        if count < samples_needed(quantile):
            return None
        rank = max(1, math.ceil(quantile * count - 1e-9))
        value = int(_VALUES_NS[int(np.searchsorted(cumulative, rank))])
        return value if self.max_ns is None else min(value, max(self.max_ns, 0))

    def percentile_bounds_ns(self, quantile: float) -> tuple[int, int] | None:
        """Return the 95 % order-statistic interval of a quantile, as if values were independent; None if too few are.

        The ranks are those of the normal approximation to the binomial. Source: Le Boudec 2010, section 2.2.
        """
        cumulative = np.cumsum(self.counts[: self._used])
        count = int(cumulative[-1]) if self._used else 0
        if count < samples_needed(quantile):
            return None
        half = _NORMAL * math.sqrt(count * quantile * (1 - quantile))
        ranks = max(1, math.floor(count * quantile - half)), min(count, math.ceil(count * quantile + half) + 1)
        low, high = (int(_VALUES_NS[int(np.searchsorted(cumulative, rank))]) for rank in ranks)
        return low, high

    def summary(self, kind: str) -> dict[str, float | None]:
        """Return `{kind}_{mean,p50,p90,p99,p999,max}_ns`; None where it is not known."""
        quantiles = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p999": 0.999}
        return {
            f"{kind}_mean_ns": self.mean_ns,
            **{f"{kind}_{name}_ns": self.percentile_ns(quantile) for name, quantile in quantiles.items()},
            f"{kind}_max_ns": self.max_ns,
        }

    def encode(self) -> str:
        """Return the compressed V2 payload in base64, as in an HDR interval log."""
        histogram = HdrHistogram(1, HIGHEST_NS, DIGITS)
        np.frombuffer(histogram.counts, dtype=np.uint64)[:] = self.counts
        histogram.total_count = self.count
        histogram.min_value = min(max(self.min_ns or 0, 0), HIGHEST_NS)
        histogram.max_value = min(max(self.max_ns or 0, 0), HIGHEST_NS)
        payload: bytes = histogram.encode()
        return payload.decode("ascii")

    @classmethod
    def decode(cls, payload: str) -> Self:
        """Return the histogram that `encode` wrote; its extremes and total are then known to a bucket only.

        Raise ValueError if it is none, or one with other buckets.
        """
        histogram = cls()
        histogram.counts[:] = _decoded(payload)
        filled = np.flatnonzero(histogram.counts != 0)
        if filled.size:
            histogram._used = int(filled[-1]) + 1
            histogram.min_ns, histogram.max_ns = int(_VALUES_NS[filled[0]]), int(_VALUES_NS[filled[-1]])
            histogram.total_ns = int(histogram.counts @ _VALUES_NS)
        return histogram

    def compact(self) -> Compact:
        """Return the filled buckets only, in the smallest integers: kilobytes instead of a quarter of a megabyte."""
        filled = np.flatnonzero(self.counts[: self._used])
        counts = self.counts[filled]
        smallest = np.min_scalar_type(int(counts.max(initial=0)))
        return Compact(filled.astype(np.uint16), counts.astype(smallest), self.total_ns, self.min_ns, self.max_ns)

    @classmethod
    def expand(cls, compact: Compact) -> Self:
        """Return the histogram that `compact` was made of, exactly."""
        histogram = cls()
        histogram.counts[compact.buckets] = compact.counts
        histogram._used = int(compact.buckets.max(initial=0)) + 1
        histogram.total_ns, histogram.min_ns, histogram.max_ns = compact.total_ns, compact.min_ns, compact.max_ns
        return histogram


class Compact(NamedTuple):
    """A histogram's filled buckets, shapes (n,) and (n,), and its exact total and extremes."""

    buckets: np.ndarray[Any, np.dtype[np.integer[Any]]]
    counts: np.ndarray[Any, np.dtype[np.integer[Any]]]
    total_ns: int
    min_ns: int | None
    max_ns: int | None

    def to_wire(self) -> list[Any]:
        """Return it as JSON types."""
        return [self.buckets.tolist(), self.counts.tolist(), *self[2:]]

    @classmethod
    def from_wire(cls, wire: list[Any]) -> Self:
        """Return what `to_wire` wrote."""
        buckets, counts, *rest = wire
        return cls(np.array(buckets, dtype=np.int64), np.array(counts, dtype=np.int64), *rest)
