"""The ranking of a run with its ratios to another baseline, for a reader who asks what the others are to that one.

Order, values and who is told from whom do not depend on the baseline, so they stay. Only ratios are made, by `Ratios`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.analysis.estimates.ranking import Ranking, Standing
    from bench.analysis.estimates.ratios import Ratios

MOST_BASELINES = 8
"""Baselines that a page offers. Each is a figure of its own, so more would make it heavy."""


def to_other_baselines(ranking: Ranking) -> Iterator[Ranking]:
    """Yield the ranking with the ratios of what the run asks to each of its other servers, in the order of their names.

    Beyond `MOST_BASELINES`, the baseline among them, they are those that lead where the title speaks of. Those that one
    would use come before those that teach.
    """
    metric = ranking.question
    headline = ranking.headline(metric)
    titled = None if headline is None else ranking.standing(metric, headline.best.workload)
    if titled is None:
        return
    leading = sorted((cell.server for cell in titled.cells), key=lambda server: server in ranking.teaching)
    others = [server for server in leading if server != ranking.baseline][: MOST_BASELINES - 1]
    pairs = ranking.pairs
    for baseline in sorted(others):
        standings, choices = (
            {**by_metric, metric.column: tuple(_rebased(one, baseline, pairs) for one in by_metric[metric.column])}
            for by_metric in (ranking.standings, ranking.choices)
        )
        yield replace(ranking, baseline=baseline, standings=standings, choices=choices)


def _rebased(standing: Standing, baseline: str, ratios: Ratios) -> Standing:
    workload = standing.best.workload
    found = tuple(ratios.of(standing.metric, workload, cell.server, baseline) for cell in standing.cells)
    return replace(standing, baseline=baseline, ratios=found)
