"""A metric, or its ratio to the baseline, against the load: a line for each server, with its interval and trials.

If a run has one load only, the same numbers are drawn as a ranking. Everything is drawn from the ranking of a run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.analysis.figures import quantity
from bench.analysis.figures.bars import bars_figure
from bench.analysis.figures.canvas import (
    AXIS_LEFT,
    LABEL_POINTS,
    MARGIN,
    WIDTH,
    Page,
    fitting,
    nice_ticks,
    set_ticks,
    text_width,
)
from bench.analysis.figures.marks import End, draw_missing, draw_names, draw_server
from bench.analysis.figures.palette import ordered
from bench.analysis.figures.words import capital

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.analysis.estimates.cells import Cell, Panel
    from bench.analysis.estimates.ranking import Ranking
    from bench.analysis.figures.palette import Style, Theme
    from bench.analysis.figures.quantity import Quantity
    from bench.metrics import Metric

_PANEL_GAP = 0.75
_DODGE_POINTS = 1.6
_DODGE_MOST_POINTS = 11


def metric_figure(ranking: Ranking, metric: Metric, theme: Theme, styles: Mapping[str, Style]) -> Figure | None:
    """Draw a metric of every cell of a run, in its own unit. None if no cell has a number: there is no axis for it."""
    if all(cell.missing for cell in ranking.cells[metric.column]):
        return None
    return _figure(ranking, quantity.values(ranking, metric), theme, styles)


def ratio_figure(ranking: Ranking, metric: Metric, theme: Theme, styles: Mapping[str, Style]) -> Figure | None:
    """Draw the ratio of a metric to that of the baseline; None if there is nothing to compare."""
    shown = quantity.ratios(ranking, metric)
    return None if shown is None else _figure(ranking, shown, theme, styles)


def forest_figure(ranking: Ranking, metric: Metric, theme: Theme, styles: Mapping[str, Style]) -> Figure | None:
    """Draw the ratios to the baseline as rows, at the load of the title and at the last one.

    None if there is nothing to compare, or one load only, of which `ratio_figure` draws just that.
    """
    standing = ranking.headline(metric)
    places = [(panel, workload, x) for panel in ranking.sweep.panels for workload, x in panel.places.items()]
    if standing is None or all(len(panel.places) == 1 for panel in ranking.sweep.panels):
        return None
    last = max(x for _, _, x in places)
    drawn = {
        workload: ranking.sweep.phrase(panel, x)
        for panel, workload, x in places
        if workload == standing.best.workload or (x == last and panel is standing.panel)
    }
    shown = quantity.ratios(ranking, metric, drawn, set_apart=True)
    if shown is None:
        return None
    panels = {
        caption: [cell for cell in shown.cells if cell.workload == workload] for workload, caption in drawn.items()
    }
    return bars_figure({caption: rows for caption, rows in panels.items() if rows}, shown, theme, styles)


def _figure(ranking: Ranking, shown: Quantity, theme: Theme, styles: Mapping[str, Style]) -> Figure:
    panels = ranking.sweep.panels
    if all(len(panel.places) == 1 for panel in panels):
        here = {panel.label: [cell for cell in shown.cells if cell.workload in panel.places] for panel in panels}
        return bars_figure({label: rows for label, rows in here.items() if rows}, shown, theme, styles)
    height = max(2.6 if len(panels) > 1 else 3.4, 0.17 * len(styles) + 0.4)
    page = Page(shown.words(True), theme, body=len(panels) * (height + _PANEL_GAP) - 0.12)
    drawn = [_along([cell for cell in shown.cells if cell.workload in panel.places]) for panel in panels]
    ends = [_ends(here, panel, ranking.sweep.setting.tick) for here, panel in zip(drawn, panels, strict=True)]
    names = [f"{server}{end.remark}" for each in ends for server, end in each.items()]
    width = WIDTH - AXIS_LEFT - text_width(page.figure, names, size=LABEL_POINTS) - 0.36 - MARGIN
    for number, panel in enumerate(panels):
        axes = page.axes(AXIS_LEFT, 0.2 + number * (height + _PANEL_GAP), width, height)
        if len(panels) > 1:
            page.caption(axes, capital(panel.label))
        _frame(page, axes, ranking, panel, shown)
        _fill(page, axes, drawn[number], styles)
        draw_names(page, axes, ends[number], styles)
    return page.figure


def _frame(page: Page, axes: Axes, ranking: Ranking, panel: Panel, shown: Quantity) -> None:
    places = sorted(set(panel.places.values()))
    scale = shown.scale
    axes.set_yscale("log" if scale.log else "linear")
    axes.set_ylim(scale.low, scale.high)
    axes.set_xscale("log")
    room = (places[-1] / places[0]) ** 0.045 if len(places) > 1 else 2.0
    axes.set_xlim(places[0] / room, places[-1] * room)
    set_ticks(axes, "x", fitting(axes, places, ranking.sweep.setting.tick), ranking.sweep.setting.tick)
    set_ticks(axes, "y", nice_ticks(scale.low, scale.high, log=scale.log, base=shown.tick_base), shown.tick)
    axes.grid(axis="y", color=page.theme.grid, linewidth=0.8)
    page.below(axes, ranking.sweep.setting.title)


def _along(found: Sequence[Cell]) -> list[Cell]:
    """Sort cells along the axis, as a line is drawn."""
    return sorted(found, key=lambda cell: (cell.x, cell.workload, cell.server))


def _ends(here: Sequence[Cell], panel: Panel, tick: Callable[[float], str]) -> dict[str, End]:
    """Return where each server's line ends, with a remark if that is not at the last load."""
    ends: dict[str, End] = {}
    last = max(panel.places.values())
    for server in ordered(cell.server for cell in here):
        known = [cell for cell in here if cell.server == server and not cell.missing]
        if known:
            remark = "" if known[-1].x == last else f" ({'to' if len(known) > 1 else 'at'} {tick(known[-1].x)})"
            ends[server] = End(known[-1].x, known[-1].estimate.value, remark)
    return ends


def _fill(page: Page, axes: Axes, here: Sequence[Cell], styles: Mapping[str, Style]) -> None:
    """Draw all servers of a panel, each a little aside of the others."""
    step = min(_DODGE_POINTS, _DODGE_MOST_POINTS / len(styles))
    for index, server in enumerate(ordered(styles)):
        mine = [cell for cell in here if cell.server == server]
        if mine:
            draw_server(page, axes, mine, styles[server], (index - (len(styles) - 1) / 2) * step)
    draw_missing(page, axes, [cell for cell in here if cell.missing], styles)
