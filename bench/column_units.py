"""The unit of a column, which the end of its name stands for: its words, and how a value is written in it.

A unit is a row of `_UNITS`. How numbers are written is decided in `bench/units.py`, which knows no column. Nothing else
may be imported, because every command reads this file, even for `--help`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import units

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, slots=True, kw_only=True)
class Unit:
    """A unit, which the end of a column's name stands for.

    `name` is the unit in words. `write` writes a value for people. `tick` writes it at an axis, whose ticks are
    multiples of `tick_base`. `seconds` is the number of seconds in one unit, or None if the unit is no time.
    """

    name: str
    write: Callable[[float], str]
    tick: Callable[[float], str]
    tick_base: float = 1.0
    seconds: float | None = None


def _time(name: str, seconds: float) -> Unit:
    def write(value: float) -> str:
        return units.duration(value * seconds * 1e9)

    return Unit(name=name, write=write, tick=write, seconds=seconds)


_UNITS = {
    "_us_per_reply": _time("µs per reply", 1e-6),
    "_per_reply": Unit(name="per reply", write=units.number, tick=units.number),
    "_per_s": Unit(name="per second", write=units.rate, tick=units.compact),
    "_bytes": Unit(name="bytes", write=units.size, tick=units.size, tick_base=2**20),
    "_ns": _time("ns", 1e-9),
    "_s": _time("s", 1.0),
    "_share": Unit(name="share of 1", write=units.share, tick=units.share),
}
_COUNT = Unit(name="count", write=units.count, tick=units.compact)


def unit_of(column: str) -> Unit:
    """Return the unit that a column's name ends in; a count if it ends in none."""
    return next((unit for end, unit in _UNITS.items() if column.endswith(end)), _COUNT)
