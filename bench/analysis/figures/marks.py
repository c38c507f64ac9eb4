"""The marks of a server in a panel: its line, intervals, single trials, lower bounds, gaps and name.

Every artist carries the label `<server>: <what>`, by which its numbers can be read back. Coordinates are those of the
data. A shift in points keeps marks from hiding each other.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.path import Path as Outline
from matplotlib.text import Annotation
from matplotlib.transforms import Affine2D, ScaledTranslation

from bench.analysis.figures.canvas import LABEL_GAP_POINTS, LABEL_POINTS, POINTS, spread
from bench.analysis.figures.scale import Scale

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.transforms import Transform

    from bench.analysis.estimates.cells import Cell
    from bench.analysis.figures.canvas import Page
    from bench.analysis.figures.palette import Style

_UPWARDS = Outline([(0, 0.25), (0, 1), (-0.2, 0.76), (0, 1), (0.2, 0.76)], [1, 2, 1, 2, 2])


@dataclass(frozen=True, slots=True)
class End:
    """Where a server's line ends, in data coordinates. `remark` says so if it ends before the others."""

    x: float
    y: float
    remark: str = ""


def shifted(page: Page, base: Transform, *, right: float = 0, up: float = 0) -> Transform:
    """Return a transform moved by some points on the page."""
    return base + ScaledTranslation(right / POINTS, up / POINTS, page.figure.dpi_scale_trans)


def mark_servers(figure: Figure, servers: Sequence[str]) -> None:
    """Give each mark of a server the id `server-N`, N being its place in `servers`, by which a page finds it."""
    longest_first = sorted(servers, key=len, reverse=True)
    for artist in figure.findobj():
        label = str(artist.get_label())
        owner = next((server for server in longest_first if label.startswith((f"{server}: ", f"{server} "))), None)
        if owner is None:
            continue
        mark = f"server-{servers.index(owner)}"
        artist.set_gid(mark)
        if isinstance(artist, Annotation) and artist.arrow_patch is not None:
            artist.arrow_patch.set_gid(mark)


def draw_server(page: Page, axes: Axes, here: Sequence[Cell], style: Style, shift: float) -> None:
    """Draw the cells of one server along the axis; its line breaks where a cell is missing."""
    colour, place, name = page.colour(style), shifted(page, axes.transData, right=shift), here[0].server
    known = [cell for cell in here if not cell.missing]
    axes.plot(
        [cell.x for cell in here],
        [cell.estimate.value for cell in here],
        **line_style(page, style),
        transform=place,
        zorder=3,
        label=f"{name}: mean",
    )
    bounded = [cell for cell in known if cell.estimate.bounded]
    floor, ceiling = axes.get_ylim()
    scale = Scale(floor, ceiling, log=axes.get_yscale() == "log")
    bars = [[(cell.x, max(cell.estimate.low, floor)), (cell.x, min(cell.estimate.high, ceiling))] for cell in bounded]
    axes.add_collection(
        LineCollection(
            bars, colors=colour, linewidths=1.2, alpha=0.55, transform=place, zorder=2.5, label=f"{name}: interval"
        ),
        autolim=False,
    )
    for cell in bounded:
        for end in scale.cuts(cell):
            mark = cut_end(colour, at_low=end == scale.low)
            axes.plot([cell.x], [end], transform=place, label=f"{name}: cut", **mark)
    trials = [(cell.x, value) for cell in known if len(cell.values) > 1 for value in cell.values]
    for what, marks, marker in (
        ("trials", trials, dots(colour)),
        ("lower bound", [(cell.x, cell.estimate.value) for cell in known if cell.lower_bound], arrow(colour)),
    ):
        xs, ys = [x for x, _ in marks], [y for _, y in marks]
        axes.plot(xs, ys, transform=place, zorder=2, label=f"{name}: {what}", **marker)


def line_style(page: Page, style: Style) -> dict[str, Any]:
    """Return how a server's line and points look."""
    return {"linewidth": 1.6, "linestyle": (0, style.dash) if style.dash else "-", **marker_style(page, style)}


def marker_style(page: Page, style: Style) -> dict[str, Any]:
    """Return how a server's points look: filled with a thin rim of the page, or hollow."""
    colour = page.colour(style)
    return {
        "color": colour,
        "marker": style.marker,
        "markersize": (5.4 if style.filled else 4.8) * (1.2 if style.marker in "PX" else 1.0),
        "markerfacecolor": colour if style.filled else page.theme.background,
        "markeredgecolor": page.theme.background if style.filled else colour,
        "markeredgewidth": 0.5 if style.filled else 1.2,
    }


def dots(colour: str) -> dict[str, Any]:
    """Return the marker of single trials: small and faint."""
    return {
        "color": colour,
        "linestyle": "none",
        "marker": "o",
        "markersize": 2.6,
        "markeredgewidth": 0,
        "alpha": 0.4,
    }


def arrow(colour: str, *, upwards: bool = True) -> dict[str, Any]:
    """Return the marker of a lower bound: an arrow that leads from its point to more."""
    outline = _UPWARDS if upwards else _UPWARDS.transformed(Affine2D().rotate_deg(-90))
    return {
        "color": colour,
        "linestyle": "none",
        "marker": outline,
        "markersize": 34,
        "markerfacecolor": "none",
        "markeredgecolor": colour,
    }


def cut_end(colour: str, *, at_low: bool, upwards: bool = True) -> dict[str, Any]:
    """Return the marker of a bar that goes on beyond the axis: a small triangle that points there."""
    marker = ("v" if at_low else "^") if upwards else ("<" if at_low else ">")
    return {
        "color": colour,
        "linestyle": "none",
        "marker": marker,
        "markersize": 5,
        "markeredgewidth": 0,
        "clip_on": False,
        "zorder": 3,
    }


def cross(page: Page, style: Style) -> dict[str, Any]:
    """Return the marker of a cell without a number: hollow, in the server's colour."""
    colour = page.colour(style)
    return {
        "color": colour,
        "linestyle": "none",
        "marker": "X",
        "markersize": 7.5,
        "markerfacecolor": page.theme.background,
        "markeredgecolor": colour,
        "markeredgewidth": 1.2,
        "clip_on": False,
        "zorder": 4,
    }


def draw_missing(page: Page, axes: Axes, missing: Sequence[Cell], styles: Mapping[str, Style]) -> None:
    """Stand hollow crosses on the axis where a cell has no number, one above the other."""
    stacked: defaultdict[float, int] = defaultdict(int)
    for cell in missing:
        place = shifted(page, axes.get_xaxis_transform(), up=7 + 10 * stacked[cell.x])
        stacked[cell.x] += 1
        style = cross(page, styles[cell.server])
        axes.plot([cell.x], [0], transform=place, label=f"{cell.server}: missing", **style)


def draw_names(page: Page, axes: Axes, ends: Mapping[str, End], styles: Mapping[str, Style]) -> None:
    """Write every server's name right of the panel, level with the end of its line where there is room.

    Its marker stands before the name. A fine line leads there from a line that ends last; a name whose line ends
    before says so instead.
    """
    inches = page.figure.dpi_scale_trans.inverted()
    box = axes.get_window_extent().transformed(inches)
    low, high = box.y0 * POINTS, box.y1 * POINTS
    to_page = axes.transData + inches
    level = [float(to_page.transform((end.x, end.y))[1]) * POINTS for end in ends.values()]
    placed = spread([min(max(y, low), high) for y in level], LABEL_GAP_POINTS, low, high)
    for (server, end), height in zip(ends.items(), placed, strict=True):
        style = styles[server]
        left = box.x1 * POINTS + 16
        if not end.remark:
            thread = {"arrowstyle": "-", "color": page.colour(style), "linewidth": 0.7, "shrinkA": 0, "shrinkB": 6}
            axes.annotate(
                "",
                (end.x, end.y),
                xytext=(left, height),
                textcoords="figure points",
                arrowprops=thread,
                label=f"{server}: thread",
            )
        on_page = page.figure.dpi_scale_trans
        key = Line2D(
            [left / POINTS], [height / POINTS], transform=on_page, label=f"{server}: key", **marker_style(page, style)
        )
        page.figure.add_artist(key)
        axes.annotate(
            f"{server}{end.remark}",
            (left + 7, height),
            xycoords="figure points",
            va="center_baseline",
            fontsize=LABEL_POINTS,
            color=page.label_colour(style),
            label=f"{server}: name",
        )
