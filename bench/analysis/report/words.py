"""The sentences of a report: the answer of a ranking, and what qualifies it. Nothing is computed here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import metrics, units
from bench.analysis.estimates import remarks
from bench.analysis.estimates.sentences import claim, sentence
from bench.analysis.figures.words import capital
from bench.metrics import P50, THROUGHPUT

if TYPE_CHECKING:
    from bench.analysis.estimates.cells import Cell
    from bench.analysis.estimates.ranking import Ranking, Standing
    from bench.analysis.runs.run_folder import Run
    from bench.metrics import Metric
    from bench.stats import Estimate


def answer(ranking: Ranking) -> tuple[str, list[str]]:
    """Return the answer of a run as its title, and the sentences that qualify it."""
    standing = ranking.headline(ranking.question)
    if standing is None:
        why, cure = remarks.unknown(ranking, ranking.question)
        if ranking.baseline is None:  # the page says what to do where its first plot would be
            return capital(why), []
        return f"{ranking.question.title}: {why}", [cure]
    title, said = sentence(standing, ranking.sweep), [_price(ranking, standing)]
    if not standing.is_overloaded:
        said = [_spread(standing), _lead(standing), _unknown(standing), *said, _others(ranking, standing)]
    return title, [words for words in said if words]


def scope(run: Run, ranking: Ranking) -> str:
    """Say what was measured, who made the load, and that it is not the reader's own service."""
    made = remarks.load_made(run)
    shared = f" ({ranking.sweep.shared})" if ranking.sweep.shared else ""
    return (
        f"What was measured is an echo{shared}: the server sends back what it gets, and does no work of its own. Your"
        " service does, so its servers will differ less than these."
        f"{f' {made}' if made else ''}"
    )


def alone(ranking: Ranking) -> str:
    """Say what the page of a single server answers, since nobody leads there; empty if there are several."""
    if len(ranking.servers) != 1:
        return ""
    (server,) = ranking.servers
    return (
        f"{server} is the only server of this run, so nothing here is compared. The page says what it reaches at each"
        " load, what a reply costs, and how that differs from launch to launch. With a second --server it compares."
    )


def undrawn(ranking: Ranking) -> list[str]:
    """Say of which metrics there is no plot, why, and what to do; nothing if each has a number to draw."""
    gone = [
        metric
        for metric in ranking.sweep.metrics
        if metric is not P50 and all(cell.missing for cell in ranking.cells[metric.column])
    ]
    if ranking.baseline is None:
        return [f"There is no plot, because {'. '.join(remarks.unknown(ranking, ranking.question))}"]
    return [f"There is no plot of the {metric.noun}: {'. '.join(remarks.unknown(ranking, metric))}" for metric in gone]


def limits(ranking: Ranking) -> list[str]:
    """Say of each server that a title or a choice may name how many connections it serves at a time, if few."""
    return [
        f"{server} serves {units.plural(kind.connections_max, 'connection')} at a time, at most."
        for server in ranking.servers
        if (kind := ranking.kinds.get(server)) is not None and kind.connections_max is not None and not kind.teaching
    ]


def ratio(lead: Estimate) -> str:
    """Write a factor with its interval: `1.24 [1.10, 1.40]` and the sign for times."""
    return f"{units.estimate(lead, units.ratio)} \N{MULTIPLICATION SIGN}"


def interval(metric: Metric, cell: Cell) -> str:
    """Write the interval of a cell: `[44,100/s, 47,000/s]`, or why there is none."""
    return units.bounds(cell.estimate, metric.words) or ("a single trial" if len(cell.values) == 1 else "no interval")


def _spread(standing: Standing) -> str:
    """Say how sure the number of a single server is, from its launches; nothing where servers are compared."""
    best = standing.best
    if standing.runner_up is not None:
        return ""
    if len(best.values) == 1:
        return f"{best.server} was launched once under this load. How much another launch would differ is not known."
    if not best.estimate.bounded:
        return ""
    level, bounds = units.share(best.estimate.level), units.bounds(best.estimate, standing.metric.words)
    return f"The {level} interval of the {standing.metric.noun} is {bounds}, over {len(best.values)} launches."


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
        f"The load generator was the limit with {units.listed(bounded)}. So that throughput is a lower bound, no"
        " server above it is told from it, and CPU per reply says more."
    )


def _price(ranking: Ranking, standing: Standing) -> str:
    """Say the other metrics of the leading cell."""
    there = standing.best.server, standing.best.workload
    parts = [
        f"{metric.words(cell.estimate.value)} of {metric.noun}"
        for metric in metrics.HEADLINE
        if metric in ranking.sweep.metrics
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
