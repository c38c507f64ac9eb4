"""The estimates of a run as tables that fit a terminal of any width. Nothing is computed, and no doubt is told here.

No header, number or word is broken. Where the whole table is too wide, each workload has tables of its own, and as many
metrics stand side by side as fit. Where a server's name leaves no room for a number, it stands above its numbers.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING

from rich.cells import cell_len
from rich.measure import Measurement
from rich.table import Table

from bench import metrics, units
from bench.analysis.estimates import remarks
from bench.metrics import THROUGHPUT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from bench.analysis.estimates.cells import Cell
    from bench.analysis.estimates.ranking import Ranked, Ranking
    from bench.metrics import Metric

GAP = 2
"""Columns between two columns of a table."""

_ANY_WIDTH = 10_000


def print_estimates(found: Ranking, console: Console) -> None:
    """Print a row per cell, those of a workload best first by what the run asks, in one table if that fits."""
    whole = _whole(found)
    anywhere = console.options.update(max_width=_ANY_WIDTH)
    if Measurement.get(console, anywhere, whole).maximum <= console.width:
        console.print(whole)
        return
    for workload in _workloads(found):
        console.print(workload, style="bold", markup=False, soft_wrap=True)
        for table in _stacked(found, found.rows(workload), console.width):
            console.print(table)
            console.print()


def _workloads(found: Ranking) -> list[str]:
    return [workload for panel in found.sweep.panels for workload in panel.places]


def _table(*headers: str) -> Table:
    table = Table(*headers, box=None, pad_edge=False)
    for column in table.columns:
        column.no_wrap, column.justify = True, "right"
    return table


def _whole(found: Ranking) -> Table:
    """Return a row per cell and a column per metric."""
    table = _table("server", "workload", "trials", *(metric.title for metric in metrics.TABLE))
    for text in table.columns[:2]:
        text.justify = "left"
    for workload in _workloads(found):
        for row in found.rows(workload):
            numbers = (_words(found, metric, row.cells[metric.column]) for metric in metrics.TABLE)
            table.add_row(_name(row), workload, remarks.trials(row.cells[THROUGHPUT.column]), *numbers)
    return table


def _stacked(found: Ranking, rows: Sequence[Ranked], width: int) -> Iterator[Table]:
    """Yield tables of one workload, each with as many metrics as fit."""
    names = [f"{_name(row)}\n  {_trials(row)}" for row in rows]
    columns = [[_words(found, metric, row.cells[metric.column]) for row in rows] for metric in metrics.TABLE]
    widths = [_width(column, _longest_word(metric)) for metric, column in zip(metrics.TABLE, columns, strict=True)]
    named = _width(names, len("server"))
    is_beside = named + GAP + max(widths) <= width
    room = width - (named + GAP) if is_beside else width
    for group in _packed(widths if is_beside else [max(named, one) for one in widths], room):
        titles = [textwrap.fill(metrics.TABLE[index].title, widths[index], break_long_words=False) for index in group]
        cells = zip(*(columns[index] for index in group), strict=True)
        if is_beside:
            table = _table("server", *titles)
            table.columns[0].justify = "left"
            for name, numbers in zip(names, cells, strict=True):
                table.add_row(name, *numbers)
        else:
            table = _table(*titles)
            for name, (first, *others) in zip(names, cells, strict=True):
                table.add_row(f"{name}\n{first}", *(f"\n\n{other}" for other in others))
            for column in table.columns:
                column.justify = "left"
        yield table


def _packed(widths: Sequence[int], room: int) -> list[list[int]]:
    """Return the positions of columns in groups whose widths fit, each with one at least."""
    groups: list[list[int]] = []
    used = 0
    for index, width in enumerate(widths):
        if groups and used + GAP + width <= room:
            groups[-1].append(index)
            used += GAP + width
        else:
            groups.append([index])
            used = width
    return groups


def _width(cells: Sequence[str], least: int) -> int:
    return max([least, *(cell_len(line) for cell in cells for line in cell.splitlines())])


def _longest_word(metric: Metric) -> int:
    return max(map(len, metric.title.split()))


def _name(row: Ranked) -> str:
    server = row.cells[THROUGHPUT.column].server
    return f"{remarks.LEVEL_SIGN} {server}" if row.is_level else server


def _trials(row: Ranked) -> str:
    cell = row.cells[THROUGHPUT.column]
    return f"{remarks.trials(cell)} {'trial' if cell.trials == 1 else 'trials'}"


def _words(found: Ranking, metric: Metric, cell: Cell) -> str:
    """Write a ratio, the value and its interval, a line each, so that five metrics fit a terminal."""
    if cell.missing:
        return units.NOT_KNOWN
    bound = "≥ " if cell.lower_bound else ""
    absolute = f"{bound}{metric.words(cell.estimate.value)}\n{units.bounds(cell.estimate, metric.words)}".rstrip()
    return f"{remarks.relative(found, metric, cell)}\n{absolute}".lstrip()
