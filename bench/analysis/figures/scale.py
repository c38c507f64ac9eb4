"""The scale of an axis, from the numbers that it must show. Nothing is drawn here."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.analysis.estimates.cells import Cell

LOG_FROM = 50.0
"""A scale is logarithmic when its largest mean is this many times its smallest."""


CUT = "A bar that ends in a small triangle goes on beyond the axis: the table has its ends."


class Scale(NamedTuple):
    """Lowest and highest value of an axis, and whether it is logarithmic."""

    low: float
    high: float
    log: bool

    def cuts(self, cell: Cell) -> tuple[float, ...]:
        """Return the ends of the scale, lowest first, at which a cell's interval is cut."""
        estimate = cell.estimate
        if cell.missing or not estimate.bounded:
            return ()
        ends = ((self.low, estimate.low < self.low), (self.high, estimate.high > self.high))
        return tuple(end for end, is_cut in ends if is_cut)

    def notes(self, found: Iterable[Cell]) -> tuple[str, ...]:
        """Say what the sign at the end of a bar means, if that of any cell is cut."""
        return (CUT,) if any(self.cuts(cell) for cell in found) else ()


def value_scale(found: Sequence[Cell], *, log: bool) -> Scale:
    """Return the scale that shows every trial. A linear one begins at zero. Only very wide intervals are cut."""
    values = [value for cell in found for value in cell.values] or [1.0]
    highs = [min(cell.estimate.high, 1.3 * max(values)) for cell in found if cell.estimate.bounded]
    top = max(values + highs)
    positive = [value for value in values if value > 0]
    means = [cell.estimate.value for cell in found if cell.values and cell.estimate.value > 0]
    if means and (log or max(means) > LOG_FROM * min(means)):
        return Scale(min(positive) / 1.3, top * 1.2, log=True)
    return Scale(0.0, top * 1.06 or 1.0, log=False)


def ratio_scale(found: Sequence[Cell]) -> Scale:
    """Return the logarithmic scale that shows every interval and every single ratio, with little room around them."""
    ends = [end for cell in found for end in cell.values]
    ends += [end for cell in found if cell.estimate.bounded for end in (cell.estimate.low, cell.estimate.high)]
    low, high = min(ends), max(ends)
    room = max(1.01, (high / low) ** 0.06)
    return Scale(low / room, high * room, log=True)
