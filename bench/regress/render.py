"""A verdict for people: lines for a terminal, and Markdown for the summary of a CI job. Nothing is decided here."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.column_units import unit_of
from bench.experiment.model import StopReason
from bench.regress.planner import SOLO
from bench.regress.sentences import headline, medians, said_of
from bench.regress.validity import host_doubt
from bench.units import bounds, estimate, folded, percent, plural, share
from bench.verdict.words import Word

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.regress.ledger import FalseAlarms
    from bench.stats import Estimate
    from bench.verdict.pairs import Observation
    from bench.verdict.values import CellVerdict, Comparison, MetricVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """A comparison with what a reader needs beside it. `baseline` and `candidate` are the names of the arms.

    `observations` are the trials of the whole pairs, by cell. `forgotten` says why the ledger does not remember this
    comparison; it is empty if it does.
    """

    comparison: Comparison
    baseline: str
    candidate: str
    seconds: float
    trials: int
    steal_share: float
    foreign_share: float
    false_alarms: FalseAlarms
    observations: Mapping[str, Sequence[Observation]] = field(default_factory=dict)
    stopped: StopReason | None = None
    unreadable: int = 0
    forgotten: str = ""
    allow_inconclusive: bool = False

    @property
    def pair_s(self) -> float:
        """The seconds that one pair took, launches included; NaN if there was no trial."""
        return 2 * self.seconds / self.trials if self.trials else math.nan

    @property
    def headline(self) -> str:
        """The verdict in one sentence."""
        return headline(self.comparison, self.pair_s)

    @property
    def interruption(self) -> list[str]:
        """A line that says that the comparison was interrupted, if it was."""
        is_cut = self.stopped is StopReason.INTERRUPTED
        return ["interrupted: this is what the pairs until then show"] if is_cut else []

    @property
    def background(self) -> list[str]:
        """Lines on what was measured, and on how often this check was wrong."""
        comparison = self.comparison
        counts = ", ".join(f"{number} {word}" for word, number in comparison.counts().items())
        host = (
            comparison.host_problem or f"steal {share(self.steal_share)}, other processes {share(self.foreign_share)}"
        )
        return [
            f"{comparison.word}: {counts or 'no cells'}; {self.trials} trials in {self.seconds:.0f} s; host: {host}",
            f"intervals hold at {share(1 - 2 * comparison.alpha)}",
            _error_rate(self.false_alarms),
        ]

    @property
    def warnings(self) -> list[str]:
        """Lines that a reader must not miss: what the machine did, and what went wrong with the ledger."""
        doubt = host_doubt(self.steal_share, self.foreign_share)
        unreadable = f"{self.unreadable} lines of the ledger could not be read" if self.unreadable else ""
        return [line for line in (doubt, unreadable, self.forgotten) if line]

    @property
    def ending(self) -> str:
        """The exit status."""
        return f"exit status {int(self.comparison.exit_code(allow_inconclusive=self.allow_inconclusive))}"


def text(shown: Presentation, *, verbose: bool = False, width: int | None = None) -> str:
    """Return the comparison as lines: the verdict in a sentence, a line for each cell, and what a reader must not miss.

    With `verbose`, every metric follows in words. A line longer than `width` columns is folded between words, and no
    number is parted from its unit. None folds no line.
    """
    lines = [shown.headline, f"{shown.candidate} against {shown.baseline}", *shown.interruption, ""]
    names = max((len(cell.cell) for cell in shown.comparison.cells), default=0)
    for cell in shown.comparison.cells:
        lines.append(f"{cell.word:<13} {cell.cell:<{names}}  {said_of(cell, shown.pair_s)}")
        lines += [f"{'':13} {line}" for line in _beneath(cell, verbose=verbose)]
        if cell.settle:
            lines.append(_command(f"{'':13} to settle it: ", cell.settle, width))
    ending = [*(shown.background if verbose else []), *shown.warnings, shown.ending]
    return "\n".join([*(folded(line, width) for line in [*lines, "", *ending]), ""])


def markdown(shown: Presentation) -> str:
    """Return the comparison as Markdown: a table of the metrics, and a sentence for each cell that is not fine."""
    comparison = shown.comparison
    lines = [
        f"### {comparison.word}: {_escape(shown.candidate)} against {_escape(shown.baseline)}",
        "",
        f"**{_escape(shown.headline)}**",
        "",
        f"| cell | metric | change | {share(1 - 2 * comparison.alpha)} interval | budget | sees | verdict |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for cell in comparison.cells:
        lines += [_row(cell, metric) for metric in cell.metrics]
    lines += [f"\n{_escape(cell.cell)}: {SOLO}." for cell in comparison.cells if cell.design == "solo"]
    lines += [f"\n{_escape(cell.cell)}: {_escape(_hidden(cell))}." for cell in comparison.cells if cell.hidden]
    lines += [f"\n{_escape(cell.cell)}: doubt: {_escape(doubt)}" for cell in comparison.cells for doubt in cell.doubts]
    for cell in comparison.cells:
        if cell.word not in {Word.OK, Word.IMPROVED}:
            lines += ["", f"**{cell.word}** {_escape(cell.cell)}: {_escape(cell.noted(cell.reason))}."]
            lines += ["", "```sh", cell.settle, "```"] if cell.settle else []
    ending = [*shown.interruption, *shown.background, *shown.warnings, shown.ending]
    return "\n".join([*lines, "", *(f"- {_escape(line)}" for line in ending), ""])


def _beneath(cell: CellVerdict, *, verbose: bool) -> list[str]:
    """Return the lines under a cell: doubts and how it was measured, and with `verbose` every metric in words."""
    lines = [line for metric in cell.metrics for line in _metric_lines(metric)] if verbose else []
    if verbose and cell.sensitivity is not None:
        lines.append(_sensitivity(cell.sensitivity))
    if cell.design == "solo":
        lines.append(SOLO)
    if cell.hidden:
        lines.append(_hidden(cell))
    return [*lines, *(f"doubt: {doubt}" for doubt in cell.doubts)]


def _command(before: str, command: str, width: int | None) -> str:
    """Write a command so that it can be copied: where it is too long for the screen, its lines end in a backslash."""
    if width is None or len(before) + len(command) <= width:
        return before + command
    indent, lines = " " * 15, [before.rstrip(), ""]
    for word in map(shlex.quote, shlex.split(command)):
        if lines[-1] and len(indent) + len(lines[-1]) + len(word) + 3 > width:
            lines[-1] += " \\"
            lines.append("")
        lines[-1] += f" {word}" if lines[-1] else word
    return "\n".join([lines[0], *(f"{indent}{line}" for line in lines[1:])])


def _metric_lines(metric: MetricVerdict) -> list[str]:
    """Say of a metric what came of it, the medians of both arms, and what its noise lets it see."""
    if metric.change is None:
        return []
    write, role = unit_of(metric.rule.metric).write, "" if metric.rule.gating else ", shown only"
    lines = [f"{metric.word}{role}: {metric.reason}"]
    if found := medians(metric):
        baseline, candidate = (write(median.value) for median in found)
        lines.append(f"  medians: {baseline} before, {candidate} after")
    seen = f"{metric.pairs} pairs see a slowdown of {_sees(metric)} four times in five"
    return [*lines, f"  noise: pair sd {share(metric.pair_sd)}; {seen}; the budget is {share(metric.rule.budget)}"]


def _row(cell: CellVerdict, metric: MetricVerdict) -> str:
    rule, change = metric.rule, metric.change
    point, interval = ("", "") if change is None else (percent(change.value), bounds(change, percent))
    word = f"**{metric.word}**" if rule.gating else f"{metric.word} (shown only)"
    columns = (_escape(cell.cell), rule.title, point, interval, share(rule.budget), _sees(metric), word)
    return f"| {' | '.join(columns)} |"


def _hidden(cell: CellVerdict) -> str:
    deciding = ", ".join(metric.rule.title for metric in cell.metrics if metric.rule.gating)
    return f"{cell.hidden}. Decided by {deciding or 'nothing'} alone"


def _sensitivity(found: Estimate) -> str:
    shown = estimate(found.map(lambda fraction: fraction / 10), share)
    return f"sensitivity: of 10 % more server CPU per reply, throughput shows about {shown}"


def _sees(metric: MetricVerdict) -> str:
    return "nothing yet" if math.isnan(metric.minimal_effect) else share(metric.minimal_effect)


def _error_rate(alarms: FalseAlarms) -> str:
    if not alarms.comparisons:
        return "this check has not compared equal code here yet, so its own rate of false alarms is not known"
    compared = plural(alarms.comparisons, "comparison")
    return (
        f"this check so far: of {compared} of equal code, {alarms.regressed} were called REGRESSED, which is "
        f"{estimate(alarms.rate, share)}, and {alarms.improved} IMPROVED"
    )


def _escape(line: str) -> str:
    """Return a text that Markdown shows as it is."""
    return line.replace("|", "\\|").replace("<", "&lt;").replace("\n", "<br>")
