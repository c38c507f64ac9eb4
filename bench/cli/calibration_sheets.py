"""The two tables of a calibration, for a terminal or in Markdown. Decides and measures nothing."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import units
from bench.cli.columns import Column, joined, stacked

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.table import Table

    from bench.analysis.calibration import CellAnswer, PaceAnswer

_CELL_TITLE = "Closed loop, replies/s of our generator and of the one in C, in turn (medians; 95 % intervals)"
_CELL_HEADINGS = ("connections", "message", "ours", "reference", "ours / reference", "added response time")
_PACE_TITLE = (
    "Open loop at shares of our ceiling just before, constant arrivals, 64 connections of 1 KiB, in turn "
    "(medians, means of achieved; 95 % intervals)"
)
_PACE_HEADINGS = ("of our ceiling", "generator", "offered", "achieved / offered", "late p50", "late p99", "steal")


@dataclass(frozen=True, slots=True)
class Sheet:
    """A title, headings and rows of words."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[str]]

    def tables(self, width: int) -> Iterator[Table]:
        """Yield the sheet for a terminal: tables of its rows, which the first two columns name."""
        columns = [Column(title, cells) for title, *cells in zip(self.headings, *self.rows, strict=True)]
        return stacked(joined(columns[:2]), columns[2:], width)

    def markdown(self) -> str:
        """Return the sheet as a paragraph and a table in Markdown."""
        lines = [self.headings, ["---:"] * len(self.headings), *self.rows]
        return "\n".join([f"{self.title}:", "", *(f"| {' | '.join(line)} |" for line in lines), ""])


def cell_sheet(answers: Sequence[CellAnswer]) -> Sheet:
    """Return a row for each cell of the closed loop."""
    return Sheet(_CELL_TITLE, _CELL_HEADINGS, [_cell_row(answer) for answer in answers])


def pace_sheet(answers: Sequence[PaceAnswer]) -> Sheet:
    """Return a row for each generator at each share of the ceiling."""
    return Sheet(_PACE_TITLE, _PACE_HEADINGS, [_pace_row(answer) for answer in answers])


def _cell_row(answer: CellAnswer) -> tuple[str, ...]:
    return (
        units.count(answer.connections),
        units.size(answer.message_bytes),
        units.estimate(answer.ceiling_per_s, units.rate),
        units.estimate(answer.reference_per_s, units.rate),
        units.estimate(answer.ratio, units.ratio),
        units.estimate(answer.added_ns, units.duration),
    )


def _pace_row(answer: PaceAnswer) -> tuple[str, ...]:
    return (
        units.share(answer.share),
        "ours" if answer.generator == "python" else "reference",
        units.estimate(answer.offered_per_s, units.rate),
        units.estimate(answer.achieved_ratio, "{:.4f}".format),
        units.estimate(answer.lateness_p50_ns, units.duration),
        units.estimate(answer.lateness_p99_ns, units.duration),
        units.estimate(answer.steal_share, units.share),
    )
