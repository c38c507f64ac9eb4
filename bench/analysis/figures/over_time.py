"""The figures of throughput and p99 within the window: a small picture of every cell, with a fine line for each trial.

A steady trial is a level line. All pictures of a figure have one scale. Beyond MOST_POINTS the fine lines become a band
from the lowest to the highest: nobody could tell the lines, and no peak is averaged away.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from matplotlib.collections import LineCollection, PolyCollection

from bench import units
from bench.analysis.estimates.cells import doubted
from bench.analysis.figures.canvas import Page, Words
from bench.analysis.figures.course import CELL, LOAD_TIME, WALL_TIME, clock_of, points, thinned, usual_points
from bench.analysis.figures.grid import Grid, grid_height, pieces
from bench.analysis.figures.words import capital, shared_load
from bench.experiment.doubts import Doubt
from bench.metrics import CPU, P99, THROUGHPUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    import pandas as pd
    from matplotlib.figure import Figure
    from numpy.typing import NDArray

    from bench.analysis.estimates.cells import Cell
    from bench.analysis.estimates.ranking import Ranking
    from bench.analysis.figures.palette import Style, Theme
    from bench.analysis.runs.run_folder import Run

Course = Literal["throughput", "p99", "cpu"]
"""What is followed through the window.

It is the throughput as a share of its trial's mean, log2 of the ratio of a slice's p99 to the median of its trial, or
the cores that the server uses while it has load.
"""

_METRICS = {"throughput": THROUGHPUT, "p99": P99, "cpu": CPU}

MOST_POINTS = 10_000
"""Points of fine lines in a figure, about 0.2 MB of SVG. With more, bands are drawn, of half as many moments."""

_CLOCKS = {"throughput": LOAD_TIME, "p99": LOAD_TIME, "cpu": WALL_TIME}

_MOMENTS = 60
_FEWEST_MOMENTS = 8
_MOST_SHARE = 3.0  # a burst beyond three times the mean is cut
_MOST_DOUBLINGS = 4


@dataclass(frozen=True, slots=True)
class _Scale:
    """The one scale of all pictures: seconds across, the course upwards, and where its ticks are."""

    end_s: float
    low: float
    high: float
    ticks: tuple[float, ...]
    text: Callable[[float], str]


def courses(run: Run, course: Course) -> pd.DataFrame:
    """Return a row per slice of a measured trial: server, workload, trial, slice, at_s (its middle), end_s, value.

    `at_s` and `end_s` are seconds of load, or for `cpu` by the clock. `slice` counts from 0 in each trial. A slice
    shorter than half a usual one, at the end of a window, is left out.
    """
    if course == "cpu":
        rows = points(run)["server"].sort_values(["trial", "at_s"], ignore_index=True)
        return rows.assign(slice=rows.groupby("trial").cumcount(), end_s=rows["at_s"])
    of_trial = run.measured[["trial", "server", "workload", "replies_per_s"]]
    slices = run.timeline.merge(of_trial, on="trial").sort_values(["trial", "at_s"], ignore_index=True)
    length, start = slices["slice_s"].astype(float), slices["at_s"].astype(float)
    usual = length.groupby(slices["trial"]).transform("median")
    if course == "throughput":
        value = slices["replies"] / length / slices["replies_per_s"]
    else:
        value = slices["response_p99_ns"] / slices.groupby("trial")["response_p99_ns"].transform("median")
        value = value.astype(float).map(math.log2)
    return slices[["server", "workload", "trial"]].assign(
        slice=slices.groupby("trial").cumcount(),
        at_s=start + length / 2,
        end_s=start + length,
        value=value.astype(float),
    )[length >= usual / 2]


def median_courses(rows: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """Return the median course of each cell: the mean at_s and the median value of each slice, from all `courses`."""
    slices = rows.groupby([*CELL, "slice"], sort=True)
    return _by_cell(slices.agg(at_s=("at_s", "mean"), value=("value", "median")).reset_index())


def time_figure(run: Run, ranking: Ranking, course: Course, theme: Theme, styles: Mapping[str, Style]) -> Figure | None:
    """Draw a course of every cell. None if no measured trial has a timeline."""
    rows = courses(run, course).dropna(subset="value")
    if rows.empty:
        return None
    panels, metric = pieces(ranking.sweep.panels), _METRICS[course]
    height, scale = grid_height(len(styles)), _scale(rows, course)
    medians, is_banded = median_courses(rows), len(rows) > MOST_POINTS
    words = _words(run, ranking, course, medians, is_banded=is_banded)
    page = Page(words, theme, body=height * len(panels))
    unsteady = doubted(run.measured, Doubt.NOT_STEADY)
    drawn = _by_cell(_bands(rows) if is_banded else rows)
    for number, panel in enumerate(panels):
        grid = Grid(page, panel, styles, top=number * height)
        ticks = [((tick - scale.low) / (scale.high - scale.low), scale.text(tick)) for tick in scale.ticks]
        caption = capital(panel.label)
        grid.frame(ranking, caption, foot=("0", f"{scale.end_s:.2g} s {_CLOCKS[course]}"), ticks=ticks)
        here = [cell for cell in ranking.cells[metric.column] if cell.workload in panel.places]
        grid.rules([cell for cell in here if (cell.server, cell.workload) in drawn], [share for share, _ in ticks])
        for cell in here:
            slices = drawn.get((cell.server, cell.workload))
            remark = _remark(cell, slices, course, unsteady[cell.server, cell.workload])
            if slices is None:
                grid.missing(cell, remark)
            else:
                bold = slices if is_banded else medians[cell.server, cell.workload]
                _picture(grid, cell, slices, bold, scale)
                grid.remark(cell, remark)
    return page.figure


def _remark(cell: Cell, slices: pd.DataFrame | None, course: Course, drifted: int) -> str:
    """Return what stands above a picture: the level, and how many trials drifted; or why there is no picture."""
    if slices is None:
        return "too few replies" if course == "p99" else "not sampled"
    if course == "cpu":
        return f"{slices['value'].median():.2g} cores"
    parts = [] if cell.missing else [_METRICS[course].words(cell.estimate.value)]
    return ", ".join([*parts, f"{drifted} of {cell.measured} drifted"] if drifted else parts)


def _picture(grid: Grid, cell: Cell, slices: pd.DataFrame, median: pd.DataFrame, scale: _Scale) -> None:
    """Draw the trials of a cell, as lines or as a band, and their median."""
    upright = grid.upright(cell, scale.end_s, scale.low, scale.high)
    colour, name = grid.colour(cell), f"{cell.server} {cell.workload}"
    shown: LineCollection | PolyCollection
    if "low" in slices:
        there, back = slices[["at_s", "low"]].to_numpy(), slices[["at_s", "high"]].to_numpy()[::-1]
        shown = PolyCollection(
            [np.concatenate([there, back])], facecolors=colour, alpha=0.25, linewidths=0, transform=upright
        )
        shown.set_label(f"{name}: lowest to highest")
    else:
        shown = LineCollection(_lines(slices), colors=colour, linewidths=0.7, alpha=0.4, transform=upright, zorder=2)
        shown.set_label(f"{name}: trials")
    grid.axes.add_collection(shown, autolim=False)
    grid.clip(shown, cell)
    (bold,) = grid.axes.plot(
        median["at_s"], median["value"], color=colour, linewidth=1.5, transform=upright, label=f"{name}: median"
    )
    grid.clip(bold, cell)


def _lines(slices: pd.DataFrame) -> list[NDArray[np.float64]]:
    """Return the course of each trial of a cell, of shape (slices, 2)."""
    trials = slices["trial"].to_numpy(dtype=int)
    return np.split(slices[["at_s", "value"]].to_numpy(), np.flatnonzero(np.diff(trials)) + 1)


def _bands(rows: pd.DataFrame) -> pd.DataFrame:
    """Return a row per cell and moment: server, workload, at_s (its middle), low, value (the median) and high."""
    cells = len(rows[CELL].drop_duplicates())
    most = min(max(MOST_POINTS // (2 * cells), _FEWEST_MOMENTS), _MOMENTS)
    moments, length = thinned(rows, {workload: min(number, most) for workload, number in usual_points(rows).items()})
    return moments.assign(at_s=(moments["bin"] + 0.5) * moments["workload"].map(length))


def _scale(rows: pd.DataFrame, course: Course) -> _Scale:
    """Return the scale that holds all slices: throughput from zero, p99 as far down as up."""
    end_s, furthest = float(rows["end_s"].max()), float(rows["value"].abs().max())
    if course == "throughput":
        high = min(max(1.5, furthest), _MOST_SHARE)
        return _Scale(end_s, 0.0, high, (0.0, 1.0), units.share)
    if course == "cpu":
        high = max(1.0, furthest)
        return _Scale(
            end_s, 0.0, high * 1.05, (0.0, float(math.floor(high))), lambda cores: units.plural(int(cores), "core")
        )
    most = min(max(1, math.ceil(furthest)), _MOST_DOUBLINGS)
    return _Scale(
        end_s,
        -most,
        most,
        (-most, 0, most),
        lambda power: ("\N{MULTIPLICATION SIGN}" if power >= 0 else "\N{DIVISION SIGN}") + f"{2 ** abs(power):g}",
    )


def _by_cell(rows: pd.DataFrame) -> dict[tuple[str, str], pd.DataFrame]:
    """Split rows by cell."""
    numbers = rows.drop(columns=CELL)  # to cut out names costs more than to cut out all the numbers
    found: Iterable[Any] = rows.groupby(CELL, sort=False).indices.items()
    return {(str(server), str(workload)): numbers.iloc[places] for (server, workload), places in found}


def _words(
    run: Run, ranking: Ranking, course: Course, medians: Mapping[tuple[str, str], pd.DataFrame], *, is_banded: bool
) -> Words:
    fine = "Fine line: one trial; bold: their median."
    if is_banded:
        fine = "Band: from the lowest to the highest of all trials; line: their median."

    def words(title: str, reading: str) -> Words:
        said = [*shared_load(ranking), reading, clock_of(run, _CLOCKS[course]), fine]
        return Words(title, " ".join(filter(None, said)))

    if course == "throughput":
        drifted, measured = doubted(run.measured, Doubt.NOT_STEADY).total(), len(run.measured)
        title = f"{drifted} of {measured} trials drifted within their window"
        if not drifted:
            title = f"The rate held within the window in all {measured} trials"
        reading = "Throughput at each moment as a share of its trial's mean. A steady server is a level line."
        return words(title, reading)
    if course == "cpu":
        used = {cell: float(median["value"].median()) for cell, median in medians.items()}
        server, workload = max(used, key=used.__getitem__)
        title = (
            f"The busiest server uses {used[server, workload]:.2g} cores: {server} {ranking.sweep.phrase_of(workload)}"
        )
        reading = "Cores that the server uses while it has load: from its slices in a block, else from the monitor."
        return words(title, reading)
    moved = {cell: float(np.ptp(median["value"])) for cell, median in medians.items()}
    server, workload = max(moved, key=moved.__getitem__)
    title = (
        f"p99 swings by a factor of {2 ** moved[server, workload]:.2g} at most within the window:"
        f" {server} {ranking.sweep.phrase_of(workload)}"
    )
    reading = "p99 of the response time at each moment, relative to the median of its trial."
    return words(title, reading)
