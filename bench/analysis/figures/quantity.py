"""What a figure shows of a metric: its values, or its ratios to the baseline. Both are cells, drawn by the same hands.

A quantity brings its cells, the words around them, and how its numbers are written. Draws and computes nothing; which
of many trials are drawn is decided in `dots`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench import units
from bench.analysis.estimates import remarks
from bench.analysis.figures import dots, titles
from bench.analysis.figures.scale import ratio_scale, value_scale
from bench.analysis.figures.words import metric_words, ratio_words

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from bench.analysis.estimates.cells import Cell
    from bench.analysis.estimates.ranking import Ranking, Standing
    from bench.analysis.figures.canvas import Words
    from bench.analysis.figures.scale import Scale
    from bench.metrics import Metric


@dataclass(frozen=True, slots=True)
class Quantity:
    """Cells, best first within a workload, with their words and their scale.

    The values of a cell are those that are drawn as dots. `text` writes what stands beside a cell's mark where there is
    room for it, `tick` a number at the axis, whose ticks are counted in `tick_base`. `words` are title, subtitle and
    notes, given whether more is upwards or to the right. `level` has the workload and server of cells that are not told
    from the one before them, and `reference` the number that all others are held against, if there is one.
    """

    cells: tuple[Cell, ...]
    words: Callable[[bool], Words]
    text: Callable[[Cell], str]
    tick: Callable[[float], str]
    tick_base: float
    scale: Scale
    level: frozenset[tuple[str, str]]
    reference: float | None = None


def values(ranking: Ranking, metric: Metric) -> Quantity:
    """Return the values of a metric, in its own unit."""
    level = _level(ranking.standings[metric.column])

    def text(cell: Cell) -> str:
        if cell.missing:
            return ", ".join(cell.statuses) or "not known"
        return ("at least " if cell.lower_bound else "") + units.estimate(cell.estimate, metric.words)

    scale = value_scale(ranking.cells[metric.column], log=metric.log)
    found = _ranked(ranking, metric, ranking.cells[metric.column])

    def words(upwards: bool) -> Words:
        said = metric_words(ranking, metric, titles.of_values(ranking, metric), upwards=upwards)
        signs = _signs(ranking, found, frozenset() if upwards else level)
        return replace(said, notes=(*said.notes, *signs, *scale.notes(found), *dots.notes(found)))

    return Quantity(
        cells=dots.thinned(found),
        words=words,
        text=text,
        tick=metric.unit.tick,
        tick_base=metric.unit.tick_base,
        scale=scale,
        level=level,
    )


def ratios(
    ranking: Ranking, metric: Metric, workloads: Collection[str] | None = None, *, set_apart: bool = False
) -> Quantity | None:
    """Return the ratios of a metric to the baseline; None if there is nothing to compare.

    The values of a cell are then the ratios of its blocks or rounds. A ratio is a lower bound where the generator held
    its server down. Only some `workloads` may be asked for: the words explain what is seen under these. If servers that
    teach are `set_apart`, they stand after the others, whose signs then leave those out.
    """
    shown = [
        cell
        for cell in ranking.cells[metric.column]
        if _is_shown(ranking, metric, cell) and (workloads is None or cell.workload in workloads)
    ]
    if not any(cell.server != ranking.baseline for cell in shown):
        return None

    title = titles.of_forest(ranking, metric) if set_apart else titles.of_ratios(ranking, metric)
    level = _level((ranking.choices if set_apart else ranking.standings)[metric.column])

    def text(cell: Cell) -> str:
        own = next(one for one in shown if (one.server, one.workload) == (cell.server, cell.workload))
        ratio, value = remarks.relative(ranking, metric, own), metric.words(own.estimate.value)
        bounds = ["at least " if one.lower_bound else "" for one in (cell, own)]
        return f"{bounds[0]}{ratio}  \N{MIDDLE DOT}  {bounds[1]}{value}"

    relative = _ranked(ranking, metric, [_relative(ranking, metric, cell) for cell in shown])
    if set_apart:  # the sort is stable, so the best is first within
        relative = tuple(sorted(relative, key=lambda cell: cell.server in ranking.teaching))

    def words(upwards: bool) -> Words:
        said = ratio_words(ranking, metric, title, relative, upwards=upwards)
        signs = _signs(ranking, relative, frozenset() if upwards else level)
        return replace(said, notes=(*said.notes, *signs, *dots.notes(relative)))

    return Quantity(
        cells=dots.thinned(relative),
        words=words,
        text=text,
        tick=units.number,
        tick_base=1.0,
        scale=ratio_scale(relative),
        level=level,
        reference=1.0,
    )


def _ranked(ranking: Ranking, metric: Metric, found: Sequence[Cell]) -> tuple[Cell, ...]:
    """Sort best first within each workload, cells without a number last."""
    places = {
        (cell.workload, cell.server): place
        for standing in ranking.standings[metric.column]
        for place, cell in enumerate(standing.cells)
    }
    return tuple(sorted(found, key=lambda cell: (places.get((cell.workload, cell.server), len(found)), cell.server)))


def _signs(ranking: Ranking, shown: Iterable[Cell], level: Collection[tuple[str, str]]) -> list[str]:
    """Explain the sign beside names, and grey, where a cell bears them."""
    cells = list(shown)
    is_level = any((cell.workload, cell.server) in level for cell in cells)
    notes = [f"{remarks.LEVEL_SIGN}  Not told from the server above it: {remarks.LEVEL_WHY}."] if is_level else []
    return [*notes, *([remarks.TEACHING] if any(cell.server in ranking.teaching for cell in cells) else [])]


def _level(standings: Sequence[Standing]) -> frozenset[tuple[str, str]]:
    return frozenset(
        (standing.best.workload, server)
        for standing in standings
        for server, told in standing.told_apart_of.items()
        if not told
    )


def _is_shown(ranking: Ranking, metric: Metric, cell: Cell) -> bool:
    if cell.missing:
        return False
    if cell.server == ranking.baseline:
        return True
    ratio = ranking.ratios.get((metric.column, cell.workload, cell.server))
    return ratio is not None and bool(ratio.values)


def _relative(ranking: Ranking, metric: Metric, cell: Cell) -> Cell:
    """Return the ratio of a cell as a cell; that of the baseline to itself is 1 and has no interval."""
    ratio = ranking.ratios.get((metric.column, cell.workload, cell.server))
    if ratio is None:
        return replace(
            cell, estimate=replace(cell.estimate, value=1.0, low=1.0, high=1.0), values=(1.0,), lower_bound=False
        )
    return replace(cell, estimate=ratio.estimate, values=ratio.values, lower_bound=ratio.is_lower_bound)
