"""A verdict for people: lines for a terminal, Markdown for the summary of a CI job. Shows; decides nothing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import units
from bench.experiment.model import StopReason
from bench.units import percent
from bench.verdict.values import CellVerdict, Comparison, MetricVerdict, Word

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.regress.ledger import FalseAlarms

_FORMATS: dict[str, Callable[[float], str]] = {
    "_us_per_reply": lambda us: units.duration(1e3 * us),
    "_per_s": units.rate,
    "_ns": units.duration,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A comparison with what a reader needs beside it. `baseline` and `candidate` are what the arms are called."""

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
        """What holds for all cells together, ending with the exit status."""
        comparison = self.comparison
        counts = ", ".join(f"{number} {word}" for word, number in comparison.counts().items())
        host = (
            comparison.host_problem or f"steal {_share(self.steal_share)}, other processes {_share(self.foreign_share)}"
        )
        code = comparison.exit_code(allow_inconclusive=self.allow_inconclusive)
        lines = [
            f"{comparison.word}: {counts or 'no cells'}; {self.trials} trials in {self.seconds:.0f} s; host: {host}",
            _error_rate(self.false_alarms),
        ]
        if self.stopped is StopReason.INTERRUPTED:
            lines.insert(0, "interrupted: this is what the pairs until then show")
        if self.unreadable:
            lines.append(f"{self.unreadable} lines of the ledger could not be read")
        return [*lines, f"exit status {int(code)}"]


def text(report: Report) -> str:
    """Return the report as plain lines: per cell the word and the reason, then every metric, then what to do next."""
    lines = [f"{report.candidate} against {report.baseline}", ""]
    width = max((len(cell.cell) for cell in report.comparison.cells), default=0)
    for cell in report.comparison.cells:
        lines.append(f"{cell.word:<13} {cell.cell:<{width}}  {cell.reason}")
        lines += [f"{'':13} {line}" for metric in cell.metrics for line in _metric_lines(metric)]
        if cell.sensitivity is not None:
            lines.append(f"{'':13} {_sensitivity(cell.sensitivity)}")
        if cell.settle:
            lines.append(f"{'':13} to settle it: {cell.settle}")
    return "\n".join([*lines, "", *report.footer, ""])


def markdown(report: Report) -> str:
    """Return the report as Markdown: a table of the metrics, and a sentence per cell that is not fine."""
    comparison = report.comparison
    lines = [
        f"### {comparison.word}: {_escape(report.candidate)} against {_escape(report.baseline)}",
        "",
        "| cell | metric | change | 98 % interval | budget | sees | verdict |",
        "| --- | --- | ---: | ---: | ---: | ---: | --- |",
    ]
    for cell in comparison.cells:
        lines += [_row(cell, metric) for metric in cell.metrics]
    for cell in comparison.cells:
        if cell.word not in {Word.OK, Word.IMPROVED}:
            lines += ["", f"**{cell.word}** {_escape(cell.cell)}: {_escape(cell.reason)}."]
            lines += ["", "```sh", cell.settle, "```"] if cell.settle else []
    return "\n".join([*lines, "", *(f"- {_escape(line)}" for line in report.footer), ""])


def _metric_lines(metric: MetricVerdict) -> list[str]:
    rule, change = metric.rule, metric.change
    if change is None or metric.baseline is None or metric.candidate is None or metric.noise is None:
        return []
    show, noise = _format(rule.metric), metric.noise
    role = "" if rule.gating else ", shown only"
    order = noise.order_effect
    values = f"{show(metric.baseline.value)} -> {show(metric.candidate.value)}"
    seen = f"budget {percent(rule.budget, signed=False)}, {metric.pairs} pairs see {_sees(metric)}"
    second = f"second trial {percent(order.value)} [{percent(order.low)}, {percent(order.high)}]"
    return [
        f"{rule.title}: {values}, {_interval(metric)}: {metric.word}{role}",
        f"  {seen}; pair sd {percent(noise.sd, signed=False)}, lag-1 {_number(noise.lag1)}, {second}",
        *(f"  note: {note}" for note in metric.notes),
    ]


def _row(cell: CellVerdict, metric: MetricVerdict) -> str:
    rule = metric.rule
    if metric.change is None:
        change, interval = "", ""
    else:
        change = percent(metric.change.value)
        interval = f"{percent(metric.change.low)} to {percent(metric.change.high)}"
    budget = percent(rule.budget, signed=False)
    word = f"**{metric.word}**" if rule.gating else f"{metric.word} (shown only)"
    columns = (_escape(cell.cell), rule.title, change, interval, budget, _sees(metric), word)
    return f"| {' | '.join(columns)} |"


def _sensitivity(share: float) -> str:
    return (
        f"sensitivity: of 10 % more server CPU per reply, throughput shows about {percent(0.1 * share, signed=False)}"
    )


def _interval(metric: MetricVerdict) -> str:
    change = metric.change
    assert change is not None
    level = percent(change.level, signed=False)
    return f"{percent(change.value)} [{percent(change.low)}, {percent(change.high)}] {level}"


def _sees(metric: MetricVerdict) -> str:
    return "nothing yet" if math.isnan(metric.minimal_effect) else f"{percent(metric.minimal_effect, signed=False)}"


def _error_rate(alarms: FalseAlarms) -> str:
    if not alarms.comparisons:
        return "this checker has not compared equal code here yet: its own false-alarm rate is not known"
    low, high = percent(alarms.rate.low, signed=False), percent(alarms.rate.high, signed=False)
    return (
        f"this checker so far: of {alarms.comparisons} comparisons of equal code {alarms.regressed} were called "
        f"REGRESSED ({low} to {high}) and {alarms.improved} IMPROVED"
    )


def _format(metric: str) -> Callable[[float], str]:
    return next((show for suffix, show in _FORMATS.items() if metric.endswith(suffix)), lambda number: f"{number:.4g}")


def _share(fraction: float) -> str:
    return percent(fraction, signed=False)


def _number(value: float) -> str:
    return "unknown" if math.isnan(value) else f"{value:+.2f}"


def _escape(line: str) -> str:
    """Keep a text from being read as Markdown."""
    return line.replace("|", "\\|").replace("<", "&lt;").replace("\n", "<br>")
