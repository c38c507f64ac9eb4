"""A verdict in sentences: what a person would say of a cell, and of the whole, first. Nothing is decided here.

Terminal, Markdown and page say the same, because they say these sentences. No layout is here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.units import listed, share, spoken
from bench.verdict.words import Word

if TYPE_CHECKING:
    from bench.stats import Estimate
    from bench.verdict.values import CellVerdict, Comparison, MetricVerdict

_MINUTES_FROM_S = 100.0


def headline(comparison: Comparison, pair_s: float) -> str:
    """Return the verdict on the whole in one sentence, its word first. One pair took `pair_s` seconds."""
    word, cells = comparison.word, comparison.cells
    if comparison.host_problem or not cells:
        return f"{word}: {comparison.host_problem or 'there is no cell to compare'}"
    telling = [cell for cell in cells if cell.word is word]
    cell = max(telling, key=_moved)
    if word is Word.OK:  # a sentence that is true of all cells names the metrics that decide in all of them
        cell = min(telling, key=lambda cell: len(_gating(cell)))
    said = f"{word}: {said_of(cell, pair_s).splitlines()[0].rstrip(':')}"  # a log follows below
    if len(cells) == 1:
        return said
    if word is Word.OK:
        return f"{said}, in each of {len(cells)} cells"
    return f"{said} ({cell.cell}; {len(telling)} of {len(cells)} cells {'is' if len(telling) == 1 else 'are'} {word})"


def said_of(cell: CellVerdict, pair_s: float) -> str:
    """Return what is said of a cell in one sentence, without its word. One pair took `pair_s` seconds."""
    return cell.noted(_said_of(cell, pair_s))


def _said_of(cell: CellVerdict, pair_s: float) -> str:
    telling = [metric for metric in _gating(cell) if metric.word is cell.word]
    if all(metric.reason != cell.reason for metric in telling):
        return cell.reason
    match cell.word:
        case Word.REGRESSED | Word.IMPROVED:
            direction = "slower" if cell.word is Word.REGRESSED else "faster"
            return f"{direction} {listed(f'by {_size(metric)} in {metric.rule.title}' for metric in telling)}"
        case Word.OK:
            limits = [f"by {share(metric.rule.budget)} or more in {metric.rule.title}" for metric in telling]
            return f"not slower {' nor '.join(limits)}"
        case Word.INCONCLUSIVE:
            open_one = next(metric for metric in telling if metric.reason == cell.reason)
            return _what_is_missing(open_one, pair_s)
    return cell.reason


def medians(metric: MetricVerdict) -> tuple[Estimate, Estimate] | None:
    """Return the medians of baseline and candidate. Return None if there are none, or if they contradict the estimate.

    The estimate comes from the ratios of the pairs, and the machine's changes of speed cancel in it. They do not cancel
    in the medians of the arms. So these may point the other way, or lie outside of the estimate's interval.
    """
    baseline, candidate, change = metric.baseline, metric.candidate, metric.change
    if baseline is None or candidate is None or change is None:
        return None
    moved = candidate.value / baseline.value - 1
    is_inside = not change.bounded or change.low <= moved <= change.high
    is_same_way = round(moved, 3) * round(change.value, 3) >= 0  # to the digits that are shown
    return (baseline, candidate) if is_inside and is_same_way else None


def _gating(cell: CellVerdict) -> list[MetricVerdict]:
    return [metric for metric in cell.metrics if metric.rule.gating]


def _moved(cell: CellVerdict) -> float:
    """Return how far the metrics moved that gave a cell its word."""
    found = [metric.slowdown for metric in _gating(cell) if metric.word is cell.word]
    return max((abs(slowdown.value) for slowdown in found if slowdown is not None), default=0.0)


def _size(metric: MetricVerdict) -> str:
    """Write how much slower a metric became, or how much faster, with its interval."""
    assert metric.slowdown is not None
    return spoken(metric.slowdown if metric.slowdown.value >= 0 else metric.slowdown.negated())


def _what_is_missing(metric: MetricVerdict, pair_s: float) -> str:
    slowdown, rule, wanted = metric.slowdown, metric.rule, metric.pairs_to_settle
    if slowdown is None or not slowdown.bounded or wanted is None:
        return metric.reason
    time = _time(wanted * pair_s)
    if metric.minimal_effect > rule.budget:
        enough = f"{_time(metric.pairs * pair_s)} are enough to see a slowdown of {share(metric.minimal_effect)}"
        return f"{enough} in {rule.title}, and {share(rule.budget)} needs {time}"
    direction = "slower" if slowdown.value >= 0 else "faster"
    return f"it seems {direction} by {_size(metric)} in {rule.title}, and to be sure needs {time}"


def _time(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < _MINUTES_FROM_S else f"{seconds / 60:.0f} minutes"
