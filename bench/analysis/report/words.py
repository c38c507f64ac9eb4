"""The sentences of a report: the answer of a ranking, and what qualifies it. Nothing is computed here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import metrics, units
from bench.analysis.estimates import remarks
from bench.analysis.estimates.sentences import claim, sentence
from bench.analysis.figures.words import capital
from bench.metrics import CPU, MEMORY, THROUGHPUT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.analysis.estimates.cells import Cell
    from bench.analysis.estimates.ranking import Ranking, Standing
    from bench.metrics import Metric
    from bench.stats import Estimate

MOST_CHOICES = 4
"""Loads that a choice is stated for: more are no longer read at a glance."""

WORTH_SAYING = 1.5
"""Memory below this multiple decides nothing. CPU, which limits the throughput, is said whenever it is told apart."""


MOST_PRICED = 5
"""Servers that a choice prices one by one. The others are summed up as a range: the table has each."""


def answer(ranking: Ranking) -> tuple[str, list[str]]:
    """Return the answer of a run as its title, and the sentences that qualify it."""
    standing = ranking.headline(ranking.question)
    if standing is None:
        why, cure = remarks.unknown(ranking, ranking.question)
        is_nothing = ranking.baseline is None
        title = capital(why) if is_nothing else f"{ranking.question.title}: {why}"
        return title, [cure, *ranking.behind]
    title, said = sentence(standing, ranking.sweep), [_price(ranking, standing)]
    if not standing.is_overloaded:
        said = [_lead(standing), _unknown(standing), *said, _others(ranking, standing)]
    return title, [words for words in (*(one for one in ranking.behind if one != f"{title}."), *said) if words]


def choice(ranking: Ranking) -> list[tuple[str, str]]:
    """Return, for each of a few loads, which of the servers that one would use is best there, and at what price.

    None where all servers teach, or one only was measured. Beyond four loads they are the first, that of the title, and
    the last.
    """
    standings = [
        one for one in ranking.choices[ranking.question.column] if not one.is_overloaded and one.runner_up is not None
    ]
    if len(standings) > MOST_CHOICES:
        titled = ranking.headline(ranking.question)
        standings = [one for one in standings if one in (standings[0], titled, standings[-1])]
    return [(_chosen(ranking, standing), _price_of_others(ranking, standing)) for standing in standings]


def scope(ranking: Ranking) -> str:
    """Say what was measured, and that it is not the reader's own service."""
    shared = f" ({ranking.sweep.shared})" if ranking.sweep.shared else ""
    return (
        f"What was measured is an echo{shared}: the server sends back what it gets, and does no work of its own. Your"
        " service does, so its servers will differ less than these."
    )


def limits(ranking: Ranking) -> list[str]:
    """Say of each server that a title or a choice may name how many connections it serves at a time, if few."""
    return [
        f"{server} serves {units.plural(kind.connections_max, 'connection')} at a time, at most."
        for server in ranking.servers
        if (kind := ranking.kinds.get(server)) is not None and kind.connections_max is not None and not kind.teaching
    ]


def _chosen(ranking: Ranking, standing: Standing) -> str:
    """Name the best server of a load, and those that are not told from it."""
    where = capital(ranking.sweep.phrase(standing.panel, standing.best.x).removeprefix("at "))
    *others, last = standing.best.server, *standing.level_with
    return f"{where}: {', '.join(others)} or {last}, not told apart" if others else f"{where}: {last}"


def _price_of_others(ranking: Ranking, standing: Standing) -> str:
    """Say what the other servers cost as multiples of the best one's cost, and which have no number."""
    said = []
    for metric, least in ((CPU, 1.0), (MEMORY, WORTH_SAYING)):
        told = {
            server: price.estimate.value
            for server, prices in standing.prices.items()
            if (price := prices[metric.column]).estimate.low > least or price.estimate.high < 1 / least
        }
        if told:
            said.append(f"{capital(metric.noun)}: {_priced(told)}.")
    gone = [
        f"{cell.server} ({', '.join(cell.statuses) or 'not known'})"
        for cell in ranking.cells[standing.metric.column]
        if cell.workload == standing.best.workload and cell.missing and cell.server not in ranking.teaching
    ]
    return " ".join([*said, *([f"No number: {units.listed(gone)}."] if gone else [])])


def _priced(told: Mapping[str, float]) -> str:
    """Write the multiples of the first servers, in their order, and the range of the others."""
    times = "\N{NO-BREAK SPACE}\N{MULTIPLICATION SIGN}"
    first = list(told)[: MOST_PRICED if len(told) > MOST_PRICED + 1 else len(told)]
    parts = [f"{server} {units.ratio(told[server])}{times}" for server in first]
    rest = [value for server, value in told.items() if server not in first]
    if rest:
        parts.append(f"{len(rest)}\N{NO-BREAK SPACE}others {units.ratio(min(rest))} to {units.ratio(max(rest))}{times}")
    return ", ".join(parts)


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
