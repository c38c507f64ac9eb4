"""The figure of a metric under a single load: servers ranked best first, with value and interval beside each mark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.analysis.estimates import remarks
from bench.analysis.figures.canvas import (
    LABEL_POINTS,
    MARGIN,
    POINTS,
    WIDTH,
    Page,
    fitting,
    nice_ticks,
    set_ticks,
    text_width,
)
from bench.analysis.figures.marks import arrow, cross, cut_end, dots, marker_style, shifted
from bench.analysis.figures.words import capital

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.analysis.estimates.cells import Cell
    from bench.analysis.figures.palette import Style, Theme
    from bench.analysis.figures.quantity import Quantity

_ROW = 0.27
_PANEL_GAP = 0.62
_NAME_POINTS, _VALUE_POINTS = 7, 12


def bars_figure(
    panels: Mapping[str, Sequence[Cell]], shown: Quantity, theme: Theme, styles: Mapping[str, Style]
) -> Figure:
    """Draw a panel for every caption, with a row for each of its cells, which are among those of `shown`."""
    body = sum(_ROW * len(rows) + _PANEL_GAP for rows in panels.values()) - (0.05 if len(panels) > 1 else 0.2)
    page = Page(shown.words(False), theme, body=body)
    left = (
        text_width(page.figure, [_name(cell, shown) for rows in panels.values() for cell in rows], size=LABEL_POINTS)
        + 0.12
        + MARGIN
    )
    texts = [shown.text(cell) for rows in panels.values() for cell in rows]
    right = _VALUE_POINTS / POINTS + text_width(page.figure, texts, size=LABEL_POINTS) + MARGIN
    scale = shown.scale
    top = 0.2 if len(panels) > 1 else 0.05
    for caption, rows in panels.items():
        axes = page.axes(left, top, WIDTH - left - right, _ROW * len(rows))
        if len(panels) > 1:
            page.caption(axes, capital(caption))
        axes.set_xscale("log" if scale.log else "linear")
        axes.set_xlim(scale.low, scale.high)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        ticks = nice_ticks(scale.low, scale.high, log=scale.log, base=shown.tick_base)
        set_ticks(axes, "x", fitting(axes, ticks, shown.tick), shown.tick)
        set_ticks(axes, "y", [], str)
        axes.grid(axis="x", color=theme.grid, linewidth=0.8)
        if shown.reference is not None:
            axes.axvline(shown.reference, color=theme.muted, linewidth=0.8, zorder=1)
        for row, cell in enumerate(rows):
            _draw_row(page, axes, row, cell, shown, styles[cell.server])
        top += _ROW * len(rows) + _PANEL_GAP
    return page.figure


def _name(cell: Cell, shown: Quantity) -> str:
    """Write the name of a row, with a sign if it is not told from the row above."""
    return f"{remarks.LEVEL_SIGN} {cell.server}" if (cell.workload, cell.server) in shown.level else cell.server


def _draw_row(page: Page, axes: Axes, row: int, cell: Cell, shown: Quantity, style: Style) -> None:  # noqa: PLR0917 - private
    colour, name = page.colour(style), cell.server
    for text, x, offset, align, shade in (
        (_name(cell, shown), 0, -_NAME_POINTS, "right", page.label_colour(style)),
        (shown.text(cell), 1, _VALUE_POINTS, "left", page.theme.muted if cell.missing else page.theme.ink),
    ):
        axes.annotate(
            text,
            (x, row),
            xycoords=("axes fraction", "data"),
            xytext=(offset, 0),
            textcoords="offset points",
            ha=align,
            va="center_baseline",
            fontsize=LABEL_POINTS,
            color=shade,
            label=f"{name}: words",
        )
    if cell.missing:
        place = shifted(page, axes.get_yaxis_transform(), right=6)
        axes.plot([0], [row], transform=place, label=f"{name}: missing", **cross(page, style))
        return
    estimate, trials = cell.estimate, list(cell.values)
    if estimate.bounded:
        low, high = max(estimate.low, shown.scale.low), min(estimate.high, shown.scale.high)
        axes.hlines(row, low, high, colors=colour, linewidth=1.6, alpha=0.7, label=f"{name}: interval")
    for end in shown.scale.cuts(cell):
        mark = cut_end(colour, at_low=end == shown.scale.low, upwards=False)
        axes.plot([end], [row], label=f"{name}: cut", **mark)
    if len(trials) > 1:
        axes.plot(trials, [row] * len(trials), label=f"{name}: trials", **dots(colour))
    axes.plot([estimate.value], [row], label=f"{name}: mean", zorder=3, **marker_style(page, style))
    if cell.lower_bound:
        axes.plot([estimate.value], [row], label=f"{name}: lower bound", zorder=2, **arrow(colour, upwards=False))
