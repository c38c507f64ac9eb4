"""Which trials of a cell are drawn as dots: all of them, or so many that a page stays small. Draws nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.analysis.estimates.cells import Cell

MOST = 2_000
"""Dots in a figure, about 0.2 MB of SVG. Beyond that they hide each other."""

FEWEST = 12
"""Dots of a cell, however many cells a figure has."""


def thinned(cells: Sequence[Cell]) -> tuple[Cell, ...]:
    """Return the cells of a figure with as many values as are drawn. Their estimates are still those of all trials."""
    most = _most(cells)
    return tuple(replace(cell, values=_by_rank(cell.values, most)) for cell in cells)


def notes(cells: Sequence[Cell]) -> tuple[str, ...]:
    """Say which dots are left out, if any are."""
    most = _most(cells)
    if all(len(cell.values) <= most for cell in cells):
        return ()
    return (f"Where there are more than {most} dots, {most} are drawn: the lowest, the highest, and others by rank.",)


def _most(cells: Sequence[Cell]) -> int:
    return max(MOST // max(len(cells), 1), FEWEST)


def _by_rank(values: tuple[float, ...], most: int) -> tuple[float, ...]:
    """Return values at even steps of rank, the lowest and the highest among them."""
    if len(values) <= most:
        return values
    ranks = np.linspace(0, len(values) - 1, most).round().astype(int)
    return tuple(np.sort(np.asarray(values, dtype=float))[ranks].tolist())
