"""The page that every figure is drawn on: sizes, type, axes, ticks, labels at line ends. Knows no metric, no server.

Only matplotlib's object interface is used, with a style of our own. So neither a user's matplotlibrc nor another figure
changes what is drawn. Lengths are in inches unless a name says points.
"""

from __future__ import annotations

import math
import re
import textwrap
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib import style
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, MaxNLocator, NullLocator

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from contextlib import AbstractContextManager

    from matplotlib.axes import Axes
    from numpy.typing import NDArray

    from bench.analysis.figures.palette import Style, Theme

    Floats = NDArray[np.float64]

WIDTH = 8.8
MARGIN = 0.18
AXIS_LEFT = 0.72
LABEL_POINTS = 8.5
TICK_POINTS = 8.5
LABEL_GAP_POINTS = 11.5
POINTS = 72

_LOG_STEPS: tuple[tuple[float, ...], ...] = (
    (1,),
    (1, 3),
    (1, 2, 5),
    (1, 1.5, 2, 3, 5, 7),
    (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8, 9),
)


def drawing_style() -> AbstractContextManager[None]:
    """Return the context in which everything is drawn and saved: matplotlib's defaults and a few of ours."""
    return style.context(
        [
            "default",
            {
                "font.family": "DejaVu Sans",
                "font.size": 9,
                "svg.fonttype": "none",
                "svg.hashsalt": "echobench",
                "axes.linewidth": 0.8,
                "lines.solid_capstyle": "round",
                "lines.dash_capstyle": "round",
                "lines.scale_dashes": False,
            },
        ],
        after_reset=True,
    )


@dataclass(frozen=True, slots=True)
class Words:
    """The text of a figure: the answer as title, what is shown as subtitle, and notes at the foot."""

    title: str
    subtitle: str
    notes: tuple[str, ...] = ()


class Page:
    """A figure with its words, below which `axes` places panels."""

    def __init__(self, words: Words, theme: Theme, *, body: float) -> None:
        """Open a page with `body` inches of height for the panels."""
        self.theme = theme
        self.figure = Figure(figsize=(WIDTH, body), facecolor=theme.background)
        FigureCanvasAgg(self.figure)
        title = self._wrapped(words.title, size=12.5, weight="bold")
        subtitle = self._wrapped(words.subtitle, size=9)
        notes = [line for note in words.notes for line in self._wrapped(note, size=8)]
        self._top = MARGIN + 0.24 * len(title) + 0.175 * len(subtitle) + 0.16
        foot = 0.16 * len(notes) + MARGIN * (1 if notes else 0.4)
        self.height = self._top + body + foot
        self.figure.set_figheight(self.height)
        self._write(title, MARGIN, 0.24, size=12.5, weight="bold", color=theme.ink)
        self._write(subtitle, MARGIN + 0.24 * len(title) + 0.03, 0.175, size=9, color=theme.muted)
        self._write(notes, self._top + body, 0.16, size=8, color=theme.muted)

    def _wrapped(self, text: str, **font: Any) -> list[str]:
        """Break text into as few lines as fit the page, as even in length as can be; a number keeps its unit."""
        if not text:
            return []
        text = re.sub(r"(?<=\d) (?=\S)", "\N{NO-BREAK SPACE}", text)
        per_inch = len(text) / text_width(self.figure, [text], **font)
        widest = int(per_inch * (WIDTH - 2 * MARGIN) * 0.97)
        lines = textwrap.wrap(text, widest, break_on_hyphens=False)
        while len(shorter := textwrap.wrap(text, widest - 1, break_on_hyphens=False)) == len(lines) > 1:
            lines, widest = shorter, widest - 1
        return lines

    def _write(self, lines: Sequence[str], top: float, step: float, **properties: Any) -> None:
        for number, line in enumerate(lines):
            y = 1 - (top + step * number) / self.height
            self.figure.text(MARGIN / WIDTH, y, line, va="top", ha="left", **properties)

    def axes(self, left: float, top: float, width: float, height: float) -> Axes:
        """Place a panel, `top` inches below the words, with a quiet frame: a line below and nothing else."""
        box = (left / WIDTH, 1 - (self._top + top + height) / self.height, width / WIDTH, height / self.height)
        axes = self.figure.add_axes(box, facecolor="none")
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(self.theme.muted)
        axes.tick_params(length=0, pad=5, labelsize=TICK_POINTS, labelcolor=self.theme.muted)
        axes.set_axisbelow(True)
        return axes

    def caption(self, axes: Axes, text: str) -> None:
        """Write above the top left corner of a panel."""
        axes.annotate(
            text,
            (0, 1),
            xytext=(0, 7),
            xycoords="axes fraction",
            textcoords="offset points",
            color=self.theme.muted,
            fontsize=8.5,
            annotation_clip=False,
        )

    def below(self, axes: Axes, text: str) -> None:
        """Name the horizontal axis."""
        axes.set_xlabel(text, color=self.theme.muted, fontsize=8.5, labelpad=3)

    def colour(self, style: Style) -> str:
        """Return the colour of a server's lines."""
        return self.theme.colours[style.role]

    def label_colour(self, style: Style) -> str:
        """Return the colour of a server's name: its hue, readable as text."""
        return self.theme.muted if style.grey else self.theme.labels[style.hue]


def set_ticks(axes: Axes, which: str, places: Sequence[float], text: Callable[[float], str]) -> None:
    """Put labelled ticks exactly at these places of the x or y axis, and no others."""
    axis = axes.xaxis if which == "x" else axes.yaxis
    axis.set_major_locator(FixedLocator(list(places)))
    axis.set_minor_locator(NullLocator())
    axis.set_ticklabels([text(place) if place else "0" for place in places])


def fitting(
    axes: Axes, places: Sequence[float], text: Callable[[float], str], size: float = TICK_POINTS
) -> list[float]:
    """Leave out the places on the x axis whose labels would run into the next; the last is kept."""
    figure = axes.figure.figure
    kept: list[float] = []
    room = math.inf
    for place in reversed(places):
        middle = float(axes.transData.transform((place, axes.get_ylim()[0]))[0]) / figure.dpi
        half = (text_width(figure, [text(place)], size=size) + 0.05) / 2
        if middle + half <= room:
            kept.append(place)
            room = middle - half
    return kept[::-1]


def nice_ticks(low: float, high: float, *, log: bool, base: float = 1.0) -> list[float]:
    """Return 3 to 7 round numbers within [low, high], counted in `base` (1 MiB, say, rather than bytes)."""
    low, high = low / base, high / base
    if not log:
        ticks = MaxNLocator(nbins=5, steps=[1, 2, 2.5, 5, 10]).tick_values(low, high)
        return [float(tick * base) for tick in ticks if low <= tick <= high * (1 + 1e-9)]
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    for steps in _LOG_STEPS:
        inside = [step * 10.0**decade for decade in decades for step in steps if low <= step * 10.0**decade <= high]
        if len(inside) >= 4:  # noqa: PLR2004 - fewer do not show that the scale is logarithmic
            every = math.ceil(len(inside) / 7)
            return [tick * base for tick in inside[::every]]
    return nice_ticks(low * base, high * base, log=False, base=base)


def spread(wanted: Sequence[float], gap: float, low: float, high: float) -> Floats:
    """Move positions, shape (n,), as little as possible so that neighbours are `gap` apart within [low, high].

    Least squares under order constraints, solved exactly by pooling adjacent violators (Ayer et al. 1955). If they do
    not all fit, the gap shrinks to what does.
    """
    count = len(wanted)
    if count > 1:
        gap = min(gap, (high - low) / (count - 1))
    order = np.argsort(wanted, kind="stable")
    goals = np.asarray(wanted, dtype=float)[order] - gap * np.arange(count)
    pools: list[tuple[float, int]] = []
    for goal in goals:
        mean, size = float(goal), 1
        while pools and pools[-1][0] >= mean:
            before, others = pools.pop()
            mean, size = (before * others + mean * size) / (others + size), others + size
        pools.append((mean, size))
    fitted = np.concatenate([np.full(size, mean) for mean, size in pools]) if pools else np.empty(0)
    fitted = np.clip(fitted, low, high - gap * max(count - 1, 0)) + gap * np.arange(count)
    placed = np.empty(count)
    placed[order] = fitted
    return placed


def text_width(figure: Figure, texts: Sequence[str], **font: Any) -> float:
    """Return the width in inches of the widest text, as matplotlib's own font sets it."""
    canvas = figure.canvas
    assert isinstance(canvas, FigureCanvasAgg)
    renderer = canvas.get_renderer()  # type: ignore[no-untyped-call]  # matplotlib leaves it without types
    widths = []
    for text in texts:
        artist = figure.text(0, 0, text, **font)
        widths.append(artist.get_window_extent(renderer).width / figure.dpi)
        artist.remove()
    return max(widths, default=0.0)
