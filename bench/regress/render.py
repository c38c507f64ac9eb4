"""A verdict for people: lines for a terminal, and Markdown for the summary of a CI job. Nothing is decided here."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.experiment.model import StopReason
from bench.metrics import unit_of
from bench.regress.planner import SOLO
from bench.regress.validity import host_doubt
from bench.units import bounds, estimate, percent, plural, share
from bench.verdict.words import Word

if TYPE_CHECKING:
    from bench.regress.ledger import FalseAlarms
    from bench.stats import Estimate
    from bench.verdict.values import CellVerdict, Comparison, MetricVerdict


@dataclass(frozen=True, slots=True, kw_only=True)
class Presentation:
    """A comparison with what a reader needs beside it. `baseline` and `candidate` are the names of the arms."""

    comparison: Comparison
    baseline: str
    candidate: str
    seconds: float
    trials: int
    steal_share: float
    foreign_share: float
    false_alarms: FalseAlarms
    stopped: StopReason | None = None
    unreadable: int = 0
    allow_inconclusive: bool = False

    @property
    def footer(self) -> list[str]:
        """Lines about all cells together; the last is the exit status."""
        comparison = self.comparison
        counts = ", ".join(f"{number} {word}" for word, number in comparison.counts().items())
        host = (
            comparison.host_problem or f"steal {share(self.steal_share)}, other processes {share(self.foreign_share)}"
        )
        code = comparison.exit_code(allow_inconclusive=self.allow_inconclusive)
        lines = [
            f"{comparison.word}: {counts or 'no cells'}; {self.trials} trials in {self.seconds:.0f} s; host: {host}",
            _error_rate(self.false_alarms),
        ]
        if doubt := host_doubt(self.steal_share, self.foreign_share):
            lines.insert(1, doubt)
        if self.stopped is StopReason.INTERRUPTED:
            lines.insert(0, "interrupted: this is what the pairs until then show")
        if self.unreadable:
            lines.append(f"{self.unreadable} lines of the ledger could not be read")
        return [*lines, f"exit status {int(code)}"]


def text(shown: Presentation) -> str:
    """Return the comparison as plain lines. Each cell has its word, the reason, every metric, and what to do next."""
    lines = [f"{shown.candidate} against {shown.baseline}", ""]
    width = max((len(cell.cell) for cell in shown.comparison.cells), default=0)
    for cell in shown.comparison.cells:
        lines.append(f"{cell.word:<13} {cell.cell:<{width}}  {cell.reason}")
        lines += [f"{'':13} {line}" for metric in cell.metrics for line in _metric_lines(metric)]
        if cell.design == "solo":
            lines.append(f"{'':13} {SOLO}")
        if cell.hidden:
            lines.append(f"{'':13} {_hidden(cell)}")
        if cell.sensitivity is not None:
            lines.append(f"{'':13} {_sensitivity(cell.sensitivity)}")
        if cell.settle:
            lines.append(f"{'':13} to settle it: {cell.settle}")
    return "\n".join([*lines, "", *shown.footer, ""])


def markdown(shown: Presentation) -> str:
    """Return the comparison as Markdown: a table of the metrics, and a sentence for each cell that is not fine."""
    comparison = shown.comparison
    lines = [
        f"### {comparison.word}: {_escape(shown.candidate)} against {_escape(shown.baseline)}",
        "",
        f"| cell | metric | change | {share(1 - 2 * comparison.alpha)} interval | budget | sees | verdict |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for cell in comparison.cells:
        lines += [_row(cell, metric) for metric in cell.metrics]
    lines += [f"\n{_escape(cell.cell)}: {SOLO}." for cell in comparison.cells if cell.design == "solo"]
    lines += [f"\n{_escape(cell.cell)}: {_escape(_hidden(cell))}." for cell in comparison.cells if cell.hidden]
    for cell in comparison.cells:
        if cell.word not in {Word.OK, Word.IMPROVED}:
            lines += ["", f"**{cell.word}** {_escape(cell.cell)}: {_escape(cell.reason)}."]
            lines += ["", "```sh", cell.settle, "```"] if cell.settle else []
    return "\n".join([*lines, "", *(f"- {_escape(line)}" for line in shown.footer), ""])


def _metric_lines(metric: MetricVerdict) -> list[str]:
    rule, change = metric.rule, metric.change
    if change is None or metric.baseline is None or metric.candidate is None:
        return []
    write = unit_of(rule.metric).write
    role = "" if rule.gating else ", shown only"
    values = f"{write(metric.baseline.value)} -> {write(metric.candidate.value)}"
    change_in_words = f"{estimate(change, percent)}, {share(change.level)} interval"
    seen = f"budget {share(rule.budget)}, {metric.pairs} pairs see {_sees(metric)}"
    return [
        f"{rule.title}: {values}, {change_in_words}: {metric.word}{role}",
        f"  {seen}; pair sd {share(metric.pair_sd)}",
    ]


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
