"""Looks at the data at planned numbers of pairs, which together give no more false alarms than one look.

The boundary is constant in z (Pocock 1977). How often pure noise crosses it at any of the looks is computed by the
recursion of Armitage, McPherson and Rowe (1969) on a Brownian motion observed at the looks. The signed-rank statistic
has lighter tails than that, so the true rate lies a little below. Of the test itself, only the fewest pairs with which
it can decide count here.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri

from bench.stats import smallest_firing

if TYPE_CHECKING:
    from bench.stats import Floats

_GRID = 201
_FAR = -8.0
_PRECISION = 1e-9


def planned(pairs: int, alpha: float, *, most: int = 4) -> tuple[int, ...]:
    """Return the looks of a signed-rank test with one-sided `alpha`: at most `most`, the last of them at `pairs`.

    They are equally far apart, and the first is at a number of pairs that can decide something. One that would be less
    than half of that distance before the last is left out.
    """
    apart = max(smallest_firing(alpha), math.ceil(pairs / most))
    while True:
        looks = (*range(apart, pairs - math.ceil(apart / 2) + 1, apart), pairs)
        if len(looks) == 1 or smallest_firing(nominal_alpha(alpha, looks)) <= apart:
            return looks
        apart += 1


@lru_cache(maxsize=65536)
def overall_p(p: float, looks: tuple[int, ...]) -> float:
    """Return the probability that noise gives a one-sided p-value this small at any look; `p` itself for one look."""
    if len(looks) == 1 or p >= 0.5:  # noqa: PLR2004 - evidence for the other side needs no correction
        return p
    return max(p, _crossing(-float(ndtri(p)), looks))


@lru_cache(maxsize=4096)
def nominal_alpha(alpha: float, looks: tuple[int, ...]) -> float:
    """Return the p-value to ask for at each look, so that all looks together err with probability `alpha`."""
    if len(looks) == 1:
        return alpha
    low, high = -float(ndtri(alpha)), -float(ndtri(alpha / len(looks)))
    while high - low > _PRECISION:
        z = (low + high) / 2
        low, high = (z, high) if _crossing(z, looks) > alpha else (low, z)
    return float(ndtr(-high))


def _crossing(z: float, looks: tuple[int, ...]) -> float:
    """P(a Brownian motion, standardised, lies above z at one of the looks)."""
    times = np.array(looks, dtype=float) / looks[-1]
    x = np.linspace(_FAR, z, _GRID) * math.sqrt(times[0])
    mass = _density(x / math.sqrt(times[0])) / math.sqrt(times[0]) * _trapezoid(x)
    crossed = float(ndtr(-z))
    for before, now in pairwise(times):
        step, limit = math.sqrt(now - before), z * math.sqrt(now)
        crossed += float(mass @ ndtr((x - limit) / step))
        to = np.linspace(_FAR * math.sqrt(now), limit, _GRID)
        mass = mass @ _density((to[None, :] - x[:, None]) / step) / step * _trapezoid(to)
        x = to
    return crossed


def _density(x: Floats) -> Floats:
    return np.exp(-x * x / 2) / math.sqrt(2 * math.pi)


def _trapezoid(x: Floats) -> Floats:
    weights = np.full(x.size, x[1] - x[0])
    weights[[0, -1]] /= 2
    return weights
