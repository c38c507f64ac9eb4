"""Every cell over many runs on one page: what became worse, since when, a figure and a table for each cell.

The file asks no host for anything and has no script. What is a change is decided in `comparing.many_runs`. No number is
computed here.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench import units
from bench.analysis.comparing.many_runs import breaks
from bench.analysis.comparing.two_runs import Impression
from bench.analysis.estimates.cells import LEVEL
from bench.analysis.figures import trend
from bench.analysis.figures.words import capital
from bench.analysis.report.template import filled
from bench.errors import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.analysis.comparing.many_runs import CellHistory

WORDS = {
    Impression.LOOKS_SLOWER: "The newest level is worse than the one before it, or by the budget than any.",
    Impression.LOOKS_FASTER: "The newest level is better than every earlier one.",
    Impression.LOOKS_ALIKE: "The newest level is not seen to be worse.",
    Impression.CANNOT_TELL: "There are too few runs, the newest stands out from its level, or it is a lower bound.",
    Impression.MISSING: "The newest run lacks the cell, or no earlier run can be joined with it.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What a page shows: cells in their order, the exit code, the newest run, what was left out, and the command."""

    cells: Sequence[CellHistory]
    code: ExitCode
    baseline: str | None
    newest: str
    left_out: Sequence[str]
    command: str

    @property
    def here(self) -> list[CellHistory]:
        """The cells that the newest run has. Others do not count."""
        return [cell for cell in self.cells if cell.points and cell.points[-1].run == self.newest]

    @property
    def worse(self) -> list[CellHistory]:
        """The ratios of the newest run that became worse: the alarm."""
        return [cell for cell in self.here if cell.against and cell.step and cell.impression is Impression.LOOKS_SLOWER]


def render(found: History) -> str:
    """Render the page of a history."""
    return filled(
        "history.html.j2",
        title=title(found),
        others=[_became(cell) for cell in found.worse[1:]],
        baseline=found.baseline,
        has_medians=not all(cell.against for cell in found.cells),
        level=units.share(LEVEL),
        cells=[_cell(cell) for cell in found.cells],
        breaks=breaks(found.cells),
        left_out=found.left_out,
        words=WORDS,
        command=found.command,
        colour=trend.COLOURS,
    )


def title(found: History) -> str:
    """Say what the history comes to: what became worse, since when and by how much; or that nothing did."""
    if found.worse:
        return _became(found.worse[0])
    if found.code is ExitCode.FINE:
        return f"No newest level is worse, in {_extent(found.cells)}"
    if not found.here:
        return f"{found.newest}, the newest run, has no number to follow"
    looks = Counter(cell.impression for cell in found.here)
    said = [
        (looks[Impression.LOOKS_SLOWER], "may be worse, though not as a ratio"),
        (looks[Impression.CANNOT_TELL], "cannot be told"),
        (looks[Impression.MISSING], "cannot be joined with an earlier run"),
    ]
    parts = units.listed(f"{number} {words}" for number, words in said if number)
    return f"No ratio is seen to be worse, but of {len(found.here)} series, {parts}"


def _became(cell: CellHistory) -> str:
    """Say how a cell became worse: `threads c16 became worse: ... +30 % [+29 %, +31 %] since 2026-11-07, commit 06`."""
    assert cell.step is not None
    point = next(point for point in cell.points if point.run == cell.step.since)
    where = f"commit {point.short_commit}" if point.commit else f"run {point.run}"
    since = ", ".join(filter(None, (point.day, where)))
    return f"{cell.server} {cell.workload} became worse: {cell.followed} {_moved(cell)} since {since}"


def _moved(cell: CellHistory) -> str:
    return units.estimate(cell.step.ratio.map(lambda ratio: ratio - 1), units.percent) if cell.step else ""


def _extent(cells: Sequence[CellHistory]) -> str:
    points = {point.run: point for cell in cells for point in cell.points}
    days = sorted(filter(None, (point.day for point in points.values())))
    runs = units.plural(len(points), "run")
    return f"{runs} from {days[0]} to {days[-1]}" if days and days[0] != days[-1] else runs


def _cell(cell: CellHistory) -> Mapping[str, Any]:
    write = units.ratio if cell.against else cell.row.words
    is_worse = cell.impression is Impression.LOOKS_SLOWER
    remarks = {change.run: f"{units.percent(change.ratio - 1)} from here on" for change in cell.changes}
    joins = dict.fromkeys(dict(cell.breaks), "not joined with earlier runs")
    rows = [
        {
            "day": point.day,
            "commit": point.short_commit,
            "label": [text for text in (f"#{number}", point.day, point.short_commit) if text],
            "run": point.run,
            "value": units.estimate(point.median, write),
            "remark": "; ".join(filter(None, (remarks.get(point.run), joins.get(point.run)))),
        }
        for number, point in enumerate(cell.points, start=1)
    ]
    tick = units.number if cell.against else cell.row.unit.tick
    return {
        "name": f"{cell.server} {cell.workload}: {cell.row.noun}",
        "what": capital(cell.followed if cell.against else cell.row.axis),
        "column": f"Ratio to {cell.against}" if cell.against else cell.row.title,
        "better": "more is better" if cell.row.larger_is_better else "less is better",
        "word": cell.impression,
        "reason": cell.reason,
        "moved": f"newest level {_moved(cell)}" if is_worse else "",
        "alike": bool(cell.alike and cell.changes),
        "rows": rows,
        "drawn": trend.trend(cell, tick, is_worse=is_worse) if rows else None,
    }
