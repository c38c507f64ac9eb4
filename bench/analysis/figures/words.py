"""The words of a figure: its title, how to read it as subtitle, what is missing as notes. Draws nothing."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from bench import units
from bench.analysis.estimates.cells import LEVEL
from bench.analysis.estimates.remarks import pairings
from bench.analysis.figures.canvas import Words

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.analysis.estimates.cells import Cell, Setting
    from bench.analysis.estimates.ranking import Ranking
    from bench.metrics import Metric


def metric_words(ranking: Ranking, metric: Metric, title: str, *, upwards: bool = True) -> Words:
    """Return the words of a figure that shows one metric of every cell. More is `upwards`, or else to the right."""
    found = ranking.cells[metric.column]
    notes = _notes(found, ranking, arrow="\N{UPWARDS ARROW}" if upwards else "\N{RIGHTWARDS ARROW}")
    return Words(
        title=title,
        subtitle=" ".join([f"{capital(metric.axis)}.", *shared_load(ranking), _reading(found)]),
        notes=tuple(notes),
    )


def ratio_words(ranking: Ranking, metric: Metric, title: str, shown: Iterable[Cell], *, upwards: bool) -> Words:
    """Return the words of a figure that shows ratios of a metric to the baseline, of some cells."""
    keys = [(metric.column, cell.workload, cell.server) for cell in shown]
    ratios = [ranking.ratios[key] for key in keys if key in ranking.ratios]
    level = units.share(LEVEL)
    unit = " or ".join(sorted({ratio.pairing.unit for ratio in ratios if ratio.values}))
    better = "more is better" if metric.larger_is_better else "less is better"
    arrow = "\N{UPWARDS ARROW}" if upwards else "\N{RIGHTWARDS ARROW}"
    notes = []
    if held := sorted({ratio.server for ratio in ratios if ratio.is_lower_bound}):
        notes.append(f"{arrow}  At least this much, since the load generator was the limit: {units.listed(held)}.")
    if any(ranking.baseline in ratio.limited for ratio in ratios):
        notes.append(
            f"The load generator was the limit with {ranking.baseline} too: the true ratios to it are not known."
        )
    return Words(
        title=title,
        subtitle=" ".join(
            [
                f"{capital(metric.noun)} as a ratio to that of {ranking.baseline}: {better}.",
                *shared_load(ranking),
                f"Ratios {pairings(ratios)}; bar: {level} interval, dot: one {unit}.",
            ]
        ),
        notes=tuple(notes),
    )


def shared_load(ranking: Ranking) -> list[str]:
    """Say what all workloads of a run share, as a sentence if there is anything."""
    return [f"{capital(ranking.sweep.shared)}."] if ranking.sweep.shared else []


def capital(text: str) -> str:
    """Write the first letter large and leave the others alone."""
    return text[:1].upper() + text[1:]


def trials_behind(found: Sequence[Cell]) -> str:
    """Say on how many trials a cell's number stands: `5 trials`, `3 to 5 trials`, `a single trial`."""
    counts = sorted({cell.measured for cell in found if not cell.missing}) or [0]
    if counts == [1]:
        return "a single trial"
    return f"{counts[0]} trials" if len(counts) == 1 else f"{counts[0]} to {counts[-1]} trials"


def _reading(found: Sequence[Cell]) -> str:
    if not any(cell.estimate.bounded for cell in found):
        return f"Point: {trials_behind(found)}, so there is no interval."
    level = units.share(found[0].estimate.level)
    return f"Point: geometric mean of {trials_behind(found)}; bar: {level} interval; dot: one trial."


def places(found: Iterable[Cell], setting: Setting, *, why: bool = False) -> str:
    """Say where cells stand: `threads at 1 and 16; trio at 16 connections`, with `why` their statuses too."""
    by_server: defaultdict[str, list[str]] = defaultdict(list)
    for cell in found:
        reason = f" ({units.listed(cell.statuses) if cell.statuses else 'not known'})" if why else ""
        by_server[f"{cell.server}{reason}"].append(setting.tick(cell.x))
    return f"{'; '.join(f'{who} at {units.listed(at)}' for who, at in by_server.items())} {setting.title}"


def _notes(found: Sequence[Cell], ranking: Ranking, *, arrow: str) -> Iterable[str]:
    """Say which cells have no number, and which are only a lower bound, at which loads."""
    setting = ranking.sweep.setting
    if missing := [cell for cell in found if cell.missing]:
        yield f"\N{MULTIPLICATION SIGN}  No number: {places(missing, setting, why=True)}."
    if bounded := [cell for cell in found if cell.lower_bound]:
        limit = "At least this much, since the load generator was the limit"
        yield f"{arrow}  {limit}: {places(bounded, setting)}."
