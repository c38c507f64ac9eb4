"""What is said beside ratios: what was divided by what, who was measured solo, how the machine wandered.

The terminal and the page say it alike, so it stands here, in sentences. Computes nothing.
"""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING

from bench import metrics, units
from bench.analysis.estimates.cells import LEVEL
from bench.analysis.estimates.ratios import Pairing
from bench.metrics import P50, P99, THROUGHPUT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bench.analysis.estimates.cells import Cell
    from bench.analysis.estimates.ranking import Ranking
    from bench.analysis.estimates.ratios import Ratio
    from bench.analysis.estimates.wander import Wander
    from bench.analysis.runs.run_folder import Run
    from bench.metrics import Metric

LEVEL_SIGN = "\N{ALMOST EQUAL TO}"
"""Marks a server that is not told from the one above it."""

LEVEL_WHY = "the interval of their ratio holds 1, or its number is only a lower bound"
"""Why two servers are not told apart."""

BY_RATIO = "Rows stand in the order of their ratios, in which what the machine did cancels."
"""Said where the order of the means is another."""

TEACHING = "Grey: it shows a model or a limit. It is there to learn from, and not to be chosen for a service."
"""Said where servers that teach are shown."""


def relative(ranking: Ranking, metric: Metric, cell: Cell) -> str:
    """Write the ratio of a cell to the baseline with its interval, and nothing where there is none to compare.

    The baseline itself is called so. The throughput of an offered load is no result: the share that was answered is.
    """
    if metric is THROUGHPUT and (load := ranking.carried.get(cell.workload)) is not None:
        return f"{units.share(load.shares[cell.server])} answered" if cell.server in load.shares else ""
    if cell.server == ranking.baseline:
        return "baseline" if ranking.ratios else ""
    ratio = ranking.ratios.get((metric.column, cell.workload, cell.server))
    return "" if ratio is None or not ratio.values else units.estimate(ratio.estimate, units.ratio)


def unknown(ranking: Ranking, metric: Metric) -> tuple[str, str]:
    """Say in a few words why no server has a number of a metric, and in a sentence what to do."""
    if not any(cell.measured for cell in ranking.cells[metric.column]):
        return "no trial could be measured", "The failed trials below say why."
    if metric in (P50, P99):
        cure = "Measure for longer (--duration) or at a higher rate. The table has what is known."
        return "too few replies in every trial", cure
    return "not known of any server", "The table has what is known."


def trials(cell: Cell) -> str:
    """Write how many trials were measured, of how many, and whether they were measured solo."""
    number = str(cell.trials) if cell.measured == cell.trials else f"{cell.measured} of {cell.trials}"
    return f"{number} solo" if cell.solo else number


def comparison(ranking: Ranking) -> list[str]:
    """Say what the ratios of a run are to, and what they are made of; nothing if there is none to compare."""
    if not ranking.ratios:
        return []
    level = units.share(LEVEL)
    said = [f"Ratios are to {ranking.baseline}, with {level} intervals: {pairings(ranking.ratios.values())}."]
    other = sorted({standing.baseline for standing in ranking.standings[ranking.question.column]} - {ranking.baseline})
    if other:
        said.append(
            f"Where {ranking.baseline} has no number, servers are ranked by their ratio to {units.listed(other)}."
        )
    sign = f"{LEVEL_SIGN} marks a server that is not told from the one above it: {LEVEL_WHY}."
    return [*said, sign, *_order(ranking), *_solo(ranking)]


def load_made(run: Run) -> str:
    """Say how many agents made each load and whether it passed a network; nothing if one generator made it here."""
    load = run.info.get("load") or {}
    network = "passed a network" if load.get("over_network") else ""
    agents = load.get("agents") or run.agents["agent"].nunique()
    if not agents:
        return f"The load {network}." if network else ""
    made = f"{units.plural(agents, 'agent')} {'made' if agents == 1 else 'shared'} each load"
    return f"{made}, which {network}." if network else f"{made}."


def sharpness(ranking: Ranking) -> list[str]:
    """Say per workload how narrow the ratios are: half of the interval's width on the log scale, over the servers."""
    lines = []
    for workload in dict.fromkeys(workload for _, workload, _ in ranking.ratios):
        said = []
        for metric in metrics.WATCHED:
            found = [ratio.estimate for (*key, _), ratio in ranking.ratios.items() if key == [metric.column, workload]]
            halves = [math.log(one.high / one.low) / 2 for one in found if one.bounded]
            if halves:
                middle, widest = units.share(statistics.median(halves)), units.share(max(halves))
                said.append(f"{metric.noun} {middle} (widest {widest})")
        if said:
            lines.append(f"Half width of the ratios at {workload}, median over servers: {', '.join(said)}.")
    return lines


def pairings(ratios: Iterable[Ratio]) -> str:
    """Say what was divided by what: `by slices of the same pass over 8 blocks`, and what else if some are of others."""
    counts: dict[Pairing, set[int]] = {}
    for ratio in ratios:
        if ratio.values:
            counts.setdefault(ratio.pairing, set()).add(len(ratio.values))
    return ", else ".join(
        f"by {pairing.of} over {_number(counts[pairing], pairing.unit)}" for pairing in Pairing if pairing in counts
    )


def _number(counts: set[int], unit: str) -> str:
    low, high = min(counts), max(counts)
    return units.plural(high, unit) if low == high else f"{low} to {units.plural(high, unit)}"


def _order(ranking: Ranking) -> list[str]:
    """Say which rows stand below one whose mean is worse, since rows are placed by their ratios; nothing if none."""
    surprising = [
        f"{cell.server} {ranking.sweep.phrase(standing.panel, cell.x)}"
        for standing in ranking.standings[ranking.question.column]
        for cell in standing.out_of_order
    ]
    if not surprising:
        return []
    return [f"{BY_RATIO} So the row above has a worse mean, but a better ratio: {units.listed(surprising)}."]


def _solo(ranking: Ranking) -> list[str]:
    """Say which servers were measured solo, and what follows; nothing if none was."""
    cells = [cell for cell in ranking.cells[THROUGHPUT.column] if cell.measured]
    solo = sorted({cell.server for cell in cells if cell.solo})
    if not solo:
        return []
    if all(cell.solo == cell.measured for cell in cells):
        return ["All trials were measured solo, one after the other, so ratios are less precise than those of slices."]
    alone = f"{units.listed(solo)} {'was' if len(solo) == 1 else 'were'} measured solo"
    return [f"{alone}, not in slices beside the others, so ratios to and from there are less precise."]


def wandering(found: Wander | None) -> str:
    """Say in a line how much the machine wandered; nothing if it cannot be known."""
    if found is None:
        return ""
    across = "" if math.isnan(found.across) else f", and {units.ratio(found.across)} times between blocks"
    return (
        f"The machine wandered: the {found.metric.noun} of {found.server} varied {units.ratio(found.within)} times"
        f" within a block{across} (90th over 10th percentile of its slices)."
    )
