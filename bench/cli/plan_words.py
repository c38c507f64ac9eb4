"""What a plan would measure, and how long that takes, in words. Nothing is measured, and nothing is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from bench import units
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
    table = Table("workload", "server", "", box=None, pad_edge=False)
    beside = {(server.name, named.name) for group, named in plan.groups if len(group) > 1 for server in group}
    for server, named in plan.cells():
        cell = server.name, named.name
        in_a_round = named.blocks_per_round if cell in beside else 1
        said = [] if plan.is_endless else [units.plural(plan.rounds * in_a_round, "trial")]
        said += ["in blocks" if cell in beside else "solo"]
        table.add_row(named.name, server.name, gaps.get(cell, ", ".join(said)))
    console.print(table)
    console.print(f"{amount(Extent.of(plan))}, seed {plan.seed}.")
    for threshold in thresholds:
        console.print(f"It fails if {threshold.words}.", soft_wrap=True)


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
