"""Whether a rate held within its window: the last third of the slices against the first. Imports nothing of ours.

A trial and a comparison ask the same question by the same rule: the rate moved if the whole interval of its drift lies
beyond the limit. They differ in the source of the interval. For one trial it is the noise of its slices (`drift`). For
a cell it is the drifts of its trials, from which `regress` takes an exact interval.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ERRORS = 2.5
"""Standard errors from the point to a bound. Noise alone crosses a bound in about one of some hundred trials."""


class Drift(NamedTuple):
    """By what fraction of the mean rate the last third of a window ran faster than the first, with its interval.

    It lies between -2 and 2, and changes sign when the thirds change places. `value` is NaN without three slices or
    without a reply; the bounds are NaN without two slices in a third.
    """

    value: float
    low: float
    high: float


def drift(slices: Sequence[Mapping[str, Any]]) -> Drift:
    """Return the drift of a trial from its timeline: mappings with `replies` and `slice_s`."""
    rates = [piece["replies"] / piece["slice_s"] for piece in slices]
    third = len(rates) // 3
    first, last = rates[:third], rates[len(rates) - third :]
    mean = math.fsum(first + last) / (2 * third) if third else 0.0
    if not mean > 0:
        return Drift(math.nan, math.nan, math.nan)
    value = (statistics.fmean(last) - statistics.fmean(first)) / mean
    if third == 1:
        return Drift(value, math.nan, math.nan)
    reach = ERRORS * math.sqrt((_variance(first) + _variance(last)) / third) / mean
    return Drift(value, value - reach, value + reach)


def _variance(values: Sequence[float]) -> float:
    """Return the variance of at least two values. `statistics` counts in fractions, which takes long."""
    mean = math.fsum(values) / len(values)
    return math.fsum((value - mean) ** 2 for value in values) / (len(values) - 1)


def is_beyond(low: float, high: float, limit: float) -> bool:
    """Say whether a whole interval lies beyond `limit` on either side of zero. With NaN for a bound it does not."""
    return low > limit or high < -limit
