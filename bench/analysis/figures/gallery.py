"""The figures of a run: a row for each. `saving.py` turns them into SVG and PNG.

A new figure is a file beside this one, with a function that draws it, and a row in PLOTS. Frames in, bytes out: the
same frames give the same bytes. A figure is drawn once, in the light theme. The dark one has other colours, and nothing
else differs.
"""

from __future__ import annotations

import gc
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from bench.analysis.figures import agents, heat, heat_over_time, knee, launches, load, over_time, saving, tail
from bench.analysis.figures.canvas import drawing_style
from bench.analysis.figures.marks import mark_servers
from bench.analysis.figures.palette import LIGHT, Style, Theme, styles
from bench.analysis.figures.svg import dark
from bench.analysis.runs.spectrum import Spectrum, spectra
from bench.files import write_atomically
from bench.metrics import CPU, MEMORY, P99, THROUGHPUT, Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from matplotlib.figure import Figure

    from bench.analysis.estimates.ranking import Ranking
    from bench.analysis.runs.run_folder import Run


@dataclass(frozen=True)
class Material:
    """What a figure may be drawn from: a run, its ranking, the theme, and the style of each server."""

    run: Run
    ranking: Ranking
    theme: Theme
    styles: dict[str, Style]

    @cached_property
    def spectra(self) -> dict[tuple[str, str], Spectrum]:
        """The latency spectrum of every cell (server, workload) that has a reply."""
        measured = self.run.measured[["trial", "server", "workload"]].itertuples(index=False)
        cells = {int(trial): (str(server), str(workload)) for trial, server, workload in measured}
        return spectra(self.run.latency_log, cells)


@dataclass(frozen=True, slots=True)
class Plot:
    """A row: the name of the files without suffix, some sentences on how to read the figure, and what draws it.

    `draw` returns None where the run has no numbers for it. `reading_open` takes the place of `reading` where all rates
    were given.
    """

    name: str
    reading: str
    draw: Callable[[Material], Figure | None]
    reading_open: str = ""


def _in_a_closed_loop(draw: Callable[[Material], Figure | None]) -> Callable[[Material], Figure | None]:
    """Draw nothing where all rates were given: throughput is what was asked for then, and no result."""
    return lambda given: None if given.ranking.sweep.open_loop else draw(given)


def _of_metric(metric: Metric) -> Callable[[Material], Figure | None]:
    return lambda given: load.metric_figure(given.ranking, metric, given.theme, given.styles)


def _ratio_of_question(given: Material) -> Figure | None:
    return load.ratio_figure(given.ranking, given.ranking.question, given.theme, given.styles)


def _over_time(course: over_time.Course) -> Callable[[Material], Figure | None]:
    return lambda given: over_time.time_figure(given.run, given.ranking, course, given.theme, given.styles)


PLOTS = (
    Plot(
        "forest",
        "Each row is a server's ratio to the baseline, with its interval. A bar that holds 1 is not told apart from the"
        " baseline. What the machine did fell on both sides of a ratio, so it is sharper than the values are.",
        lambda given: load.forest_figure(given.ranking, given.ranking.question, given.theme, given.styles),
    ),
    Plot(
        "ratio",
        "This is what the servers are ranked by. What the machine did fell on both sides of a ratio, so it is sharper"
        " than the values are. A server whose bar holds 1 is not told apart from the baseline; whether two others are"
        " is asked of their own ratio, in the table.",
        _ratio_of_question,
    ),
    Plot(
        "cpu-ratio",
        "Lower is better. The ratio of the quietest metric, to tell servers apart whose throughput does not.",
        lambda given: load.ratio_figure(given.ranking, CPU, given.theme, given.styles),
    ),
    Plot(
        "throughput",
        "Higher is better. A line that stays level has met a limit: the server's core or, where an arrow rises from"
        " the point, the load generator. A bar holds all that the machine did from trial to trial. Servers whose bars"
        " overlap may still differ: see their ratio.",
        _in_a_closed_loop(_of_metric(THROUGHPUT)),
    ),
    Plot(
        "cpu",
        "Lower is better. This is the quietest metric, because it hardly depends on the load generator or on other"
        " processes. So it can tell two servers apart where throughput cannot. It does not see time spent waiting.",
        _of_metric(CPU),
    ),
    Plot(
        "knee",
        "Lower and further to the right is better. Where a line turns upwards, the server's queue begins to grow: plan"
        " for a rate to the left of that.",
        lambda given: knee.knee_figure(given.run, given.ranking, given.theme, given.styles),
    ),
    Plot(
        "latency",
        "Lower and flatter is better. A step upwards at 99 % means that one reply in a hundred was held up: by a pause,"
        " a full queue, or another process. A line is of all replies of a server together. The p99 of the table is the"
        " mean of its trials' own, so the two may differ.",
        lambda given: tail.spectrum_figure(given.spectra, given.ranking, given.theme, given.styles),
    ),
    Plot(
        "latency-over-time",
        "A level dark band is a server that answers alike all the time. A band that rises is a queue that grows. Two"
        " bands are launches of two kinds. A pale streak upwards is a moment at which a launch was held up. Where a"
        " slice has too few replies for a p99, only its median is marked. The title compares the thirds of the window.",
        lambda given: heat_over_time.heat_over_time_figure(given.run, given.ranking, given.theme, given.styles),
    ),
    Plot(
        "latency-by-launch",
        "A server that behaves alike in every launch has columns that look alike. A pale spot high above is a rare slow"
        " reply. A dark band that jumps between two heights is a server that starts in one of two ways.",
        lambda given: heat.heat_figure(given.run, given.ranking, given.theme, given.styles),
    ),
    Plot(
        "launches",
        "Dots scattered about the line are good: their mean describes them. Two separate rows of dots are two groups,"
        " and no launch is like the mean. A slope is a machine that got faster or slower during the run.",
        lambda given: launches.launches_figure(
            given.run, given.ranking, given.ranking.question, given.theme, given.styles
        ),
    ),
    Plot(
        "agents",
        "Strokes at 1 are good: every agent loaded alike. One that is off has another machine or another network."
        " Moments of agents that lie closer together than their clocks are known cannot be told apart.",
        lambda given: agents.agents_figure(given.run, given.theme),
    ),
    Plot(
        "p99",
        "Lower is better. In a closed loop every connection waits for the others, so the response time of every server"
        " grows with their number. Compare servers at the same load.",
        _of_metric(P99),
        reading_open="Lower is better. Requests fell due by the clock, whether or not the server kept up. For a server"
        " that did not keep the rate, this says how long its queue grew, and not what a reply takes.",
    ),
    Plot(
        "memory",
        "Lower is better. The slope is the memory of one more connection. The start is the interpreter with its"
        " libraries.",
        _of_metric(MEMORY),
    ),
    Plot(
        "throughput-over-time",
        "Level lines are good. A slope means that the warm-up was too short. A dip means that something else used the"
        " core.",
        _in_a_closed_loop(_over_time("throughput")),
    ),
    Plot(
        "p99-over-time",
        "Level lines are good. A spike in one fine line is an accident of one trial. A spike in all of them is the"
        " server's.",
        _over_time("p99"),
    ),
    Plot(
        "cpu-over-time",
        "A server at one core that runs one thread has met its limit. A dip means that it waited, or that something"
        " else used the core. The machine, the load generator and memory over time are in the closer look, which needs"
        " script, and in monitor.parquet.",
        _over_time("cpu"),
    ),
)
"""Every figure, in the order in which they are read."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A figure that was drawn: its row, its title, and its bytes. `svg` is the light one."""

    plot: Plot
    title: str
    reading: str
    svg: str
    png: bytes

    @property
    def name(self) -> str:
        """The name of its files without suffix."""
        return self.plot.name


@dataclass(frozen=True, slots=True)
class Redrawn:
    """A figure of ratios to another baseline: its title, and its light SVG."""

    baseline: str
    title: str
    svg: str


def draw(run: Run, ranking: Ranking) -> list[Picture]:
    """Draw every figure that the run has numbers for. One is held at a time: with its pixels it takes some 30 MB."""
    given = Material(run, ranking, LIGHT, styles(ranking.servers, ranking.teaching))
    found = []
    gc.freeze()  # a collection then goes through what a figure made, and not through the run
    try:
        with drawing_style():
            for plot in PLOTS:
                figure = plot.draw(given)
                if figure is not None:
                    mark_servers(figure, list(given.styles))
                    found.append(_rendered(plot, figure, is_open=ranking.sweep.open_loop))
                    del figure
                    gc.collect()  # the parts of a figure refer to each other
    finally:
        gc.unfreeze()
    return found


def redraw(run: Run, name: str, others: Iterable[Ranking]) -> list[Redrawn]:
    """Draw a figure again for rankings to other baselines. One that has nothing to compare there is left out."""
    plot = next(one for one in PLOTS if one.name == name)
    found = []
    with drawing_style():
        for ranking in others:
            given = Material(run, ranking, LIGHT, styles(ranking.servers, ranking.teaching))
            figure = plot.draw(given)
            if figure is not None and ranking.baseline is not None:
                mark_servers(figure, list(given.styles))
                found.append(Redrawn(ranking.baseline, *saving.vector(figure)))
    return found


def write(pictures: list[Picture], folder: Path) -> None:
    """Write the figures to a folder, each whole. Remove a figure of an earlier build that is not drawn any more."""
    folder.mkdir(exist_ok=True)
    files = {
        f"{picture.name}{suffix}": content
        for picture in pictures
        for suffix, content in ((".svg", picture.svg), ("-dark.svg", dark(picture.svg)), (".png", picture.png))
    }
    for name in {f"{plot.name}{suffix}" for plot in PLOTS for suffix in (".svg", "-dark.svg", ".png")} - set(files):
        (folder / name).unlink(missing_ok=True)
    for name, content in files.items():
        write_atomically(folder / name, content)


def _rendered(plot: Plot, figure: Figure, *, is_open: bool) -> Picture:
    title, svg, png = saving.saved(figure)
    return Picture(plot, title, (is_open and plot.reading_open) or plot.reading, svg, png)
