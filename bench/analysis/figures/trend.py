"""The places in a drawing of one cell over many runs: points with intervals, levels, changes. Its SVG is in a template.

It is drawn by hand and not by matplotlib, because a page has one for every cell, and all of them are alike. No number
is computed here but places.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.analysis.figures.canvas import nice_ticks
from bench.analysis.figures.palette import LIGHT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from bench.analysis.comparing.many_runs import CellHistory

WIDTH, LEFT, RIGHT = 420.0, 58.0, 40.0
TOP, BODY, AXIS = 26.0, 110.0, 48.0
"""Sizes in the units of the view box. Above the body is a line of text, and below it are three."""

LEAST = 0.1
"""A change by this fraction fills half of the body. If less filled it, noise would look like a change."""

_LABEL = 74.0
"""The middles of two labels of the axis are so far apart, at least."""

COLOURS = {
    "point": LIGHT.hues[0],
    "worse": LIGHT.hues[1],
    "worse_label": LIGHT.labels[1],
    "axis": LIGHT.muted,
    "grid": LIGHT.grid,
    "ink": LIGHT.ink,
}
"""Colours of the light theme. `svg.themed` turns them to those of the page."""


@dataclass(frozen=True, slots=True)
class _Places:
    """From the number of a run, and from a value above zero, to a place. The axis of the values is logarithmic."""

    runs: int
    low: float
    high: float

    @property
    def step(self) -> float:
        return (WIDTH - LEFT - RIGHT) / max(self.runs - 1, 1)

    def x(self, number: float) -> float:
        return round(LEFT + self.step * number if self.runs > 1 else (LEFT + WIDTH - RIGHT) / 2, 1)

    def y(self, value: float) -> float:
        share = (math.log(value) - self.low) / (self.high - self.low)
        return round(TOP + BODY * (1 - min(max(share, 0.0), 1.0)), 1)

    def is_cut(self, value: float) -> bool:
        return not math.exp(self.low) * (1 - 1e-9) <= value <= math.exp(self.high) * (1 + 1e-9)


def trend(cell: CellHistory, write: Callable[[float], str], *, is_worse: bool) -> dict[str, Any]:
    """Return what a template draws of a cell with one run or more. `write` writes a tick of the axis of values.

    The newest level is marked if it `is_worse`. `is_cut` says that an interval goes on beyond the drawing.
    """
    at = _places(cell)
    points = [point.median for point in cell.points]
    numbers = {point.run: number for number, point in enumerate(cell.points)}
    levels = [
        {
            "x": (at.x(numbers[level.first]) - 4, at.x(numbers[level.last]) + 4),
            "y": at.y(level.median.value),
            "worse": is_worse and level is cell.levels[-1],
        }
        for level in cell.levels
    ]
    drawn = [
        {"x": at.x(number), "y": at.y(one.value), "bar": (at.y(one.low), at.y(one.high)) if one.bounded else None}
        for number, one in enumerate(points)
    ]
    ticks = nice_ticks(math.exp(at.low), math.exp(at.high), log=True)
    return {
        "size": {"width": WIDTH, "height": TOP + BODY + AXIS, "left": LEFT, "top": TOP, "bottom": TOP + BODY},
        "points": drawn,
        "levels": levels,
        "changes": [at.x(numbers[change.run] - 0.5) for change in cell.changes],
        "breaks": [at.x(numbers[run] - 0.5) for run, _ in cell.breaks],
        "one": at.y(1.0) if cell.against and not at.is_cut(1.0) else None,
        "ticks": [(at.y(tick), write(tick)) for tick in ticks],
        "labels": [(number, at.x(number)) for number in sorted(_labelled(cell, numbers, at))],
        "is_cut": any(one.bounded and (at.is_cut(one.low) or at.is_cut(one.high)) for one in points),
    }


def _places(cell: CellHistory) -> _Places:
    """Return the scale. Every value is on it, and as much of the intervals as does not press the values together."""
    values = [point.median for point in cell.points]
    low, high = math.log(min(one.value for one in values)), math.log(max(one.value for one in values))
    spare = max(high - low, math.log1p(LEAST)) / 2
    ends = [math.log(end) for one in values if one.bounded for end in (one.low, one.high) if end > 0]
    return _Places(
        len(values),
        max(min([low, *ends]), low - spare) if ends else low - spare,
        min(max([high, *ends]), high + spare) if ends else high + spare,
    )


def _labelled(cell: CellHistory, numbers: dict[str, int], at: _Places) -> Sequence[int]:
    """Return which runs are named at the axis: the first, the last, and where something changed, newest first."""
    found: list[int] = []
    for number in _worth_a_label(cell, numbers):
        if all(abs(at.x(number) - at.x(other)) >= _LABEL for other in found):
            found.append(number)
    return found


def _worth_a_label(cell: CellHistory, numbers: dict[str, int]) -> Iterator[int]:
    yield len(numbers) - 1
    if cell.step:
        yield numbers[cell.step.since]
    yield 0
    yield from sorted((numbers[run] for run in [*(one.run for one in cell.changes), *dict(cell.breaks)]), reverse=True)
