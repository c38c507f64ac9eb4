"""How a table for people fits a terminal of any width: its columns give way. What stands in them is not made here.

No header, number or word is broken. As many columns stand side by side as fit. Where a name leaves no room for a
number, it stands above its numbers.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, NamedTuple

from rich.cells import cell_len
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

GAP = 2
"""Columns of the terminal between two columns of a table."""


class Column(NamedTuple):
    """A header, whose words are not broken, and a text of one or more lines for each row."""

    title: str
    cells: Sequence[str]

    @property
    def width(self) -> int:
        """How wide it must be."""
        lines = (line for cell in self.cells for line in cell.splitlines())
        return max(map(cell_len, [*self.title.split(), *lines]), default=0)

    def header(self, width: int) -> str:
        """Return the header, folded between its words to a width that is that of the column or more."""
        return textwrap.fill(self.title, width, break_long_words=False) if self.title else ""


def joined(columns: Sequence[Column]) -> Column:
    """Return columns as one, whose texts stand below each other: that which names the rows of a table."""
    widths = [max(map(cell_len, (column.title, *column.cells))) for column in columns]
    rows = zip(*((column.title, *column.cells) for column in columns), strict=True)
    title, *cells = ["  ".join(f"{text:<{width}}" for text, width in zip(row, widths, strict=True)) for row in rows]
    return Column(title, cells)


def table_of(*headers: str) -> Table:
    """Return a table without rows, whose columns are never folded."""
    table = Table(*headers, box=None, pad_edge=False)
    for column in table.columns:
        column.no_wrap, column.justify = True, "right"
    return table


def stacked(names: Column, columns: Sequence[Column], width: int) -> Iterator[Table]:
    """Yield tables of the same rows, each with as many of the columns, in their order, as fit into `width`."""
    widths = [column.width for column in columns]
    is_beside = names.width + GAP + max(widths) <= width
    room = width - (names.width + GAP) if is_beside else width
    for group in _packed(widths if is_beside else [max(names.width, one) for one in widths], room):
        chosen = [columns[index] for index in group]
        yield _beside(names, chosen) if is_beside else _below(names, chosen)


def _beside(names: Column, columns: Sequence[Column]) -> Table:
    table = table_of(names.title, *(column.header(column.width) for column in columns))
    table.columns[0].justify = "left"
    for name, *numbers in zip(names.cells, *(column.cells for column in columns), strict=True):
        table.add_row(name, *numbers)
    return table


def _below(names: Column, columns: Sequence[Column]) -> Table:
    first, *others = (column.header(max(names.width, column.width)) for column in columns)
    table = table_of(f"{names.title}\n{first}", *others)
    for name, first, *others in zip(names.cells, *(column.cells for column in columns), strict=True):
        lines = "\n" * len(name.splitlines())
        table.add_row(f"{name}\n{first}", *(f"{lines}{other}" for other in others))
    for column in table.columns:
        column.justify = "left"
    return table


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
