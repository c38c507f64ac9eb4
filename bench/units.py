"""Numbers for people: the only place where a value loses digits or gains a unit. Computes nothing."""

from __future__ import annotations

import math


def percent(fraction: float, *, signed: bool = True) -> str:
    """Write 0.068 as `+6.8 %`, and unsigned 0.05 as `5 %`; `unknown` for NaN."""
    if math.isnan(fraction):
        return "unknown"
    points = round(100 * fraction, 1 if abs(fraction) < 1 else 0)
    return f"{points:+.{1 if abs(fraction) < 1 else 0}f} %" if signed else f"{points:g} %"
