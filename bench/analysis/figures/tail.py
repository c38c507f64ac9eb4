"""The figure of the latency percentile spectrum: how long the slowest tenth, hundredth and thousandth of replies took.

Each load has a panel, and all panels span the same factor around their own values. The horizontal axis is the
percentile, stretched so that each further nine takes as much room as the one before. The vertical axis is the response
time.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING

import numpy as np

from bench import units
from bench.analysis.estimates.sentences import sentence
from bench.analysis.figures.canvas import (
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
from bench.analysis.figures.marks import End, draw_names, line_style
from bench.analysis.figures.palette import ordered
from bench.analysis.figures.words import capital, places, shared_load
from bench.metrics import P99

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from bench.analysis.estimates.ranking import Ranking
    from bench.analysis.figures.palette import Style, Theme
    from bench.analysis.runs.spectrum import Spectrum

    Spectra = Mapping[tuple[str, str], Spectrum]

_HEIGHT = 2.35
_GAP = 0.72
_LEFT = 0.68
_TICK_POINTS = 7.5
_NINES = (1.0, 2.0, 10.0, 100.0, 1e3, 1e4, 1e5, 1e6)


def spectrum_figure(spectra: Spectra, ranking: Ranking, theme: Theme, styles: Mapping[str, Style]) -> Figure | None:
    """Draw the spectra of all cells, by (server, workload). None if there is not one: then no reply came."""
    shown = [
        (workload, ranking.sweep.load(panel, x))
        for panel in ranking.sweep.panels
        for workload, x in panel.places.items()
        if any(cell[1] == workload for cell in spectra)
    ]
    if not shown:
        return None
    columns = 1 if len(shown) == 1 else 2
    rows = math.ceil(len(shown) / columns)
    height = max(_HEIGHT if columns > 1 else 3.4, 0.165 * len(styles))
    page = Page(_words(spectra, ranking), theme, body=rows * (height + _GAP))
    names = text_width(page.figure, list(styles), size=LABEL_POINTS) + 0.36
    pitch = (WIDTH - MARGIN) / columns
    furthest, span = _extent(spectra)
    for number, (workload, caption) in enumerate(shown):
        row, column = divmod(number, columns)
        left, top = _LEFT + column * pitch, 0.25 + row * (height + _GAP)
        axes = page.axes(left, top, max(pitch - _LEFT - names, 1.0), height)
        page.caption(axes, capital(caption))
        here = {server: spectra[server, workload] for server in ordered(styles) if (server, workload) in spectra}
        _frame(page, axes, furthest, _window(here.values(), span))
        for server, spectrum in here.items():
            marks = [int(np.abs(spectrum.tail - nine).argmin()) for nine in _NINES if nine <= spectrum.tail[-1] * 1.05]
            style = line_style(page, styles[server]) | {"linewidth": 1.3, "markersize": 3.8, "markevery": marks}
            axes.plot(spectrum.tail, spectrum.value_ns, label=f"{server}: spectrum", zorder=3, **style)
        ends = {server: End(float(s.tail[-1]), float(s.value_ns[-1])) for server, s in here.items()}
        draw_names(page, axes, ends, styles)
    return page.figure


def _extent(spectra: Spectra) -> tuple[float, float]:
    """Return the furthest tail, and the factor that the values of the widest panel span, with a little air."""
    by_workload: defaultdict[str, list[Spectrum]] = defaultdict(list)
    for (_, workload), spectrum in spectra.items():
        by_workload[workload].append(spectrum)
    widest = max(high / low for low, high in map(_range, by_workload.values()))
    return max(float(spectrum.tail[-1]) for spectrum in spectra.values()), widest * 1.3


def _range(spectra: Iterable[Spectrum]) -> tuple[float, float]:
    ends = [(max(float(spectrum.value_ns[0]), 1.0), max(float(spectrum.value_ns[-1]), 1.0)) for spectrum in spectra]
    return min(low for low, _ in ends), max(high for _, high in ends)


def _window(spectra: Iterable[Spectrum], span: float) -> tuple[float, float]:
    """Return limits that span a given factor around the values, so that slopes can be compared between panels."""
    low, high = _range(spectra)
    air = math.sqrt(span * low / high)
    return low / air, high * air


def _frame(page: Page, axes: Axes, furthest: float, limits: tuple[float, float]) -> None:
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xlim(0.93, furthest * 1.1)
    axes.set_ylim(limits)
    nines = [nine for nine in _NINES if 1 < nine <= furthest * 1.05]
    set_ticks(axes, "x", fitting(axes, nines, percentile, _TICK_POINTS), percentile)
    axes.tick_params(axis="x", labelsize=_TICK_POINTS)
    set_ticks(axes, "y", nice_ticks(*limits, log=True), units.duration)
    axes.grid(color=page.theme.grid, linewidth=0.8)
    page.below(axes, "percentile of the response time")


def percentile(tail: float) -> str:
    """Write 1 / (1 - q) as a percentile: 10 is `90 %`, 1000 is `99.9 %`."""
    return f"{100 * (1 - 1 / tail):.6g} %"


def _words(spectra: Spectra, ranking: Ranking) -> Words:
    """Say of the server with the lowest p99, under the workload all titles speak of, how long its replies took."""
    standing = ranking.headline(P99)
    title = "How long replies take"
    if standing and standing.is_overloaded:
        title = sentence(standing, ranking.sweep)
    elif standing and (best := spectra.get((standing.best.server, standing.best.workload))):
        half, most = (units.duration(float(best.value_ns[best.quantile <= q][-1])) for q in (0.5, 0.99))
        where = ranking.sweep.phrase(standing.panel, standing.best.x)
        title = f"{standing.best.server} answers half within {half} and 99 % within {most} {where}"
    missing = [cell for cell in ranking.cells[P99.column] if (cell.server, cell.workload) not in spectra]
    notes = (f"No replies to show: {places(missing, ranking.sweep.setting)}.",) if missing else ()
    reading = "At 99 %, one reply in a hundred took longer than this."
    merged = "All trials are merged. A line ends where its samples do not support a further percentile."
    return Words(title, " ".join([*shared_load(ranking), reading, merged]), notes)
