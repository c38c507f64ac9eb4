"""The titles of the figures that several metrics or several kinds of figure share: each states what it alone shows.

The page's own title is the answer of the run (`estimates.sentences`). A figure that repeated it would tell nothing. So
ratios tell who is ahead of the baseline, ratios along the loads who leads where, and values how far apart they lie.
Nothing is computed here.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bench import units
from bench.analysis.estimates.remarks import unknown
from bench.analysis.estimates.sentences import bounded, sentence
from bench.analysis.figures.words import capital
from bench.metrics import CPU

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.analysis.estimates.ranking import Ranking, Standing
    from bench.metrics import Metric

MOST_NAMED = 2
"""Servers that a title names; of more it gives the number."""


def of_values(ranking: Ranking, metric: Metric) -> str:
    """Return the title of the values of a metric: best and worst where other figures rank it, else who is best."""
    standing = ranking.headline(metric)
    if standing is None:
        return f"{metric.title}: {unknown(ranking, metric)[0]}"
    shown = ranking.standing(metric, standing.best.workload)
    has_ratios = metric in (ranking.question, CPU)
    if not has_ratios or standing.is_overloaded or shown is None or shown.runner_up is None:
        return sentence(standing, ranking.sweep)
    ordered = sorted(shown.cells, key=lambda cell: cell.estimate.value, reverse=metric.larger_is_better)
    best, worst = (f"{bounded(metric, cell)} ({cell.server})" for cell in (ordered[0], ordered[-1]))
    where = ranking.sweep.phrase(standing.panel, standing.best.x)
    return f"{capital(metric.noun)} {where}: from {best} to {worst}"


def of_ratios(ranking: Ranking, metric: Metric) -> str:
    """Return the title of ratios along the loads: who leads where. It is that of a forest where there is one load."""
    standing = ranking.headline(metric)
    if standing is None or metric is not ranking.question:
        return metric.title if standing is None else sentence(standing, ranking.sweep)
    here = [
        one
        for one in ranking.choices[metric.column]
        if one.panel is standing.panel and not one.is_overloaded and one.runner_up is not None
    ]
    return _leaders(ranking, metric, here) if len(here) > 1 else of_forest(ranking, metric)


def _leaders(ranking: Ranking, metric: Metric, standings: Sequence[Standing]) -> str:
    """Say who leads at which of several loads of a panel, and where nobody is told from the next."""
    setting, panel = ranking.sweep.setting, standings[0].panel
    does = (ranking.sweep.open_loop and metric.claim_if_given) or metric.claim
    label = f" ({panel.label})" if panel.label else ""
    led: defaultdict[str, list[str]] = defaultdict(list)
    for standing in standings:
        led["" if standing.level_with else standing.best.server].append(setting.tick(standing.best.x))
    tied = led.pop("", [])
    whole = f"{setting.tick(standings[0].best.x)} to {setting.tick(standings[-1].best.x)} {setting.title}{label}"
    if not led:
        return f"No server alone {does} at any load, {whole}"
    if len(led) == 1 and not tied:
        return f"{next(iter(led))} {does} at every load, {whole}"
    first, *others = sorted(led, key=lambda server: -len(led[server]))
    parts = [f"{first} {does} at {units.listed(led[first])}"]
    parts += [f"{server} at {units.listed(led[server])}" for server in others]
    parts += [f"none alone at {units.listed(tied)}"] if tied else []
    return f"{'; '.join(parts)} {setting.title}{label}"


def of_forest(ranking: Ranking, metric: Metric) -> str:
    """Return the title of ratios as rows: who is ahead of the baseline and who behind it, at the load of all titles."""
    standing = ranking.headline(metric)
    if standing is None or standing.is_overloaded or standing.baseline != ranking.baseline:
        return metric.title if standing is None else sentence(standing, ranking.sweep)
    servers = [cell.server for cell in standing.cells if cell.server != standing.baseline]
    ahead, behind = (
        [server for server in servers if _is_beyond(ranking, standing, server, ahead=side)] for side in (True, False)
    )
    level = [server for server in servers if server not in (*ahead, *behind)]
    where = ranking.sweep.phrase(standing.panel, standing.best.x)
    parts = [f"{_who(ahead) or 'No server is'} ahead of {standing.baseline} {where}"]
    parts += [f"{_who(behind)} behind"] if behind else []
    parts += [f"{_who(level)} not told from it"] if level else []
    return "; ".join(parts)


def _is_beyond(ranking: Ranking, standing: Standing, server: str, *, ahead: bool) -> bool:
    """Whether the ratio of a server to the baseline shows that it is ahead, or behind; a bound shows one side only."""
    metric = standing.metric
    ratio = ranking.ratios.get((metric.column, standing.best.workload, server))
    if ratio is None or (standing.baseline if ahead else server) in ratio.limited:
        return False
    return ratio.estimate.low > 1 if ahead is metric.larger_is_better else ratio.estimate.high < 1


def _who(servers: Sequence[str]) -> str:
    """Name a few servers with their verb, or count them; empty if there is none."""
    if not servers:
        return ""
    named = units.listed(servers) if len(servers) <= MOST_NAMED else units.plural(len(servers), "server")
    return f"{named} {'is' if len(servers) == 1 else 'are'}"
