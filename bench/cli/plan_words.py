"""What a plan would measure, and how long that takes, in words. Nothing is measured, and nothing is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench import units
from bench.cli.columns import Column, joined
from bench.cli.terminal import beside, tell
from bench.experiment.planning.extent import Extent

if TYPE_CHECKING:
    from collections.abc import Collection

    from rich.console import Console

    from bench.experiment.planning.plan import Plan
    from bench.experiment.planning.threshold_table import ThresholdTable

MINUTE_S = 60.0


def describe(plan: Plan, thresholds: Collection[ThresholdTable], console: Console) -> None:
    """Say what a plan would measure, and what would make it end with a failure."""
    gaps = {gap.trial.cell: gap.detail for gap in plan.gaps()}
    alive = {(server.name, named.name) for group, named in plan.groups if len(group) > 1 for server in group}
    cells = plan.cells()
    workloads, servers = [named.name for _, named in cells], [server.name for server, _ in cells]
    names = joined([Column("workload", workloads), Column("server", servers)])
    console.print(names.title, markup=False, soft_wrap=True)
    for (server, named), lead in zip(cells, names.cells, strict=True):
        cell = server.name, named.name
        in_a_round = named.blocks_per_round if cell in alive else 1
        said = [] if plan.is_endless else [units.plural(plan.rounds * in_a_round, "trial")]
        said += ["in blocks" if cell in alive else "solo"]
        console.print(beside(f"{lead}  ", gaps.get(cell, ", ".join(said))), markup=False, soft_wrap=True)
    tell(console, f"{amount(Extent.of(plan))}, seed {plan.seed}.")
    for threshold in thresholds:
        tell(console, f"It fails if {threshold.words}.")


def amount(extent: Extent) -> str:
    """Say how much there is to measure, and roughly how long that takes."""
    ends = [] if extent.until is None else [f"until every ratio is known to within {units.share(extent.until)}"]
    if extent.limit_s is not None:
        ends.append(f"for {extent.limit_s / MINUTE_S:g} min")
    if extent.trials is not None:
        ends.append(f"{units.plural(extent.trials, 'trial')}, {_time(extent.expected_s or 0.0)}")
    return ", or ".join(reversed(ends))


def _time(seconds: float) -> str:
    return f"about {units.duration(1e9 * seconds)}" if seconds < MINUTE_S else f"about {seconds / MINUTE_S:.0f} min"
