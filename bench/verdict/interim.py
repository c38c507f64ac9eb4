"""Looks at the data at planned numbers of pairs, which together give no more false alarms than one look.

The boundary is constant in z (Pocock 1977). How often pure noise crosses it at any of the looks is computed by the
recursion of Armitage, McPherson and Rowe (1969) on a Brownian motion observed at the looks. The signed-rank statistic
has lighter tails than that, so the true rate lies a little below. No test statistic is here.
"""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtr, ndtri

if TYPE_CHECKING:
    from bench.stats import Floats

_GRID = 201
_FAR = -8.0
_PRECISION = 1e-9


def planned(pairs: int, *, most: int = 4, apart: int = 10) -> tuple[int, ...]:
    """Evenly spaced looks that end at `pairs`: at most `most`, and no fewer than `apart` pairs between them."""
    count = max(1, min(most, pairs // apart))
    return tuple(math.ceil(pairs * look / count) for look in range(1, count + 1))


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
