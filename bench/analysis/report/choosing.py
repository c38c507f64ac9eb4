"""What the first screen answers: which server to choose at a load, how sure that is, and where servers break.

Words and places only: every number was computed by the ranking.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import units
from bench.analysis.estimates.sentences import marked
from bench.analysis.figures.words import capital, places
from bench.metrics import CPU, MEMORY, THROUGHPUT

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.analysis.estimates.ranking import Ranking, Standing
    from bench.analysis.runs.run_folder import Run
    from bench.metrics import Metric

MOST_CHOICES = 4
"""Loads that a choice is stated for: more are no longer read at a glance."""

MOST_TIED = 3
"""Servers that are named as equally good. Of more, the first is named, and how many are not told from it."""

MOST_PRICED = 5
"""Servers that a choice prices one by one. The others are summed up as a range: the table has each."""

WORTH_SAYING = 1.5
"""Memory below this multiple decides nothing. CPU, which limits the throughput, is said whenever it is told apart."""

_TIMES = "\N{NO-BREAK SPACE}\N{MULTIPLICATION SIGN}"


@dataclass(frozen=True, slots=True)
class Choice:
    """Which of the servers that one would use is best at a load, its number and lead, and what the others cost.

    `tied` says who is not told from the best. `lead` has the ratio, to whom, and why it has no interval if so. `cpu`
    and `memory` are multiples of the best one's, one server each. `is_bound` says that the number is a lower bound.
    `gone` says which servers have no number there, and why.
    """

    where: str
    best: str
    tied: str
    value: str
    lead: tuple[str, ...]
    cpu: tuple[str, ...]
    memory: tuple[str, ...]
    gone: str
    is_bound: bool


def choices(ranking: Ranking) -> list[Choice]:
    """Return the choice at each of a few loads.

    None where all servers teach, or one only was measured. Beyond four loads they are the first, that of the title, and
    the last.
    """
    standings = [
        one for one in ranking.choices[ranking.question.column] if not one.is_overloaded and one.runner_up is not None
    ]
    if len(standings) > MOST_CHOICES:
        titled = ranking.headline(ranking.question)
        standings = [one for one in standings if one in (standings[0], titled, standings[-1])]
    return [_choice(ranking, standing) for standing in standings]


def breaking(run: Run, ranking: Ranking) -> list[str]:
    """Say where a server that one would use had no reply to give: no numbers, failed requests, a rate it did not keep.

    Where all of them held, that is said, with the range of loads that it is said of. If all servers teach, it is said
    of these.
    """
    usable = {server for server in ranking.servers if server not in ranking.teaching} or set(ranking.servers)
    found = [cell for cell in ranking.cells[THROUGHPUT.column] if cell.server in usable]
    setting = ranking.sweep.setting
    said = [*ranking.behind]
    if gone := [cell for cell in found if cell.missing]:
        said.append(f"No number: {places(gone, setting, why=True)}.")
    if failed := [cell for cell in found if not cell.missing and cell.measured < cell.trials]:
        said.append(f"Some launches failed: {places(failed, setting)}.")
    failing = _lossy(run)
    if lossy := [cell for cell in found if (cell.server, cell.workload) in failing]:
        said.append(f"Some requests failed: {places(lossy, setting)}.")
    if said or not found:
        return said
    who, breaks = (next(iter(usable)), "it breaks") if len(usable) == 1 else ("All these servers", "they break")
    most = setting.phrase(max(cell.x for cell in found))
    return [
        f"{who} answered every request, up to {most}. The run asked for no more, so it does not say where {breaks}."
    ]


def _lossy(run: Run) -> set[tuple[str, str]]:
    """Return the cells (server, workload) in which a request of a measured trial failed."""
    lossy = run.measured[run.measured["errors"].fillna(0) > 0]
    return set(zip(lossy["server"], lossy["workload"], strict=True))


def _choice(ranking: Ranking, standing: Standing) -> Choice:
    lead = standing.lead
    assert lead is not None
    assert standing.runner_up is not None
    gone = [
        f"{cell.server} ({', '.join(cell.statuses) or 'not known'})"
        for cell in ranking.cells[standing.metric.column]
        if cell.workload == standing.best.workload and cell.missing and cell.server not in ranking.teaching
    ]
    return Choice(
        where=capital(ranking.sweep.load(standing.panel, standing.best.x)),
        best=standing.best.server,
        tied=_tied(standing),
        value=marked(standing.metric, standing.best),
        lead=(
            f"{units.estimate(lead.estimate, units.ratio)}{_TIMES}",
            standing.runner_up.server + ("," if standing.runner_up.lower_bound else ""),
            *(("itself a lower bound",) if standing.runner_up.lower_bound else ()),
            *(() if lead.estimate.bounded else (f"(too few {lead.pairing.unit}s for an interval)",)),
        ),
        cpu=_priced(standing, CPU, 1.0),
        memory=_priced(standing, MEMORY, WORTH_SAYING),
        gone=f"No number: {units.listed(gone)}." if gone else "",
        is_bound=standing.best.lower_bound,
    )


def _tied(standing: Standing) -> str:
    """Name the servers that are not told from the best of a load; empty if it is told from all."""
    if len(standing.level_with) >= MOST_TIED:
        return f"or one of {len(standing.level_with)} not told apart from it"
    return f"or {' or '.join(standing.level_with)}, not told apart" if standing.level_with else ""


def _priced(standing: Standing, metric: Metric, least: float) -> tuple[str, ...]:
    """Write what the others cost as multiples of the best one's cost, where these are told from `least`."""
    told = {
        server: price.estimate.value
        for server, prices in standing.prices.items()
        if (price := prices[metric.column]).estimate.low > least or price.estimate.high < 1 / least
    }
    return multiples(told)


def multiples(told: Mapping[str, float]) -> tuple[str, ...]:
    """Write the multiples of the first servers, in their order, and the range of the others."""
    first = list(told)[: MOST_PRICED if len(told) > MOST_PRICED + 1 else len(told)]
    parts = [f"{server} {units.ratio(told[server])}{_TIMES}" for server in first]
    rest = [value for server, value in told.items() if server not in first]
    if rest:
        parts.append(
            f"{len(rest)}\N{NO-BREAK SPACE}others {units.ratio(min(rest))} to {units.ratio(max(rest))}{_TIMES}"
        )
    return tuple(parts)
