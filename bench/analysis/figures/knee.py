"""The figure of the knee: response time against offered load, and where a server no longer keeps the rate.

Up to the knee, more load costs next to nothing. Beyond it a queue grows for as long as the window lasts, so the numbers
there say how long that was, and are crossed. Only loads with a given rate are here, and only where a plan has several.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

from bench import units
from bench.analysis.figures import dots
from bench.analysis.figures.canvas import (
    AXIS_LEFT,
    LABEL_POINTS,
    MARGIN,
    WIDTH,
    Page,
    Words,
    fitting,
    nice_ticks,
    set_ticks,
    text_width,
)
from bench.analysis.figures.marks import End, cross, draw_missing, draw_names, draw_server
from bench.analysis.figures.palette import ordered
from bench.analysis.figures.scale import value_scale
from bench.analysis.figures.words import capital
from bench.metrics import P50, P99

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.analysis.estimates.cells import Cell
    from bench.analysis.estimates.ranking import Ranking
    from bench.analysis.figures.palette import Style, Theme
    from bench.analysis.figures.scale import Scale
    from bench.analysis.runs.run_folder import Run

_HEIGHT, _GAP = 3.2, 0.75
_ALIKE = ["arrivals", "connections", "message_bytes", "pipeline"]

Panels = dict[str, dict[str, float]]
"""By caption, the offered rate of each workload."""


def knee_figure(run: Run, ranking: Ranking, theme: Theme, styles: Mapping[str, Style]) -> Figure | None:
    """Draw p99 and median against the offered rate. None unless workloads differ in their rate alone."""
    panels = _panels(run)
    here = {caption: tuple(_cells(ranking, one.column, at) for one in (P99, P50)) for caption, at in panels.items()}
    known = [cell for both in here.values() for found in both for cell in found if not cell.missing]
    if not known:
        return None
    scale = value_scale(known, log=True)
    p99 = [cell for found, _ in here.values() for cell in found]
    shown = dots.thinned(p99)
    words = replace(_words(ranking, panels), notes=(*scale.notes(p99), *dots.notes(p99)))
    page = Page(words, theme, body=len(panels) * (_HEIGHT + _GAP) - 0.12)
    width = WIDTH - AXIS_LEFT - text_width(page.figure, list(styles), size=LABEL_POINTS) - 0.36 - MARGIN
    for number, (caption, at) in enumerate(panels.items()):
        axes = page.axes(AXIS_LEFT, 0.2 + number * (_HEIGHT + _GAP), width, _HEIGHT)
        if len(panels) > 1:
            page.caption(axes, capital(caption))
        _frame(page, axes, sorted(at.values()), scale)
        mine = [cell for cell in shown if cell.workload in at]
        _fill(page, axes, ranking, (mine, here[caption][1]), styles)
    return page.figure


def _panels(run: Run) -> Panels:
    """Return the workloads that differ in their rate alone, at least two of them, by what they have in common."""
    given = run.trials[run.trials["arrivals"] != "closed"].drop_duplicates("workload")
    found: Panels = {}
    for _, alike in given.groupby(_ALIKE):
        rates = alike.dropna(subset="rate_per_s").drop_duplicates("rate_per_s")
        if len(rates) > 1:
            first = rates.iloc[0]
            parts = [units.plural(int(first["connections"]), "connection")]
            parts += [f"{units.size(first['message_bytes'])} messages", f"{first['arrivals']} arrivals"]
            parts += [f"{first['pipeline']} in flight per connection"] if first["pipeline"] > 1 else []
            places = zip(rates["workload"], rates["rate_per_s"], strict=True)
            found[", ".join(parts)] = {str(workload): float(rate) for workload, rate in places}
    return found


def _cells(ranking: Ranking, column: str, at: Mapping[str, float]) -> list[Cell]:
    """Return the cells of these workloads with their rate as place, in its order."""
    found = (replace(cell, x=at[cell.workload]) for cell in ranking.cells[column] if cell.workload in at)
    return sorted(found, key=lambda cell: (cell.x, cell.server))


def _frame(page: Page, axes: Axes, rates: Sequence[float], scale: Scale) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    room = (rates[-1] / rates[0]) ** 0.045
    axes.set_xlim(rates[0] / room, rates[-1] * room)
    axes.set_ylim(scale.low, scale.high)
    set_ticks(axes, "x", fitting(axes, rates, units.compact), units.compact)
    set_ticks(axes, "y", nice_ticks(scale.low, scale.high, log=True), units.duration)
    axes.grid(axis="y", color=page.theme.grid, linewidth=0.8)
    page.below(axes, "offered requests per second")


def _fill(page: Page, axes: Axes, ranking: Ranking, both: tuple[list[Cell], ...], styles: Mapping[str, Style]) -> None:
    """Draw p99 and median of all servers of a panel, the cells of which are in this order."""
    p99, p50 = both
    ends: dict[str, End] = {}
    for server in ordered(styles):
        mine = [cell for cell in p99 if cell.server == server]
        known = [cell for cell in mine if not cell.missing]
        if not known:
            continue
        draw_server(page, axes, mine, styles[server], 0)
        halves = [cell for cell in p50 if cell.server == server]
        places, values = [cell.x for cell in halves], [cell.estimate.value for cell in halves]
        colour = page.colour(styles[server])
        axes.plot(places, values, color=colour, linewidth=0.8, alpha=0.7, label=f"{server}: median")
        lost = [cell for cell in known if not _kept(ranking, cell.workload, server)]
        xs, ys = [cell.x for cell in lost], [cell.estimate.value for cell in lost]
        style = cross(page, styles[server]) | {"linestyle": "none"}
        axes.plot(xs, ys, label=f"{server}: did not keep the rate", **style)
        ends[server] = End(known[-1].x, known[-1].estimate.value)
    draw_missing(page, axes, [cell for cell in p99 if cell.missing], styles)
    draw_names(page, axes, ends, styles)


def _kept(ranking: Ranking, workload: str, server: str) -> bool:
    """Say whether a server answered what was offered. What was not measured was not kept."""
    load = ranking.carried.get(workload)
    return load is not None and server in load.shares and server not in load.behind


def _highest_kept(ranking: Ranking, panels: Panels) -> dict[str, float]:
    """Return for each server the highest rate up to which it kept every rate of a panel, 0 if none."""
    found: defaultdict[str, float] = defaultdict(float)
    for at in panels.values():
        for server in ranking.servers:
            for workload in sorted(at, key=at.__getitem__):
                if not _kept(ranking, workload, server):
                    break
                found[server] = max(found[server], at[workload])
    return {server: found[server] for server in ranking.servers}


def _words(ranking: Ranking, panels: Panels) -> Words:
    kept = _highest_kept(ranking, panels)
    most, least = max(kept.values()), min(kept.values())
    best, worst = ([server for server, rate in kept.items() if rate == bound] for bound in (most, least))
    top = max(rate for at in panels.values() for rate in at.values())
    if most == 0:
        title = "No server kept any of the offered rates"
    elif least == top:
        title = f"Every server kept every rate, up to {units.rate(top)}: the knee lies beyond"
    elif most == least:
        title = f"Every server keeps up to {units.rate(most)}, and no more"
    else:
        limit = f"fell behind first, beyond {units.rate(least)}" if least else "kept none of the rates"
        title = f"{units.listed(best)} kept up to {units.rate(most)}; {units.listed(worst)} {limit}"
    reading = (
        "Line with marks: 99th percentile of the response time, with its interval; fine line: the median. A cross: the"
        " server did not keep the rate, so its queue grew for as long as the window lasted."
    )
    return Words(title, reading)
