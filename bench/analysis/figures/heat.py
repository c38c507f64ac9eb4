"""The figure of latency over the run: a column for each launch, and the darker a band, the more replies took so long.

The histograms of the log are drawn as they are: no percentile and no mean is taken, so a single slow reply leaves its
mark. A launch has one column, also where its window has several histograms.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from bench import units
from bench.analysis.figures.canvas import POINTS, Page, Words
from bench.analysis.figures.grid import Grid, grid_height, pieces
from bench.analysis.figures.words import capital, shared_load
from bench.analysis.runs.spectrum import merged
from bench.metrics import P50

if TYPE_CHECKING:
    from collections.abc import Mapping

    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from bench.analysis.estimates.cells import Cell
    from bench.analysis.estimates.ranking import Ranking
    from bench.analysis.figures.palette import Style, Theme
    from bench.analysis.runs.run_folder import Run

    Shares = NDArray[np.float64]
    Levels = tuple[tuple[float, float], ...]

BANDS = 24
MOST_COLUMNS = 48
"""Launches beyond so many share columns, in which their replies are counted together."""

MOST_LAUNCHES = 2000
"""With more launches in a run, reading all histograms twice would take seconds, and nobody could tell the pictures."""

LEVELS = ((0.0, 0.15), (1e-3, 0.35), (1e-2, 0.6), (1e-1, 0.95))
"""The share of a column's replies from which a band has which opacity."""


def heat_figure(run: Run, ranking: Ranking, theme: Theme, styles: Mapping[str, Style]) -> Figure | None:
    """Draw the response times of every launch. None without a histogram, or with more than MOST_LAUNCHES."""
    if left_out(run):
        return None
    edges, counts = _counts(run)
    if not counts:
        return None
    panels, height = pieces(ranking.sweep.panels), grid_height(len(styles))
    page = Page(_words(ranking), theme, body=height * len(panels))
    cells = next(iter(ranking.cells.values()))
    ends = [units.duration(float(edge)) for edge in (edges[0], edges[-1])]
    for number, panel in enumerate(panels):
        grid = Grid(page, panel, styles, top=number * height)
        caption = capital(panel.label)
        grid.frame(ranking, caption, foot=("first", "last launch"), ticks=[(0.0, ends[0]), (1.0, ends[1])])
        for cell in cells:
            if cell.workload in panel.places:
                _picture(grid, cell, counts.get((cell.server, cell.workload)))
    return page.figure


def left_out(run: Run) -> str:
    """Say why the latency of single launches is not drawn; empty if their number does not forbid it."""
    launches = len(run.measured)
    if launches <= MOST_LAUNCHES:
        return ""
    return (
        f"The latency of each launch is not drawn: this run has {launches:,} launches, and the picture bears"
        f" {MOST_LAUNCHES:,}. The histograms of all of them are in latency.hlog."
    )


def _counts(run: Run) -> tuple[Shares, dict[tuple[str, str], list[Shares]]]:
    """Return the edges of all bands in ns, shape (BANDS + 1,), and for each cell the replies in each, by launch."""
    of_trial = {
        int(trial): (str(s), str(w)) for trial, s, w in run.measured[["trial", "server", "workload"]].to_numpy()
    }
    found = merged(run.latency_log, {trial: trial for trial in of_trial})
    if not found:
        return np.empty(0), {}
    low = max(min(float(values.min()) for values, _ in found.values()), 1.0)
    high = max(*(float(values.max()) for values, _ in found.values()), low * 2)
    edges = np.geomspace(low, high, BANDS + 1)
    by_cell: defaultdict[tuple[str, str], list[Shares]] = defaultdict(list)
    for trial in sorted(found):
        values, counts = found[trial]
        bands = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, BANDS - 1)
        by_cell[of_trial[trial]].append(np.bincount(bands, weights=counts, minlength=BANDS).astype(float))
    return edges, dict(by_cell)


def _picture(grid: Grid, cell: Cell, launches: list[Shares] | None) -> None:
    """Draw the columns of a cell, a level at a time: each level is one line that has gaps, as wide as a column."""
    if launches is None:
        grid.missing(cell, "no replies")
        return
    parts = np.array_split(np.array(launches), min(len(launches), MOST_COLUMNS))
    columns = np.array([part.sum(axis=0) for part in parts])
    draw_columns(grid, cell, columns / columns.sum(axis=1, keepdims=True), LEVELS, end=len(columns))


def draw_columns(grid: Grid, cell: Cell, shares: Shares, levels: Levels, *, end: float) -> None:
    """Draw columns of `shares`, of shape (columns, bands), in levels of opacity; the picture is `end` columns wide."""
    upright = grid.upright(cell, end, 0, shares.shape[1])
    width = grid.box(cell).width / end * POINTS
    floors = [*(floor for floor, _ in levels), math.inf]
    for (floor, opacity), ceiling in zip(levels, floors[1:], strict=True):
        xs, ys = _runs((shares > 0) & (shares >= floor) & (shares < ceiling))
        grid.axes.plot(
            xs,
            ys,
            color=grid.colour(cell),
            alpha=opacity,
            linewidth=width,
            solid_capstyle="butt",
            transform=upright,
            label=f"{cell.server} {cell.workload}: from {floor:g}",
        )


def _runs(filled: NDArray[np.bool_]) -> tuple[list[float], list[float]]:
    """Return the vertical lines, with a gap after each, that cover the bands filled; shape (columns, bands)."""
    xs: list[float] = []
    ys: list[float] = []
    for column, bands in enumerate(filled):
        edges = np.flatnonzero(np.diff(np.concatenate([[False], bands, [False]]).astype(int)))
        for start, stop in zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True):
            xs += [column + 0.5, column + 0.5, math.nan]
            ys += [start, stop, math.nan]
    return xs, ys


def _words(ranking: Ranking) -> Words:
    reading = (
        "A column is one launch, upwards is the response time, on one logarithmic scale. Darkest: 10 % of the launch's"
        " replies or more; then 1 %, 0.1 %, and palest a single reply or more."
    )
    return Words(_title(ranking), " ".join([*shared_load(ranking), reading]))


def _title(ranking: Ranking) -> str:
    """Say how far the launches of one cell lie apart, at most: by their medians, of which every launch has one."""
    medians = {
        (cell.server, cell.workload): [value for value in cell.values if value > 0]
        for cell in ranking.cells[P50.column]
        if not cell.missing
    }
    apart = {cell: max(values) / min(values) for cell, values in medians.items() if len(values) > 1}
    if not apart:
        return "How the response times of a launch spread, launch after launch"
    server, workload = max(apart, key=lambda cell: (apart[cell], cell))
    where = ranking.sweep.phrase_of(workload)
    factor = units.ratio(apart[server, workload])
    return f"The median response times of two launches differ by a factor of {factor} at most: {server} {where}"
