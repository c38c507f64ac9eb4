"""The sentences of a report: the answer of a ranking, and what qualifies it. Nothing is computed here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import metrics, units
from bench.analysis.estimates import remarks
from bench.analysis.estimates.ranking import claim, sentence
from bench.analysis.figures.words import capital
from bench.metrics import THROUGHPUT

if TYPE_CHECKING:
    from bench.analysis.estimates.cells import Cell
    from bench.analysis.estimates.ranking import Ranking, Standing
    from bench.metrics import Metric
    from bench.stats import Estimate


def answer(ranking: Ranking) -> tuple[str, list[str]]:
    """Return the answer of a run as its title, and the sentences that qualify it."""
    standing = ranking.headline(ranking.question)
    if standing is None:
        why, cure = remarks.unknown(ranking, ranking.question)
        is_nothing = ranking.baseline is None
        return capital(why) if is_nothing else f"{ranking.question.title}: {why}", [cure]
    said = [_lead(standing), _unknown(standing), _price(ranking, standing), _others(ranking, standing)]
    return sentence(standing, ranking.sweep), [words for words in said if words]


def ratio(lead: Estimate) -> str:
    """Write a factor with its interval: `1.24 [1.10, 1.40]` and the sign for times."""
    return f"{units.estimate(lead, units.ratio)} \N{MULTIPLICATION SIGN}"


def interval(metric: Metric, cell: Cell) -> str:
    """Write the interval of a cell: `[44,100/s, 47,000/s]`, or why there is none."""
    return units.bounds(cell.estimate, metric.words) or ("a single trial" if len(cell.values) == 1 else "no interval")


def _lead(standing: Standing) -> str:
    """Say by how much the best leads, and which servers are too close to it."""
    best, after, lead = standing.best, standing.runner_up, standing.lead
    if after is None or lead is None:
        return ""
    more, less = (best, after) if standing.metric.larger_is_better else (after, best)
    bound = "at least " if lead.is_lower_bound else ""
    factor = f"{more.server} had {bound}{ratio(lead.estimate)} the {standing.metric.noun} of {less.server}"
    if not lead.estimate.bounded:
        return f"{factor}, in too few {lead.pairing.unit}s to say how sure that is."
    level = units.share(lead.estimate.level)
    said = f"{factor}; the {level} interval is {remarks.pairings([lead])}."
    close = [cell.server for cell in standing.cells[1:] if cell.server in standing.level_with and not cell.lower_bound]
    return f"{said} That is too close to tell {best.server} from {units.listed(close)}." if close else said


def _unknown(standing: Standing) -> str:
    """Say which servers have only a lower bound of their throughput."""
    bounded = [cell.server for cell in standing.cells if cell.lower_bound]
    if not bounded:
        return ""
    return (
        f"The load generator was the limit with {units.listed(bounded)}. So that throughput is a lower bound, and CPU"
        " per reply says more."
    )


def _price(ranking: Ranking, standing: Standing) -> str:
    """Say the other metrics of the leading cell."""
    there = standing.best.server, standing.best.workload
    parts = [
        f"{metric.words(cell.estimate.value)} of {metric.noun}"
        for metric in metrics.HEADLINE
        for cell in ranking.cells[metric.column]
        if metric != standing.metric and (cell.server, cell.workload) == there and not cell.missing
    ]
    where = capital(ranking.sweep.phrase(standing.panel, standing.best.x))
    return f"{where} {standing.best.server} was measured at {units.listed(parts)}." if parts else ""


def _others(ranking: Ranking, standing: Standing) -> str:
    """Say which server is better than the first by another metric, under the same load, if they are told apart."""
    first = standing.best.server
    found = [ranking.headline(metric) for metric in metrics.HEADLINE if metric not in (standing.metric, THROUGHPUT)]
    better = [other for other in found if other and first not in (other.best.server, *other.level_with)]
    claims = [f"{claim(other, ranking.sweep)} ({other.metric.words(other.best.estimate.value)})" for other in better]
    return f"Under the same load, {'; '.join(claims)}." if claims else ""
