"""The figure of single launches: behind every mean, each launch in the order of the run, on the cell's own scale.

On a scale that all cells share, launches lie on top of each other. On their own scale, two groups of them are seen,
and a drift from launch to launch.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench import units
from bench.analysis.estimates.cells import doubted
from bench.analysis.figures.canvas import Page, Words
from bench.analysis.figures.grid import Grid, grid_height, pieces
from bench.analysis.figures.marks import dots
from bench.analysis.figures.words import capital, shared_load
from bench.experiment.doubts import Doubt

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.figure import Figure

    from bench.analysis.estimates.cells import Cell
    from bench.analysis.estimates.ranking import Ranking
    from bench.analysis.figures.palette import Style, Theme
    from bench.analysis.runs.run_folder import Run
    from bench.metrics import Metric

_AIR, _HEAD_ROOM = 0.12, 0.3
"""Of the launches' range, below the lowest launch, and above the highest, where the ends of the scale are written."""


MOST_DOTS = 5_000
"""Dots in a figure, about 0.3 MB of SVG. With more launches, several share a place: their lowest and their highest."""

_FEWEST_PLACES = 12


def launches_figure(
    run: Run, ranking: Ranking, metric: Metric, theme: Theme, styles: Mapping[str, Style]
) -> Figure | None:
    """Draw the launches of every cell. None if no cell has two."""
    found = ranking.cells[metric.column]
    if all(len(cell.values) < 2 for cell in found):  # noqa: PLR2004 - one launch has no scale
        return None
    split = doubted(run.measured, Doubt.MODES)
    places = max(MOST_DOTS // (2 * len(found)), _FEWEST_PLACES)
    panels, height = pieces(ranking.sweep.panels), grid_height(len(styles))
    page = Page(_words(ranking, metric, split), theme, body=height * len(panels))
    for number, panel in enumerate(panels):
        grid = Grid(page, panel, styles, top=number * height)
        caption = capital(panel.label)
        grid.frame(ranking, caption, foot=("first", "last launch"))
        for cell in found:
            if cell.workload in panel.places:
                _strip(grid, cell, metric, places, has_modes=bool(split[cell.server, cell.workload]))
    return page.figure


def thinned(values: Sequence[float], places: int) -> list[tuple[float, float]]:
    """Return (place, value) of launches in their order: all of them, or the lowest and the highest of each place."""
    if len(values) <= 2 * places:
        return [(place + 0.5, value) for place, value in enumerate(values)]
    parts = np.array_split(np.asarray(values, dtype=float), places)
    step = len(values) / places
    return [((place + 0.5) * step, float(end)) for place, part in enumerate(parts) for end in (part.min(), part.max())]


def _strip(grid: Grid, cell: Cell, metric: Metric, places: int, *, has_modes: bool) -> None:
    """Draw the launches of a cell as dots and their mean as a line, and write the lowest and the highest."""
    if cell.missing:
        grid.missing(cell, "not known")
        return
    values, name = list(cell.values), f"{cell.server} {cell.workload}"
    low, high = min(values), max(values)
    span = (high - low) or abs(high) or 1.0
    upright = grid.upright(cell, len(values), low - span * _AIR, high + span * _HEAD_ROOM)
    mean = [cell.estimate.value] * 2
    grid.axes.plot(
        [0, len(values)],
        mean,
        color=grid.page.theme.grid,
        linewidth=1.2,
        transform=upright,
        zorder=1,
        label=f"{name}: mean line",
    )
    style = dots(grid.colour(cell)) | {"alpha": 0.8, "markersize": 3.2}
    middles, shown = zip(*thinned(values, places), strict=True)
    grid.axes.plot(middles, shown, transform=upright, label=f"{name}: launches", **style)
    ends = f"{metric.words(low)} to {metric.words(high)}" if high > low else metric.words(low)
    grid.remark(cell, ends, strong=has_modes)


def _words(ranking: Ranking, metric: Metric, split: Mapping[tuple[str, str], int]) -> Words:
    cells = [cell for cell in ranking.cells[metric.column] if not cell.missing]
    groups = sum(bool(split.get((cell.server, cell.workload))) for cell in cells)
    marked = ""
    if groups:
        marked = " Bold: they fall in two groups."
        title = f"The launches of {groups} of {units.plural(len(cells), 'cell')} fall in two groups"
    else:
        title = f"{capital(metric.noun)} of every launch: no cell falls in two clear groups"
    reading = (
        f"{capital(metric.axis)}. Dot: one launch; line: their mean. Each picture has its own scale, whose ends stand"
        f" above it.{marked}"
    )
    return Words(title, " ".join([*shared_load(ranking), reading]))
