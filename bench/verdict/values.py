"""The verdict as values: on each metric, on each cell, and on the whole. Nothing is computed here.

Terminal, Markdown, JUnit and the exports only show these values.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from bench.errors import ExitCode
from bench.plain import flat, plain
from bench.verdict.words import EXIT_CODES, Word, worst

if TYPE_CHECKING:
    from bench.stats import Estimate
    from bench.verdict.rules import Rule


@dataclass(frozen=True, slots=True, kw_only=True)
class MetricVerdict:
    """One metric of one cell. Fractions are of the baseline: 0.068 is 6.8 %.

    `slowdown` lies above zero where the candidate is worse, whatever the metric's direction. `change` is the same in
    the metric's own direction. `p` is adjusted by Holm for all `family` tests and all looks; it is NaN if the metric is
    not gating. This many pairs find a `minimal_effect` with a probability of 80 %, and `pairs_needed` pairs find the
    budget with 90 %. `pair_sd` is the standard deviation of the log ratios of the pairs.
    """

    rule: Rule
    word: Word
    reason: str
    pairs: int = 0
    slowdown: Estimate | None = None
    change: Estimate | None = None
    baseline: Estimate | None = None
    candidate: Estimate | None = None
    p: float = math.nan
    family: int = 1
    minimal_effect: float = math.nan
    pairs_needed: int | None = None
    pair_sd: float = math.nan

    @property
    def is_slower(self) -> bool:
        """Whether the whole interval lies on the side of a slowdown, however small."""
        return self.slowdown is not None and self.slowdown.low > 0

    @property
    def pairs_to_settle(self) -> int | None:
        """Pairs to ask for next: as many as the noise asks for; twice as many as now if there are that many already."""
        if self.pairs_needed is None:
            return None
        return self.pairs_needed if self.pairs_needed > self.pairs else 2 * self.pairs


@dataclass(frozen=True, slots=True, kw_only=True)
class CellVerdict:
    """One cell: the worst word of its gating metrics, the reason for that word, and all metrics.

    `settle` is the command that asks for enough pairs. `design` is "block" if both arms were alive together, else
    "solo". `sensitivity` is the fraction of a change of the server's CPU per reply that throughput shows; None where it
    is not known. In JSON it is a number with its bounds beside it. `hidden` says why some gating metrics decide nothing
    in this cell; it is empty if all of them do. `doubts` are sentences about what the arms do that hides their speed.
    `note` says what is known of the arms beside their speed, such as that they are the same code; it may be empty.
    """

    cell: str
    word: Word
    reason: str
    metrics: tuple[MetricVerdict, ...] = ()
    settle: str = ""
    design: str = ""
    sensitivity: Estimate | None = None
    hidden: str = ""
    doubts: tuple[str, ...] = ()
    note: str = ""

    def noted(self, said: str) -> str:
        """Return a sentence about this cell with the note, if there is one."""
        return f"{said}; {self.note}" if self.note else said

    @property
    def settled(self) -> bool:
        """Whether more pairs have nothing to add. To OK they may have: a smaller slowdown (see `foresight.py`)."""
        return self.word not in {Word.INCONCLUSIVE, Word.OK}


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The whole answer. `host_problem` says why no number of this host counts; it is empty if they do."""

    cells: tuple[CellVerdict, ...]
    looks: tuple[int, ...]
    alpha: float
    host_problem: str = ""
    facts: dict[str, Any] = field(default_factory=dict)

    @property
    def word(self) -> Word:
        """The word of the whole."""
        return Word.INVALID if self.host_problem else worst([cell.word for cell in self.cells])

    def exit_code(self, *, allow_inconclusive: bool = False) -> ExitCode:
        """Return the exit status of the word; an invalid host comes before every word of a cell."""
        if allow_inconclusive and self.word is Word.INCONCLUSIVE:
            return ExitCode.FINE
        return EXIT_CODES[self.word]

    def counts(self) -> dict[Word, int]:
        """Cells per word, worst first, words without a cell left out."""
        words = [cell.word for cell in self.cells]
        return {word: words.count(word) for word in Word if word in words}

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; a number that is not known is null."""
        cells = [{**asdict(cell), **flat("sensitivity", cell.sensitivity)} for cell in self.cells]
        whole = {"word": self.word, "exit_code": int(self.exit_code()), **asdict(self), "cells": cells}
        found: dict[str, Any] = plain(whole)
        return found
