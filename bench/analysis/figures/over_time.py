"""The figures of throughput and p99 within the window: a small picture of every cell, with a fine line for each trial.

A steady trial is a level line. Servers stand in rows and loads in columns, and all pictures of a figure have one scale.
They share one axes, in inches, and each has its own transform, because a hundred axes would take seconds to draw.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from matplotlib.collections import LineCollection
from matplotlib.transforms import Affine2D, Bbox, TransformedBbox

from bench import units
from bench.analysis.figures.canvas import LABEL_POINTS, MARGIN, WIDTH, Page, Words, text_width
from bench.analysis.figures.marks import cross
from bench.analysis.figures.palette import ordered
from bench.analysis.figures.words import capital, shared_load
from bench.experiment.doubts import Doubt
from bench.metrics import P99, THROUGHPUT

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.analysis.estimates.cells import Cell, Panel
    from bench.analysis.estimates.ranking import Ranking
    from bench.analysis.figures.palette import Style, Theme
    from bench.analysis.runs.run_folder import Run

Course = Literal["throughput", "p99"]
"""What is followed through the window.

It is the throughput as a share of its trial's mean, or log2 of the ratio of a slice's p99 to the median of its trial.
"""

_ROW = 0.49
_PICTURE = 0.34
_COLUMN_GAP = 0.16
_HEAD = 0.48
_FOOT = 0.3
_TICKS_WIDTH = 0.55
_TICK_POINTS = 7.5
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

    `slice` counts from 0 in each trial. A slice shorter than half a usual one, at the end of a window, is left out.
    """
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


def median_course(slices: pd.DataFrame) -> pd.DataFrame:
    """Return the median course of a cell's trials: mean at_s and median value of each slice, from its `courses`."""
    return slices.groupby("slice").agg(at_s=("at_s", "mean"), value=("value", "median"))


def time_figure(run: Run, ranking: Ranking, course: Course, theme: Theme, styles: Mapping[str, Style]) -> Figure | None:
    """Draw a course of every cell. None if no measured trial has a timeline."""
    rows = courses(run, course).dropna(subset="value")
    if rows.empty:
        return None
    panels, metric = ranking.sweep.panels, THROUGHPUT if course == "throughput" else P99
    height = _HEAD + _ROW * len(styles) + _FOOT
    page = Page(_words(run, ranking, rows, course), theme, body=height * len(panels))
    unsteady = _unsteady(run)
    drawn = _by_cell(rows)
    for number, panel in enumerate(panels):
        grid = _Grid(page, panel, styles, _scale(rows, course), top=number * height)
        grid.frame(ranking, caption=capital(panel.label) if len(panels) > 1 else "")
        for cell in ranking.cells[metric.column]:
            key = cell.server, cell.workload
            if cell.workload in panel.places:
                parts = [] if cell.missing else [metric.words(cell.estimate.value)]
                parts += [f"{unsteady[key]} of {cell.measured} drifted"] if unsteady[key] else []
                grid.picture(cell, drawn.get(key), ", ".join(parts))
    return page.figure


class _Grid:
    """The pictures of one panel: a row for every server, a column for every load."""

    def __init__(self, page: Page, panel: Panel, styles: Mapping[str, Style], scale: _Scale, *, top: float) -> None:
        self.page, self.styles, self.scale, self.panel = page, styles, scale, panel
        self.servers = ordered(styles)
        names = text_width(page.figure, self.servers, size=LABEL_POINTS)
        self.left = MARGIN + names + _TICKS_WIDTH
        self.width = (WIDTH - MARGIN - self.left) / len(panel.places) - _COLUMN_GAP
        height = _HEAD + _ROW * len(styles) + _FOOT
        self.axes: Axes = page.axes(0, top, WIDTH, height)
        self.axes.set_axis_off()
        self.axes.set_xlim(0, WIDTH)
        self.axes.set_ylim(height, 0)

    def box(self, row: int, column: int) -> Bbox:
        """Return the place of a picture, in inches from the top left."""
        return Bbox.from_bounds(
            self.left + column * (self.width + _COLUMN_GAP), _HEAD + row * _ROW, self.width, _PICTURE
        )

    def write(self, x: float, y: float, text: str, colour: str = "", size: float = _TICK_POINTS, **how: str) -> None:
        """Write at a place in inches."""
        how = {"va": "center_baseline", **how}
        self.axes.text(x, y, text, color=colour or self.page.theme.muted, fontsize=size, **how)  # type: ignore[arg-type]  # alignments

    def frame(self, ranking: Ranking, caption: str) -> None:
        """Write the names of rows and columns and the ends of the time axis; the first row says what the scale is."""
        self.write(MARGIN, 0.06, caption, self.page.theme.ink, 9, fontweight="bold")
        for row, server in enumerate(self.servers):
            middle = _HEAD + row * _ROW + _PICTURE / 2
            colour = self.page.label_colour(self.styles[server])
            self.write(MARGIN, middle, server, colour, LABEL_POINTS, label=f"{server}: name")
            if row == 0:
                for tick in self.scale.ticks:
                    share = (tick - self.scale.low) / (self.scale.high - self.scale.low)
                    self.write(self.left - 0.06, _HEAD + _PICTURE * (1 - share), self.scale.text(tick), ha="right")
        below = _HEAD + len(self.servers) * _ROW + 0.05
        for column, x in enumerate(self.panel.places.values()):
            box = self.box(0, column)
            self.write(box.x0, _HEAD - 0.19, ranking.sweep.setting.phrase(x), self.page.theme.ink, LABEL_POINTS)
            self.write(box.x0, below, "0")
            self.write(box.x1, below, f"{self.scale.end_s:.2g} s", ha="right")

    def picture(self, cell: Cell, slices: pd.DataFrame | None, remark: str) -> None:
        """Draw the trials of a cell and their median, or a hollow cross where there is none."""
        box = self.box(self.servers.index(cell.server), list(self.panel.places).index(cell.workload))
        if slices is None:
            place, style = (box.x0 + 0.09, (box.y0 + box.y1) / 2), cross(self.page, self.styles[cell.server])
            self.axes.plot(*([value] for value in place), label=f"{cell.server} {cell.workload}: missing", **style)
            self.write(
                box.x0 + 0.2, place[1], ", ".join(cell.statuses) or "no timeline", label=f"{cell.server}: status"
            )
            return
        scale = self.scale
        upright = (
            Affine2D()
            .translate(0, -scale.low)
            .scale(box.width / scale.end_s, -box.height / (scale.high - scale.low))
            .translate(box.x0, box.y1)
            + self.axes.transData
        )
        within = TransformedBbox(Bbox([[0, scale.low], [scale.end_s, scale.high]]), upright)
        self.axes.hlines(
            scale.ticks, 0, scale.end_s, colors=self.page.theme.grid, linewidth=0.7, transform=upright, zorder=1
        )
        colour = self.page.colour(self.styles[cell.server])
        lines = [trial[["at_s", "value"]].to_numpy() for _, trial in slices.groupby("trial")]
        fine = LineCollection(lines, colors=colour, linewidths=0.7, alpha=0.4, transform=upright, zorder=2)
        fine.set_label(f"{cell.server} {cell.workload}: trials")
        fine.set_clip_box(within)
        self.axes.add_collection(fine, autolim=False)
        median, name = median_course(slices), f"{cell.server} {cell.workload}: median"
        (bold,) = self.axes.plot(
            median["at_s"], median["value"], color=colour, linewidth=1.5, transform=upright, label=name
        )
        bold.set_clip_box(within)
        self.write(box.x1, box.y0 - 0.03, remark, size=7, ha="right", label=f"{cell.server}: remark")


def _scale(rows: pd.DataFrame, course: Course) -> _Scale:
    """Return the scale that holds all slices: throughput from zero, p99 as far down as up."""
    end_s, furthest = float(rows["end_s"].max()), float(rows["value"].abs().max())
    if course == "throughput":
        high = min(max(1.5, furthest), _MOST_SHARE)
        return _Scale(end_s, 0.0, high, (0.0, 1.0), units.share)
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
    keys = rows[["server", "workload"]].drop_duplicates().itertuples(index=False)
    return {
        (server, workload): rows[(rows["server"] == server) & (rows["workload"] == workload)]
        for server, workload in keys
    }


def _unsteady(run: Run) -> Counter[tuple[str, str]]:
    """Count the measured trials of each cell whose rate drifted within the window."""
    columns = run.measured[["server", "workload", "doubts"]].itertuples(index=False)
    return Counter((server, workload) for server, workload, doubts in columns if Doubt.NOT_STEADY in doubts.split(","))


def _words(run: Run, ranking: Ranking, rows: pd.DataFrame, course: Course) -> Words:
    fine = "Fine line: one trial; bold: their median."
    if course == "throughput":
        drifted, measured = _unsteady(run).total(), len(run.measured)
        title = f"{drifted} of {measured} trials drifted within their window"
        if not drifted:
            title = f"The rate held within the window in all {measured} trials"
        reading = "Throughput at each moment as a share of its trial's mean. A steady server is a level line."
        return Words(title, " ".join([*shared_load(ranking), reading, fine]))
    courses_of = {cell: median_course(slices)["value"] for cell, slices in _by_cell(rows).items()}
    moved = {cell: float(course_of.max() - course_of.min()) for cell, course_of in courses_of.items()}
    server, workload = max(moved, key=moved.__getitem__)
    panel = next(panel for panel in ranking.sweep.panels if workload in panel.places)
    where = ranking.sweep.phrase(panel, panel.places[workload])
    title = f"p99 swings by a factor of {2 ** moved[server, workload]:.2g} at most within the window: {server} {where}"
    reading = "p99 of the response time at each moment, relative to the median of its trial."
    return Words(title, " ".join([*shared_load(ranking), reading, fine]))
