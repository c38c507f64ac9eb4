"""The picture of what a run has shown so far, for a terminal of any size. A pure function; nothing is remembered.

The first lines say what is measured now and how long the rest takes. Below stands a row for each server of the
workload, in the columns of `echobench show`, as many as fit, in one line each where there is no room for two; and below
that the doubts, the latest first.
"""

from __future__ import annotations

from datetime import timedelta
from itertools import islice
from typing import TYPE_CHECKING, NamedTuple

from rich.console import Console, Group
from rich.text import Text

from bench import metrics, units
from bench.cli.columns import Column, stacked
from bench.cli.sparkline import sparkline
from bench.metrics import CPU, P99, THROUGHPUT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from rich.table import Table

    from bench.cli.screen.seen import Cell, Seen
    from bench.metrics import Metric

SHOWN = (THROUGHPUT, CPU, P99)
DOUBTS = 4
"""So many doubts are shown, the latest. The end of the run has all of them, with advice."""

MINUTE_S = 60.0


class Size(NamedTuple):
    """Columns and lines of a terminal."""

    width: int
    height: int


def picture(seen: Seen, size: Size, now: datetime, *, ends: str) -> Group:
    """Return what the screen shows `now`: no line is longer than its width, and there are no more than its height.

    `ends` names the keys that end the run.
    """
    head = [_line(line) for line in (_measured_now(seen), _left(seen, now))]
    hint = _line(f"{ends} ends it and keeps what is measured", "dim")
    doubts = [_line(line, "yellow") for line in _doubts(seen)]
    room = size.height - sum(_lines(one, size.width) for one in (*head, hint))
    rows = _rows(seen, size.width, room - len(doubts[:1]))
    beside = room - sum(_lines(one, size.width) for one in rows)
    return Group(*head, *rows, *doubts[: max(beside, 0)], hint)


def _line(text: str, style: str = "") -> Text:
    """Return a line that is folded between its words; a word that is wider than the terminal is cut with a sign."""
    return Text(text, style=style, overflow="ellipsis")


def _measured_now(seen: Seen) -> str:
    if seen.block is None:
        return "starting"
    first = seen.block.trials[0]
    compared = "" if seen.baseline is None else f", ratios to {seen.baseline}"
    return f"round {first.round}, block {first.block}: {first.workload_name}{compared}"


def _left(seen: Seen, now: datetime) -> str:
    """Say how far it is, how long the rest takes, and when it ends: that stays true while nothing is drawn."""
    total = seen.extent.trials
    done = units.plural(seen.trials, "trial") if total is None else f"{seen.trials:,} of {units.plural(total, 'trial')}"
    left_s = seen.left_s()
    if left_s is None:
        return done
    long = units.duration(1e9 * round(left_s)) if left_s < MINUTE_S else f"{left_s / MINUTE_S:.0f} min"
    return f"{done}, about {long} left, until {now + timedelta(seconds=left_s):%H:%M:%S}"


def _rows(seen: Seen, width: int, height: int) -> list[Table | Text]:
    """Return the table, in short rows if there is no room for whole ones, and how many servers it leaves out."""
    if seen.block is None:
        return []
    workload = seen.block.trials[0].workload_name
    servers = seen.extent.servers[workload]
    for make in (_table, _short_table):
        table = make(seen, workload, servers, width)
        if _lines(table, width) <= height:
            return [table]
    for number in range(min(len(servers), height), 0, -1):
        table = _short_table(seen, workload, servers[:number], width)
        if _lines(table, width) < height:
            return [table, _line(f"and {len(servers) - number:,} more in a higher terminal")]
    return []


def _table(seen: Seen, workload: str, servers: Sequence[str], width: int) -> Table:
    cells = [seen.cells[server, workload] for server in servers]
    pairs = list(zip(servers, cells, strict=True))
    names = Column("server", [f"{server}\n  {units.plural(cell.trials, 'trial')}" for server, cell in pairs])
    columns = [
        Column(metric.title, [_words(seen, metric, workload, server, cell) for server, cell in pairs])
        for metric in SHOWN
    ]
    errors = Column("Errors", [f"\n{units.count(cell.errors)}" for cell in cells])
    return next(stacked(names, [*columns, errors], width))


def _short_table(seen: Seen, workload: str, servers: Sequence[str], width: int) -> Table:
    """Return a line for each server: of each metric the ratio, or the value where there is none, as of the baseline."""
    pairs = [(server, seen.cells[server, workload]) for server in servers]
    columns = [
        Column(metric.title, [_short_words(seen, metric, workload, server, cell) for server, cell in pairs])
        for metric in SHOWN
    ]
    errors = Column("Errors", [units.count(cell.errors) for _, cell in pairs])
    return next(stacked(Column("server", servers), [*columns, errors], width))


def _words(seen: Seen, metric: Metric, workload: str, server: str, cell: Cell) -> str:
    """Write the ratio so far with its interval, and below it the last trial's value, with those before as bars."""
    bars = f"{sparkline(cell.rates)} " if metric is THROUGHPUT and len(cell.rates) > 1 else ""
    return f"{_ratio(seen, metric, workload, server)}\n{bars}{_value(metric, cell)}"


def _short_words(seen: Seen, metric: Metric, workload: str, server: str, cell: Cell) -> str:
    ratio = "" if server == seen.baseline else _ratio(seen, metric, workload, server)
    return ratio or _value(metric, cell)


def _value(metric: Metric, cell: Cell) -> str:
    value = cell.last.get(metric.column)
    return units.NOT_KNOWN if value is None else metric.words(value)


def _ratio(seen: Seen, metric: Metric, workload: str, server: str) -> str:
    if seen.precision is None or metric not in metrics.WATCHED:
        return ""
    if server == seen.baseline:
        return "baseline"
    found = seen.precision.ratio(workload, server, metric.column)
    return "" if found is None else units.estimate(found, units.ratio)


def _doubts(seen: Seen) -> list[str]:
    latest = islice(reversed(seen.doubts.items()), DOUBTS)
    return [f"{server}: {doubt} ({units.plural(number, 'trial')})" for (server, doubt), number in latest]


def _lines(one: Table | Text, width: int) -> int:
    console = Console(width=width, color_system=None)
    return len(console.render_lines(one, console.options))
