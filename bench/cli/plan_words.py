"""What a plan would measure, and how long that takes, in words. Nothing is measured, and nothing is read."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from bench import units

if TYPE_CHECKING:
    from collections.abc import Collection

    from rich.console import Console

    from bench.experiment.planning.plan import Plan
    from bench.experiment.planning.threshold_table import ThresholdTable

MINUTE_S = 60.0
OVERHEAD_S = 0.5
"""About how much longer a trial takes than its load. Only the estimate of the whole time uses it."""


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
    console.print(f"{amount(plan)}, seed {plan.seed}.")
    for threshold in thresholds:
        console.print(f"It fails if {threshold.words}.", soft_wrap=True)


def amount(plan: Plan, done: Collection[int] = ()) -> str:
    """Say how much there is to measure, and roughly how long that takes."""
    ends = [] if plan.until is None else [f"until every ratio is known to within {units.share(plan.until)}"]
    if plan.minutes is not None:
        ends.append(f"for {plan.minutes:g} min")
    if not plan.is_endless:
        ends.append(_trials(plan, done))
    return ", or ".join(reversed(ends))


def _trials(plan: Plan, done: Collection[int]) -> str:
    blocks = [block for block in plan.blocks() if any(trial.number not in done for trial in block.trials)]
    seconds = sum(
        OVERHEAD_S + trial.workload.warmup_s + trial.workload.duration_s for block in blocks for trial in block.trials
    )
    time = f"about {units.duration(1e9 * seconds)}" if seconds < MINUTE_S else f"about {seconds / MINUTE_S:.0f} min"
    return f"{units.plural(sum(len(block.trials) for block in blocks), 'trial')}, {time}"
