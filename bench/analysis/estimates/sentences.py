"""The answer of a ranking in words: a sentence for titles, summaries and the report. Nothing is computed here."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from bench import units

if TYPE_CHECKING:
    from bench.analysis.estimates.cells import Cell, Sweep
    from bench.analysis.estimates.ranking import Standing
    from bench.metrics import Metric


def sentence(standing: Standing, swept: Sweep) -> str:
    """State the answer in one line: who, how much of the baseline and in the metric's own unit, where.

    If nobody kept an offered load, that is the answer. A ratio to a baseline that is level with the best is left out.
    """
    if standing.is_overloaded and standing.carried is not None:
        return standing.carried.sentence(swept.place(standing.panel, standing.best.x))
    best, ratio, where = standing.best, standing.ratios[0], swept.phrase(standing.panel, standing.best.x)
    if standing.runner_up is None:
        return f"{best.server} {standing.metric.alone.format(bounded(standing.metric, best))} {where}"
    bound = "at least " if best.lower_bound else ""
    value = f"{standing.metric.words(best.estimate.value)} {where}"
    if standing.baseline in (best.server, *standing.level_with) or math.isnan(ratio.estimate.value):
        return f"{claim(standing, swept)}: {bound}{value}"
    factor = f"{units.ratio(ratio.estimate.value)} \N{MULTIPLICATION SIGN} {standing.baseline}, "
    both = f"{bound}{factor}{value}" if ratio.is_lower_bound else f"{factor}{bound}{value}"
    return f"{claim(standing, swept)}: {both}"


def bounded(metric: Metric, cell: Cell) -> str:
    """Write the number of a cell, with `at least` if the load generator was the limit."""
    return f"{'at least ' if cell.lower_bound else ''}{metric.words(cell.estimate.value)}"


def marked(metric: Metric, cell: Cell) -> str:
    """Write the number of a cell where there is little room: with a sign if the load generator was the limit."""
    return f"{'≥ ' if cell.lower_bound else ''}{metric.words(cell.estimate.value)}"


def claim(standing: Standing, swept: Sweep) -> str:
    """Say which server is best, and claim no rank that the data do not show."""
    metric, best = standing.metric, standing.best
    level = (best.server, *standing.level_with)
    is_best = (swept.open_loop and metric.claim_if_given) or metric.claim
    if standing.runner_up is None:
        return f"{best.server}, {metric.noun}"
    if len(best.values) == 1:
        return f"{best.server} {is_best} in a single trial"
    if len(level) == 1:
        return f"{best.server} {is_best}"
    if len(level) == len(standing.cells):
        return f"{metric.title} tells no server from another"
    if len(level) == 2:  # noqa: PLR2004 - two can be named
        return f"{best.server} or {level[1]}, not told apart, {is_best}"
    return f"{best.server}, or one of {len(level) - 1} not told apart from it, {is_best}"
