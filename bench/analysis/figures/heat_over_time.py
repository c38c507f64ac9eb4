"""The figure of latency over time: a column for each moment of the window, of all launches of a cell together.

It is made of the percentiles of slices, which the timeline keeps: a slice marks the response times from its median to
its p99. No mean is taken, so a moment at which one launch was held up leaves its mark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench import units
from bench.analysis.figures import course
from bench.analysis.figures.canvas import Page, Words
from bench.analysis.figures.grid import Grid, grid_height, pieces
from bench.analysis.figures.heat import BANDS, draw_columns
from bench.analysis.figures.words import capital, shared_load

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from bench.analysis.estimates.ranking import Ranking
    from bench.analysis.figures.palette import Style, Theme
    from bench.analysis.runs.run_folder import Run

MOST_MOMENTS, FEWEST_MOMENTS = 32, 8
MOMENTS = 1500
"""So many columns are in a figure, about 0.3 MB of SVG, unless FEWEST_MOMENTS of each cell are more."""

_THIRDS = 3

LEVELS = ((0.0, 0.15), (0.1, 0.35), (0.5, 0.6), (0.9, 0.95))
"""The share of a moment's slices from which a band has which opacity."""


def heat_over_time_figure(run: Run, ranking: Ranking, theme: Theme, styles: Mapping[str, Style]) -> Figure | None:
    """Draw the response times at each moment of every cell. None if no slice of the run has any."""
    rows = _slices(run)
    if rows.empty:
        return None
    panels, height = pieces(ranking.sweep.panels), grid_height(len(styles))
    cells = rows.groupby(course.CELL, sort=False)
    most = min(max(MOMENTS // cells.ngroups, FEWEST_MOMENTS), MOST_MOMENTS)
    end_s = float(rows["at_s"].max()) * (1 + 1e-9)
    low, high = float(rows["low"].min()), float(rows["high"].max())
    edges = np.geomspace(low, max(high, low * 2), BANDS + 1)
    found = {(str(server), str(workload)): _shares(here, edges, end_s, most) for (server, workload), here in cells}
    page = Page(_words(run, ranking, rows, most), theme, body=height * len(panels))
    ticks = [(0.0, units.duration(float(edges[0]))), (1.0, units.duration(float(edges[-1])))]
    for number, panel in enumerate(panels):
        grid = Grid(page, panel, styles, top=number * height)
        grid.frame(ranking, capital(panel.label), foot=("0", f"{end_s:.2g} s {course.WALL_TIME}"), ticks=ticks)
        for cell in next(iter(ranking.cells.values())):
            if cell.workload in panel.places:
                shares = found.get((cell.server, cell.workload))
                if shares is None:
                    grid.missing(cell, "no replies")
                else:
                    draw_columns(grid, cell, shares, LEVELS, end=len(shares))
    return page.figure


def _slices(run: Run) -> pd.DataFrame:
    """Return a row per slice: server, workload, at_s, low (its median, ns), high (its p99, else its median)."""
    rows = course.timeline(run).dropna(subset="response_p50_ns")
    rows = rows.assign(low=rows["response_p50_ns"], high=rows["response_p99_ns"].fillna(rows["response_p50_ns"]))
    return rows[["trial", "at_s", "low", "high"]].merge(course.cells_of_trials(run), on="trial")


def _shares(here: pd.DataFrame, edges: NDArray[np.float64], end_s: float, most: int) -> NDArray[np.float64]:
    """Return the share of the slices of each moment that mark each band, of shape (moments, BANDS).

    There are as many moments as a launch has slices, but not more than `most`.
    """
    usual = int(here.groupby("trial").size().median())
    moments = max(1, min(most, usual))
    moment = np.clip((here["at_s"].to_numpy() / end_s * moments).astype(int), 0, moments - 1)
    first, last = (np.clip(np.searchsorted(edges, here[end], "right") - 1, 0, BANDS - 1) for end in ("low", "high"))
    steps = np.zeros((moments, BANDS + 1))
    np.add.at(steps, (moment, first), 1)
    np.add.at(steps, (moment, last + 1), -1)
    slices = np.bincount(moment, minlength=moments)[:, np.newaxis]
    return np.cumsum(steps, axis=1)[:, :BANDS] / np.maximum(slices, 1)


def _words(run: Run, ranking: Ranking, rows: pd.DataFrame, most: int) -> Words:
    """Say by how much the median moves within the window, in the cell where it moves most, and what a column is."""
    window = rows.groupby("workload")["at_s"].transform("max") * (1 + 1e-9)
    thirds = rows.assign(third=(rows["at_s"] / window * _THIRDS).astype(int))
    medians = thirds.groupby([*course.CELL, "third"])["low"].median().groupby(course.CELL)
    moved = medians.max() / medians.min()
    server, workload = max(moved.index, key=lambda cell: (moved[cell], cell))
    where = ranking.sweep.phrase_of(workload)
    title = f"The median response time drifts by a factor of {moved[server, workload]:.2f} at most: {server} {where}"
    reading = (
        f"A column is a moment, 1/{most} of the time that is shown or longer, of all launches together. Upwards is the"
        " response time, on one logarithmic scale. A slice marks what lies from its median to its p99. Darkest: nine of"
        " ten slices of the moment; then half, a tenth, and palest a single one."
    )
    clock = course.clock_of(run, course.WALL_TIME)
    return Words(title, " ".join(filter(None, [*shared_load(ranking), reading, clock])))
