"""The one plot of `nox -s micro`: nanoseconds by mechanism, and by depth where there is one. Estimates come in."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bench import units
from bench.analysis.figures.canvas import MARGIN, WIDTH, Page, Words, drawing_style, nice_ticks, set_ticks, text_width
from bench.analysis.figures.marks import marker_style
from bench.analysis.figures.palette import LIGHT, MARKERS, Style
from bench.analysis.figures.saving import saved
from bench.analysis.figures.svg import dark

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from micro.prices import Price

ROW, ROW_MORE, FOOT, KEY = 0.25, 0.08, 0.32, 0.3
"""Heights in inches: of a row, of what each further Python adds, of the axis, and of the names of the Pythons."""
OF_DEPTH = {
    "yield from": "a generator below 1 to 100 others is resumed",
    "await": "a coroutine below 1 to 100 others is resumed",
}


def files(found: Sequence[Price]) -> dict[str, str | bytes]:
    """Return the contents of the plot's files by their names."""
    with drawing_style():
        _, svg, png = saved(figure_of([price for price in found if not price.missing]))
    return {"micro.svg": svg, "micro-dark.svg": dark(svg), "micro.png": png}


def figure_of(found: Sequence[Price]) -> Figure:
    """Draw a row for each mechanism, the cheapest at the top, with the depths of one mechanism in one row."""
    rows: dict[str, str] = {}
    for price in found:
        rows.setdefault(price.mechanism.row, OF_DEPTH.get(price.mechanism.row, price.mechanism.words))
    pythons = list(dict.fromkeys(price.python for price in found))
    several = len(pythons) > 1
    row = ROW + ROW_MORE * (len(pythons) - 1)
    height = row * len(rows)
    page = Page(_words(found, pythons), LIGHT, body=height + FOOT + KEY * several)
    left = MARGIN + text_width(page.figure, list(rows.values()), size=8.5) + 0.12
    axes = page.axes(left, 0, WIDTH - left - 0.75, height)
    _frame(axes, page, list(rows.values()), found)
    for number, python in enumerate(pythons):
        style = Style(number % len(MARKERS), MARKERS[number % len(MARKERS)], (), filled=True)
        lift = (number - (len(pythons) - 1) / 2) * 0.7 / len(pythons)
        here = [price for price in found if price.python == python]
        _draw(axes, page, here, {row: place + lift for place, row in enumerate(rows)}, style)
    if several:
        _name(axes, pythons, height)
    else:
        _label(axes, page, found, list(rows))
    return page.figure


def _words(found: Sequence[Price], pythons: Sequence[str]) -> Words:
    first = {price.mechanism.name: units.duration(price.ns.value) for price in found if price.python == pythons[0]}
    several = len(pythons) > 1
    depths = "Points on a line are" if several else "The number over a point says how many levels pass it on:"
    return Words(
        f"A generator is resumed in {first['send']}, a thread takes {first['thread']}",
        "Time for once there and back, on a logarithmic scale: each line of the grid is ten times the one before it. "
        f"{depths} 1, 3, 10, 30 and 100{' levels deep' * several}. A bar is the interval at 95 %. "
        f"{'The title is of ' * several}{pythons[0]}, on one core.",
    )


def _frame(axes: Axes, page: Page, rows: Sequence[str], found: Sequence[Price]) -> None:
    """Set the scales, name the rows, and draw the lines of the tens."""
    times = [time for price in found for time in (price.ns.value, price.ns.low, price.ns.high) if math.isfinite(time)]
    axes.set_xscale("log")
    axes.set_xlim(min(times) / 1.5, max(times) * 1.5)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    decades = range(math.ceil(math.log10(min(times) / 1.5)), math.floor(math.log10(max(times) * 1.5)) + 1)
    places = [10.0**decade for decade in decades]
    set_ticks(axes, "x", places if len(places) > 1 else nice_ticks(min(times), max(times), log=True), units.duration)
    set_ticks(axes, "y", range(len(rows)), lambda _: "")
    axes.set_yticklabels(rows, color=page.theme.ink, fontsize=8.5)
    axes.grid(color=page.theme.grid, linewidth=0.8)


def _draw(axes: Axes, page: Page, here: Sequence[Price], places: Mapping[str, float], style: Style) -> None:
    """Draw the points of one Python with their intervals, and join the depths of a mechanism."""
    for row, place in places.items():
        prices = [price for price in here if price.mechanism.row == row]
        joined = {**marker_style(page, style), "linewidth": 1.2}
        label = f"{here[0].python}: {row}"
        axes.plot([price.ns.value for price in prices], [place] * len(prices), **joined, label=label, zorder=3)
        bars = [price.ns for price in prices if price.ns.bounded]
        low, high = [bar.low for bar in bars], [bar.high for bar in bars]
        axes.hlines([place] * len(bars), low, high, color=page.colour(style), linewidth=4, alpha=0.35, zorder=2)


def _label(axes: Axes, page: Page, found: Sequence[Price], rows: Sequence[str]) -> None:
    """Write the depth over each point that has one, and the time right of each other point, and of the deepest."""
    for price in found:
        depth, at = price.mechanism.depth, (price.ns.value, rows.index(price.mechanism.row))
        text = {"textcoords": "offset points", "fontsize": 7.5, "annotation_clip": False}
        if depth is not None:
            axes.annotate(str(depth), at, (0, 4), ha="center", color=page.theme.muted, **text)
        if depth is None or depth == max(one.mechanism.depth or 0 for one in found):
            time = units.duration(price.ns.value)
            right = (price.ns.high, at[1]) if price.ns.bounded else at
            axes.annotate(time, right, (7, 0), va="center_baseline", color=page.theme.ink, **text)


def _name(axes: Axes, pythons: Sequence[str], height: float) -> None:
    """Name the Pythons below the axis of a panel so many inches high, each with its marker."""
    firsts = {line.get_label().partition(":")[0]: line for line in reversed(axes.get_lines())}
    axes.legend(
        [firsts[python] for python in pythons],
        pythons,
        loc="upper left",
        bbox_to_anchor=(0, -FOOT / height),
        ncols=len(pythons),
        frameon=False,
        fontsize=8.5,
        labelcolor="linecolor",
        borderaxespad=0,
        handlelength=0.8,
    )
