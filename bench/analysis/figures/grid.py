"""The grid of small pictures that several figures share: a row for every server, a column for every load.

All pictures of a panel share one axes, in inches, because a hundred axes would take seconds to draw. What stands in a
picture is drawn by the figures.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING

from matplotlib.transforms import Affine2D, Bbox, TransformedBbox

from bench.analysis.figures.canvas import LABEL_POINTS, MARGIN, WIDTH, text_width
from bench.analysis.figures.marks import cross
from bench.analysis.figures.palette import ordered

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.transforms import Transform

    from bench.analysis.estimates.cells import Cell, Panel
    from bench.analysis.estimates.ranking import Ranking
    from bench.analysis.figures.canvas import Page
    from bench.analysis.figures.palette import Style

_ROW = 0.49
_PICTURE = 0.34
_COLUMN_GAP = 0.16
_HEAD = 0.48
_FOOT = 0.3
_TICKS_WIDTH = 0.55
_REMARK_LIFT = 0.075  # the middle of the words: they lie on no line of the picture
_TICK_POINTS = 7.5


MOST_COLUMNS = 4
"""Loads beside each other: what is written over a picture is wider than a fifth of the page."""


def pieces(panels: Iterable[Panel]) -> list[Panel]:
    """Return the panels, each in as many as it takes for its columns to have room."""
    found = []
    for panel in panels:
        places = list(panel.places.items())
        parts = (places[first : first + MOST_COLUMNS] for first in range(0, len(places), MOST_COLUMNS))
        found += [replace(panel, places=dict(part)) for part in parts]
    return found


def grid_height(rows: int) -> float:
    """Return the height in inches of a grid with so many rows."""
    return _HEAD + _ROW * rows + _FOOT


class Grid:
    """The pictures of one panel. Places are in inches from its top left."""

    def __init__(self, page: Page, panel: Panel, styles: Mapping[str, Style], *, top: float) -> None:
        self.page, self.styles, self.panel = page, styles, panel
        self.servers = ordered(styles)
        names = text_width(page.figure, self.servers, size=LABEL_POINTS)
        self.left = MARGIN + names + _TICKS_WIDTH
        self.width = (WIDTH - MARGIN - self.left) / len(panel.places) - _COLUMN_GAP
        height = grid_height(len(styles))
        self.axes: Axes = page.axes(0, top, WIDTH, height)
        self.axes.set_axis_off()
        self.axes.set_xlim(0, WIDTH)
        self.axes.set_ylim(height, 0)

    def _box(self, row: int, column: int) -> Bbox:
        return Bbox.from_bounds(
            self.left + column * (self.width + _COLUMN_GAP), _HEAD + row * _ROW, self.width, _PICTURE
        )

    def box(self, cell: Cell) -> Bbox:
        """Return the place of a cell's picture."""
        return self._box(self.servers.index(cell.server), list(self.panel.places).index(cell.workload))

    def colour(self, cell: Cell) -> str:
        """Return the colour of a cell's server."""
        return self.page.colour(self.styles[cell.server])

    def write(self, x: float, y: float, text: str, colour: str = "", size: float = _TICK_POINTS, **how: str) -> None:
        """Write at a place."""
        how = {"va": "center_baseline", **how}
        self.axes.text(x, y, text, color=colour or self.page.theme.muted, fontsize=size, **how)  # type: ignore[arg-type]  # alignments

    def remark(self, cell: Cell, text: str, *, strong: bool = False) -> None:
        """Write above the right end of a cell's picture, in bold and in ink if it is to be seen first."""
        box, weight = self.box(cell), "bold" if strong else "normal"
        colour = self.page.theme.ink if strong else ""
        how = {"ha": "right", "label": f"{cell.server}: remark", "fontweight": weight}
        self.write(box.x1, box.y0 - _REMARK_LIFT, text, colour, size=7, **how)

    def frame(
        self, ranking: Ranking, caption: str, *, foot: tuple[str, str], ticks: Iterable[tuple[float, str]] = ()
    ) -> None:
        """Write the names of rows and columns, and below each column the two ends of its axis.

        `ticks` are beside the first row: the height as a share of the picture's, and the words.
        """
        self.write(MARGIN, 0.06, caption, self.page.theme.ink, 9, fontweight="bold")
        for row, server in enumerate(self.servers):
            colour = self.page.label_colour(self.styles[server])
            middle = _HEAD + row * _ROW + _PICTURE / 2
            self.write(MARGIN, middle, server, colour, LABEL_POINTS, label=f"{server}: name")
        for share, text in ticks:
            self.write(self.left - 0.06, _HEAD + _PICTURE * (1 - share), text, ha="right")
        below = _HEAD + len(self.servers) * _ROW + 0.05
        for column, x in enumerate(self.panel.places.values()):
            box = self._box(0, column)
            self.write(box.x0, _HEAD - 0.22, ranking.sweep.setting.phrase(x), self.page.theme.ink, LABEL_POINTS)
            self.write(box.x0, below, foot[0])
            self.write(box.x1, below, foot[1], ha="right")

    def rules(self, cells: Iterable[Cell], shares: Collection[float]) -> None:
        """Draw a fine line across the pictures of some cells, at these shares of their height. All are one path."""
        xs: list[float] = []
        ys: list[float] = []
        for box in map(self.box, cells):
            for share in shares:
                xs += [box.x0, box.x1, math.nan]
                ys += [box.y1 - share * box.height] * 2 + [math.nan]
        self.axes.plot(xs, ys, color=self.page.theme.grid, linewidth=0.7, solid_capstyle="butt", zorder=1)

    def missing(self, cell: Cell, why: str) -> None:
        """Draw a hollow cross where a cell has nothing to show, and say why."""
        box, style = self.box(cell), cross(self.page, self.styles[cell.server])
        middle = (box.y0 + box.y1) / 2
        self.axes.plot([box.x0 + 0.09], [middle], label=f"{cell.server} {cell.workload}: missing", **style)
        words = ", ".join(cell.statuses) or why
        self.write(box.x0 + 0.2, middle, words, label=f"{cell.server}: status")

    def upright(self, cell: Cell, end: float, low: float, high: float) -> Transform:
        """Return the transform of a picture whose axes go from 0 to `end`, and upwards from `low` to `high`."""
        box = self.box(cell)
        placed = (
            Affine2D().translate(0, -low).scale(box.width / end, -box.height / (high - low)).translate(box.x0, box.y1)
        )
        return placed + self.axes.transData

    def clip(self, artist: Artist, cell: Cell) -> None:
        """Keep an artist within the picture of its cell."""
        artist.set_clip_box(TransformedBbox(self.box(cell), self.axes.transData))
