"""The figures of a run, as files: which there are, and how they become SVG for a light and a dark page, and PNG.

Frames in, bytes out: the same frames give the same bytes. A figure is drawn once, in the light theme; the dark one
differs from it by its colours only.
"""

from __future__ import annotations

import io
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from PIL import Image

from bench.analysis.estimates.cells import CPU, MEMORY, P99, THROUGHPUT
from bench.analysis.figures.canvas import drawing_style
from bench.analysis.figures.load import metric_figure
from bench.analysis.figures.over_time import time_figure
from bench.analysis.figures.palette import LIGHT, styles
from bench.analysis.figures.svg import dark, tidy
from bench.analysis.figures.tail import spectrum_figure
from bench.analysis.runs.spectrum import spectra

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from matplotlib.figure import Figure

    from bench.analysis.estimates.ranking import Ranking
    from bench.analysis.runs.run_folder import Run

PNG_DPI = 160

NAMES = ("throughput", "cpu", "latency", "p99", "memory", "throughput-over-time", "p99-over-time")
"""File names of the figures, in the order in which they are read."""


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure: file name without suffix, its title, and its bytes. `svg` is the light one."""

    name: str
    title: str
    svg: str
    png: bytes


def draw(run: Run, ranking: Ranking) -> list[Plot]:
    """Draw every figure that the run has numbers for."""
    given = styles(ranking.servers)
    measured = run.measured[["trial", "server", "workload"]].itertuples(index=False)
    merged = spectra(run.latency_log, {int(trial): (server, workload) for trial, server, workload in measured})
    figures: dict[str, Callable[[], Figure | None]] = {
        "throughput": partial(metric_figure, ranking, THROUGHPUT, LIGHT, given),
        "cpu": partial(metric_figure, ranking, CPU, LIGHT, given),
        "latency": partial(spectrum_figure, merged, ranking, LIGHT, given),
        "p99": partial(metric_figure, ranking, P99, LIGHT, given),
        "memory": partial(metric_figure, ranking, MEMORY, LIGHT, given),
        "throughput-over-time": partial(time_figure, run, ranking, "throughput", LIGHT, given),
        "p99-over-time": partial(time_figure, run, ranking, "p99", LIGHT, given),
    }
    with drawing_style():
        drawn = {name: figures[name]() for name in NAMES}
        return [_rendered(name, figure) for name, figure in drawn.items() if figure is not None]


def write(plots: list[Plot], folder: Path) -> None:
    """Put the figures into a folder, each whole; a figure of an earlier build that there is none of now is removed."""
    folder.mkdir(exist_ok=True)
    files = {
        f"{plot.name}{suffix}": content
        for plot in plots
        for suffix, content in ((".svg", plot.svg), ("-dark.svg", dark(plot.svg)), (".png", plot.png))
    }
    for name in {f"{name}{suffix}" for name in NAMES for suffix in (".svg", "-dark.svg", ".png")} - set(files):
        (folder / name).unlink(missing_ok=True)
    for name, content in files.items():
        part = folder / f".{name}.part"
        part.write_bytes(content.encode() if isinstance(content, str) else content)
        part.replace(folder / name)


def _rendered(name: str, figure: Figure) -> Plot:
    title = " ".join(text.get_text() for text in figure.texts if text.get_fontweight() == "bold")
    title = title.replace("\N{NO-BREAK SPACE}", " ")
    vector = io.StringIO()
    figure.savefig(vector, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    return Plot(name, title, tidy(vector.getvalue(), title), _pixels(figure))


def _pixels(figure: Figure) -> bytes:
    """Return the PNG, in as many colours as one byte holds: a third of the size, and no difference to see."""
    full, small = io.BytesIO(), io.BytesIO()
    figure.savefig(full, format="png", dpi=PNG_DPI)
    few = Image.open(full).convert("RGB").quantize(255, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE)
    few.save(small, format="png", optimize=True)
    return small.getvalue()
