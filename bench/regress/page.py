"""A comparison as one HTML file: the verdict, the forest of pairs, the values of both arms, the noise and the command.

The file asks no host for anything and has no script. Sentences come from `sentences`, and numbers are written by
`bench.units`. Nothing is decided here, and jinja2 is loaded only when a page is made.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.column_units import unit_of
from bench.regress.planner import SOLO
from bench.regress.sentences import medians, said_of
from bench.units import NOT_KNOWN, bounds, percent, share, unbroken
from bench.verdict.pairs import paired_values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.regress.render import Presentation
    from bench.stats import Estimate
    from bench.verdict.pairs import Observation
    from bench.verdict.values import CellVerdict, Comparison, MetricVerdict

WIDTH, LEFT, RIGHT = 640.0, 70.0, 20.0
ROW, TOP, AXIS = 11.0, 12.0, 34.0
"""Sizes of a forest, in the units of its view box."""

WORDS = {
    "REGRESSED": "The candidate is slower, beyond what chance gives, and by at least the tolerance.",
    "IMPROVED": "The candidate is faster, beyond what chance gives, and by at least the tolerance.",
    "OK": "A slowdown as large as the budget is excluded.",
    "INCONCLUSIVE": "The pairs could not tell. This is not OK.",
    "INVALID": "It was no measurement of the server.",
    "NO-BASELINE": "The baseline could not be built or run.",
}
_HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Scale:
    """From fractions to horizontal places. Zero and everything that is drawn lie on it."""

    low: float
    high: float

    def x(self, fraction: float) -> float:
        """Return the place of a fraction."""
        return LEFT + (WIDTH - LEFT - RIGHT) * (fraction - self.low) / (self.high - self.low)

    @property
    def ticks(self) -> list[dict[str, Any]]:
        """Round fractions, at most seven, each with its place and its text."""
        step = 10 ** math.floor(math.log10(self.high - self.low))
        step = next(step * factor for factor in (0.2, 0.5, 1, 2) if (self.high - self.low) / (step * factor) <= 6)  # noqa: PLR2004 - so many texts find room
        first, last = math.ceil(self.low / step), math.floor(self.high / step)
        return [{"x": self.x(step * at), "text": share(step * at)} for at in range(first, last + 1)]


def page(shown: Presentation, command: str) -> str:
    """Return the page of a comparison that `command`, a line for a shell, made."""
    return _rendered(
        word=shown.comparison.word,
        headline=shown.headline,
        arms=f"{shown.candidate} against {shown.baseline}",
        notes=[*shown.interruption, *shown.warnings],
        cells=[_cell(cell, shown) for cell in shown.comparison.cells],
        level=share(1 - 2 * shown.comparison.alpha),
        background=[*shown.background, shown.ending],
        command=command,
    )


def page_of_failure(comparison: Comparison, command: str) -> str:
    """Return the page of a comparison that could not begin: its word, the reason and the command."""
    (cell,) = comparison.cells
    return _rendered(
        word=comparison.word,
        headline=f"{comparison.word}: nothing was measured",
        arms="",
        notes=[cell.reason],
        cells=[],
        level="",
        background=[],
        command=command,
    )


def _rendered(**values: Any) -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - not beside a measurement

    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters["unbroken"] = unbroken
    environment.filters["capital"] = lambda text: text[:1].upper() + text[1:]
    return environment.get_template("page.html.j2").render(words=WORDS, **values)


def _cell(cell: CellVerdict, shown: Presentation) -> dict[str, Any]:
    rows = shown.observations.get(cell.cell, ())
    return {
        "name": cell.cell,
        "word": cell.word,
        "said": said_of(cell, shown.pair_s),
        "notes": [note for note in (SOLO if cell.design == "solo" else "", cell.hidden, *cell.doubts) if note],
        "settle": cell.settle,
        "metrics": [_metric(metric, rows) for metric in cell.metrics if metric.change is not None],
    }


def _metric(metric: MetricVerdict, rows: Sequence[Observation]) -> dict[str, Any]:
    rule, change = metric.rule, metric.change
    assert change is not None
    write = unit_of(rule.metric).write
    paired = paired_values(rows, rule.metric)
    changes = [math.expm1(log) for log in paired.log_ratios]
    found = medians(metric)
    return {
        "title": rule.title,
        "word": metric.word,
        "role": "" if rule.gating else "shown only",
        "reason": metric.reason,
        "change": f"{percent(change.value)} {bounds(change, percent)}".rstrip(),
        "medians": [write(median.value) for median in found] if found else [],
        "budget": share(rule.budget),
        "pair_sd": share(metric.pair_sd),
        "sees": NOT_KNOWN if math.isnan(metric.minimal_effect) else share(metric.minimal_effect),
        "needed": metric.pairs_needed,
        "forest": _forest(changes, change, _budget(metric)),
        "pairs": [
            (number, write(before), write(after), percent(moved))
            for number, (before, after, moved) in enumerate(
                zip(paired.baseline, paired.candidate, changes, strict=True), start=1
            )
        ],
    }


def _budget(metric: MetricVerdict) -> float:
    """Return the change, in the metric's own direction, that is a slowdown of the whole budget."""
    budget = metric.rule.budget
    return 1 / (1 + budget) - 1 if metric.rule.larger_is_better else budget


def _forest(changes: Sequence[float], change: Estimate, budget: float) -> dict[str, Any]:
    """Return what a forest draws: a dot for each pair, the estimate with its interval, no change, and the budget."""
    drawn = [0.0, budget, change.value, *changes, *([change.low, change.high] if change.bounded else [])]
    low, high = min(drawn), max(drawn)
    margin = 0.05 * (high - low)
    scale = Scale(low - margin, high + margin)
    bottom = TOP + ROW * (len(changes) + 2)
    return {
        "width": WIDTH,
        "height": bottom + AXIS,
        "top": TOP,
        "bottom": bottom,
        "zero": scale.x(0.0),
        "budget": scale.x(budget),
        "pairs": [
            {"number": number, "x": scale.x(moved), "y": TOP + ROW * number, "text": percent(moved)}
            for number, moved in enumerate(changes, start=1)
        ],
        "estimate": {
            "x": scale.x(change.value),
            "low": scale.x(change.low) if change.bounded else None,
            "high": scale.x(change.high) if change.bounded else None,
            "y": bottom - ROW * 0.6,
        },
        "ticks": scale.ticks,
    }
