"""The sentences of a report: the answer first, and how to read each figure. Computes nothing, only words a ranking."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import units
from bench.analysis.estimates.cells import CPU, MEMORY, METRICS, P99, THROUGHPUT
from bench.analysis.estimates.ranking import claim, sentence
from bench.analysis.figures.words import capital, in_text, listed

if TYPE_CHECKING:
    from bench.analysis.estimates.cells import Cell, Metric
    from bench.analysis.estimates.ranking import Ranking, Standing
    from bench.stats import Estimate

READING = {
    "throughput": (
        "Higher is better. A line that stays level has met a limit: the server's core or, where an arrow rises from"
        " the point, the load generator. Servers whose bars overlap may well be equal."
    ),
    "cpu": (
        "Lower is better. This is the quietest metric: it hardly depends on the load generator or on other processes,"
        " so it tells servers apart whose throughput does not. It cannot see time spent waiting."
    ),
    "latency": (
        "Lower and flatter is better. A step upwards at 99 % means that one reply in a hundred met something else than"
        " usual: a pause, a full queue, another process."
    ),
    "p99": (
        "Lower is better. In a closed loop every connection waits for the others, so the response time grows with their"
        " number whatever the server; compare servers at the same load."
    ),
    "memory": (
        "Lower is better. The slope is what one more connection costs; the start is the interpreter and its libraries."
    ),
    "throughput-over-time": (
        "Level lines are good. A slope says that the warm-up was too short, a dip that something else used the core."
    ),
    "p99-over-time": (
        "Level lines are good. A spike in one fine line is an accident of one trial; one in all of them is the server."
    ),
}


def answer(ranking: Ranking) -> tuple[str, list[str]]:
    """Return the answer of a run: who echoes fastest, and the sentences that qualify it."""
    standing = ranking.headline(ranking.question)
    if standing is None:
        return "No trial could be measured", ["The failed trials below say why."]
    said = [_lead(standing), _unknown(standing), _price(ranking, standing), _others(ranking, standing)]
    return sentence(standing, ranking.sweep), [words for words in said if words]


def ratio(lead: Estimate) -> str:
    """Write a factor with its interval: `1.24 TIMES (1.10 to 1.40)`, with the sign for TIMES."""
    factor = f"{lead.value:.2f} \N{MULTIPLICATION SIGN}"
    return f"{factor} ({lead.low:.2f} to {lead.high:.2f})" if lead.bounded else factor


def interval(metric: Metric, cell: Cell) -> str:
    """Write the interval of a cell: `44,100/s to 47,000/s`, or why there is none."""
    if not cell.estimate.bounded:
        return "a single trial"
    return f"{metric.words(cell.estimate.low)} to {metric.words(cell.estimate.high)}"


def _lead(standing: Standing) -> str:
    """Say by how much the best leads, and who is too close to it."""
    best, after, lead = standing.best, standing.runner_up, standing.lead
    if after is None or lead is None:
        return ""
    more, less = (best, after) if standing.metric.larger_is_better else (after, best)
    bound = "at least " if best.lower_bound else ""
    factor = f"{more.server} had {bound}{ratio(lead)} the {in_text(standing.metric.title)} of {less.server}"
    if not lead.bounded:
        return f"{factor}, in too few trials to say how sure that is."
    level = units.percent(lead.level, signed=False)
    said = f"{factor}; the {level} interval is from trials paired by round."
    close = [cell.server for cell in standing.cells[1:] if cell.server in standing.level_with and not cell.lower_bound]
    return f"{said} That is too close to tell {best.server} from {listed(close)}." if close else said


def _unknown(standing: Standing) -> str:
    """Say whose throughput is only a lower bound."""
    bounded = [cell.server for cell in standing.cells if cell.lower_bound]
    if not bounded:
        return ""
    return (
        f"What {listed(bounded)} can do is not known: the load generator was the limit, so that throughput is a lower"
        " bound, and CPU per reply says more."
    )


def _price(ranking: Ranking, standing: Standing) -> str:
    """Say what else the leading cell was measured at: throughput, CPU, p99, memory."""
    there = standing.best.server, standing.best.workload
    parts = [
        f"{metric.words(cell.estimate.value)} {words}"
        for metric, words in (
            (THROUGHPUT, "of throughput"),
            (CPU, "of server CPU per reply"),
            (P99, "of p99 response time"),
            (MEMORY, "of memory"),
        )
        for cell in ranking.cells[metric.column]
        if metric != standing.metric and (cell.server, cell.workload) == there and not cell.missing
    ]
    where = capital(ranking.sweep.phrase(standing.panel, standing.best.x))
    return f"{where} {standing.best.server} was measured at {listed(parts)}." if parts else ""


def _others(ranking: Ranking, standing: Standing) -> str:
    """Say who is better than the first by another metric, under the same load, if that is told apart."""
    first = standing.best.server
    found = [ranking.headline(metric) for metric in METRICS if metric not in (standing.metric, THROUGHPUT)]
    better = [other for other in found if other and first not in (other.best.server, *other.level_with)]
    claims = [f"{claim(other, ranking.sweep)} ({other.metric.words(other.best.estimate.value)})" for other in better]
    return f"There {'; '.join(claims)}." if claims else ""
