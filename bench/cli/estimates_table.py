"""The estimates of a run as tables that fit a terminal of any width. Nothing is computed, and no doubt is told here.

No header, number or word is broken. Where the whole table is too wide, each workload has tables of its own, and as many
metrics stand side by side as fit. Where a server's name leaves no room for a number, it stands above its numbers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.measure import Measurement

from bench import metrics, units
from bench.analysis.estimates import remarks
from bench.analysis.estimates.sentences import marked
from bench.cli.columns import Column, stacked, table_of
from bench.cli.output import as_written
from bench.metrics import THROUGHPUT

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console
    from rich.table import Table

    from bench.analysis.estimates.cells import Cell
    from bench.analysis.estimates.ranking import Ranked, Ranking
    from bench.metrics import Metric

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


def _whole(found: Ranking) -> Table:
    """Return a row per cell and a column per metric."""
    table = table_of("server", "workload", "trials", *(metric.title for metric in metrics.TABLE))
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
    columns = [
        Column(metric.title, [_words(found, metric, row.cells[metric.column]) for row in rows])
        for metric in metrics.TABLE
    ]
    return stacked(Column("server", names), columns, width)


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
    value = as_written(marked(metric, cell))
    absolute = f"{value}\n{units.bounds(cell.estimate, metric.words)}".rstrip()
    return f"{remarks.relative(found, metric, cell)}\n{absolute}".lstrip()
