"""The figure of a metric under a single load: servers ranked best first, with value and interval beside each mark."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import units
from bench.analysis.figures.canvas import LABEL_POINTS, MARGIN, POINTS, WIDTH, Page, nice_ticks, set_ticks, text_width
from bench.analysis.figures.marks import arrow, cross, dots, marker_style, shifted
from bench.analysis.figures.scale import value_scale
from bench.analysis.figures.words import capital, metric_words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.analysis.estimates.cells import Cell
    from bench.analysis.estimates.ranking import Ranking
    from bench.analysis.figures.palette import Style, Theme
    from bench.metrics import Metric

_ROW = 0.27
_PANEL_GAP = 0.62
_NAME_POINTS, _VALUE_POINTS = 7, 12


def ranking_figure(ranking: Ranking, metric: Metric, theme: Theme, styles: Mapping[str, Style]) -> Figure:
    """Draw a panel for every load of the run, with a row for every server."""
    panels = [
        (panel, _ranked([cell for cell in ranking.cells[metric.column] if cell.workload in panel.places], metric))
        for panel in ranking.sweep.panels
    ]
    body = sum(_ROW * len(rows) + _PANEL_GAP for _, rows in panels) - 0.2
    page = Page(metric_words(ranking, metric, upwards=False), theme, body=body)
    left = text_width(page.figure, list(styles), size=LABEL_POINTS) + 0.12 + MARGIN
    values = [_value(cell, metric) for _, rows in panels for cell in rows]
    right = _VALUE_POINTS / POINTS + text_width(page.figure, values, size=LABEL_POINTS) + MARGIN
    scale = value_scale(ranking.cells[metric.column], log=metric.log)
    top = 0.2 if len(panels) > 1 else 0.05
    for panel, rows in panels:
        axes = page.axes(left, top, WIDTH - left - right, _ROW * len(rows))
        if len(panels) > 1:
            page.caption(axes, capital(panel.label))
        axes.set_xscale("log" if scale.log else "linear")
        axes.set_xlim(scale.low, scale.high)
        axes.set_ylim(len(rows) - 0.5, -0.5)
        set_ticks(
            axes, "x", nice_ticks(scale.low, scale.high, log=scale.log, base=metric.unit.tick_base), metric.unit.tick
        )
        set_ticks(axes, "y", [], str)
        axes.grid(axis="x", color=theme.grid, linewidth=0.8)
        for row, cell in enumerate(rows):
            _draw_row(page, axes, row, cell, styles[cell.server], metric)
        top += _ROW * len(rows) + _PANEL_GAP
    return page.figure


def _ranked(found: Sequence[Cell], metric: Metric) -> list[Cell]:
    """Sort best first, cells without a number last."""
    sign = -1 if metric.larger_is_better else 1
    return sorted(
        found, key=lambda cell: (cell.missing, 0 if cell.missing else sign * cell.estimate.value, cell.server)
    )


def _draw_row(page: Page, axes: Axes, row: int, cell: Cell, style: Style, metric: Metric) -> None:  # noqa: PLR0917 - private
    colour, name = page.colour(style), cell.server
    for text, x, offset, align, shade in (
        (name, 0, -_NAME_POINTS, "right", page.label_colour(style)),
        (_value(cell, metric), 1, _VALUE_POINTS, "left", page.theme.muted if cell.missing else page.theme.ink),
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
        )
    if cell.missing:
        place = shifted(page, axes.get_yaxis_transform(), right=6)
        axes.plot([0], [row], transform=place, label=f"{name}: missing", **cross(page, style))
        return
    estimate, trials = cell.estimate, list(cell.by_round.values())
    if estimate.bounded:
        low = max(estimate.low, axes.get_xlim()[0])
        axes.hlines(row, low, estimate.high, colors=colour, linewidth=1.6, alpha=0.7, label=f"{name}: interval")
    if len(trials) > 1:
        axes.plot(trials, [row] * len(trials), label=f"{name}: trials", **dots(colour))
    axes.plot([estimate.value], [row], label=f"{name}: mean", zorder=3, **marker_style(page, style))
    if cell.lower_bound:
        axes.plot([estimate.value], [row], label=f"{name}: lower bound", zorder=2, **arrow(colour, upwards=False))


def _value(cell: Cell, metric: Metric) -> str:
    """Write the value with its interval, or the reason why there is none."""
    if cell.missing:
        return ", ".join(cell.statuses) or "not known"
    return ("at least " if cell.lower_bound else "") + units.estimate(cell.estimate, metric.words)
