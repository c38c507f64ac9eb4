"""Numbers for people: the only place where a value loses digits, gains a unit, or gets its interval beside it.

There is one notation for an estimate, `point [low, high]`, and `estimate` is its only writer; in a sentence it is
`point (low to high)`, by `spoken`. Computes nothing.
"""

from __future__ import annotations

import math
import re
import textwrap
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_NUMBER_AND_UNIT = re.compile(r"(\d) (?=(?:%|[nµm]?s|[KMG]i?B|B|minutes|pairs|trials|to)(?:\W|$))")
_INTERVAL = re.compile(r"\[[-+\d][^][]*\]")

_BEGINNING = re.compile(r"\s*(?:\S+\s{2,})?")
"""What the folded rest of a line stands under: its indent, and the word of its cell."""

NOT_KNOWN = "-"
"""How a table writes a number that is not known."""


Steps = tuple[tuple[float, str], ...]
"""Factors of a quantity with their units, the largest first."""

DURATIONS: Steps = ((1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns"))
SIZES: Steps = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1.0, "B"))
THOUSANDS: Steps = ((1e9, "G"), (1e6, "M"), (1e3, "k"), (1.0, ""))


class Bounded(Protocol):
    """A number with its bounds, such as `bench.stats.Estimate`."""

    @property
    def value(self) -> float:
        """The point."""

    @property
    def low(self) -> float:
        """The lower bound, NaN if none can be stated."""

    @property
    def high(self) -> float:
        """The upper bound, NaN if none can be stated."""


_TENTH = 0.1
"""Below this two decimals of a ratio say next to nothing."""

_THOUSANDTH = 0.001
"""Below this three decimals of a ratio would be those of nothing."""


def estimate(found: Bounded | None, write: Callable[[float], str]) -> str:
    """Write a point with its interval: `1.24 [1.10, 1.40]`. `write` writes each of the three numbers.

    The point stands alone where no interval could be stated. A point that is not known is `-`.
    """
    if found is None or math.isnan(found.value):
        return NOT_KNOWN
    return f"{write(found.value)} {bounds(found, write)}".rstrip()


def bounds(found: Bounded, write: Callable[[float], str]) -> str:
    """Write the interval alone: `[1.10, 1.40]`; nothing where it could not be stated."""
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        return ""
    return f"[{write(found.low)}, {write(found.high)}]"


def spoken(found: Bounded) -> str:
    """Write a fraction with its interval as a sentence has it: `9.3 % (1.2 to 18)`; the point alone without one."""
    if not (math.isfinite(found.low) and math.isfinite(found.high)):
        return share(found.value)
    low, high = (share(bound).removesuffix(" %") for bound in (found.low, found.high))
    return f"{share(found.value)} ({low} to {high})"


def plural(number: int, noun: str) -> str:
    """Write `1 trial` or `1,200 trials`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def listed(parts: Iterable[str]) -> str:
    """Write `a`, `a and b` or `a, b and c`, each once."""
    unique = list(dict.fromkeys(parts))
    return " and ".join(filter(None, (", ".join(unique[:-1]), unique[-1])))


def percent(fraction: float, *, signed: bool = True) -> str:
    """Write 0.068 as `+6.8 %`, and unsigned 0.05 as `5 %`; `unknown` for NaN."""
    if math.isnan(fraction):
        return "unknown"
    points = round(100 * fraction, 1 if abs(fraction) < 1 else 0) + 0.0  # which makes of -0.0 a plain zero
    return f"{points:+.{1 if abs(fraction) < 1 else 0}f} %" if signed else f"{points:g} %"


def share(fraction: float) -> str:
    """Write the share 0.05 as `5 %`; `unknown` for NaN."""
    return percent(fraction, signed=False)


def ratio(number: float) -> str:
    """Write a ratio with two decimals: `0.97`; with three below a tenth: `0.097`; `unknown` for NaN.

    What is above zero is never written as zero: below a thousandth it has three digits.
    """
    if math.isnan(number):
        return "unknown"
    if 0 < abs(number) < _THOUSANDTH:
        return _three_digits(number)
    return f"{number:.3f}" if abs(number) < _TENTH else f"{number:.2f}"


def number(value: float) -> str:
    """Write a number without a unit: `1.24`, `1,230`; `unknown` for NaN."""
    return "unknown" if math.isnan(value) else _three_digits(value)


def count(number: float) -> str:
    """Write 1000 as `1,000`; `unknown` for NaN."""
    return "unknown" if math.isnan(number) else f"{number:,.0f}"


def rate(per_s: float) -> str:
    """Write 52341.7 as `52,300/s`; `unknown` for NaN."""
    return "unknown" if math.isnan(per_s) else f"{_three_digits(per_s)}/s"


def duration(ns: float) -> str:
    """Write nanoseconds as `950 ns`, `12.4 µs`, `3.1 ms` or `1.25 s`, three digits at most; `unknown` for NaN."""
    return _scaled(ns, DURATIONS)


def size(number: float) -> str:
    """Write bytes as `64 B`, `1 KiB` or `19.4 MiB`, three digits from 1 KiB on; `unknown` for NaN."""
    if abs(number) < 2**10:
        return f"{number:,.0f} B"
    return _scaled(number, SIZES)


def compact(number: float) -> str:
    """Write 50000 as `50k` and 1500000 as `1.5M`, for the ticks of an axis."""
    return _scaled(number, THOUSANDS).replace(" ", "")


def _scaled(number: float, units: Steps) -> str:
    """Write a number in the largest unit of which it is at least one, after rounding to three digits."""
    if math.isnan(number):
        return "unknown"
    if number == 0:
        return f"0 {units[-1][1]}".rstrip()
    factor, unit = next((unit for unit in units if float(f"{abs(number) / unit[0]:.3g}") >= 1), units[-1])
    return f"{_three_digits(number / factor)} {unit}".rstrip()


def _three_digits(number: float) -> str:
    """Round to three significant digits, keep all digits before the point, group thousands, drop trailing zeros."""
    rounded = float(f"{number:.3g}")
    return f"{rounded:,.10f}".rstrip("0").rstrip(".")


def folded(text: str, width: int | None) -> str:
    """Fold the lines of a text between words, each under its own beginning. A number stays with its unit."""
    if width is None:
        return text
    return "\n".join(line if len(line) <= width else _fold(line, width) for line in text.split("\n"))


def _fold(line: str, width: int) -> str:
    beginning = _BEGINNING.match(line)
    assert beginning is not None
    parts = textwrap.wrap(
        unbroken(line),
        width,
        subsequent_indent=" " * beginning.end(),
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(parts).replace("\N{NO-BREAK SPACE}", " ")


def unbroken(text: str) -> str:
    """Return a text in which no line break parts a number from its unit, or an interval in two."""
    text = _NUMBER_AND_UNIT.sub("\\1\N{NO-BREAK SPACE}", text)
    return _INTERVAL.sub(lambda interval: interval[0].replace(" ", "\N{NO-BREAK SPACE}"), text)
