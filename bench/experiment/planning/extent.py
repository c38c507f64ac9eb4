"""How much of a plan there is to measure, and about how long that takes. Pure. Its words belong to the command line."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bench.experiment.planning.plan import Plan

OVERHEAD_S = 0.5
"""About how much longer a trial takes than its load. Only the estimate of the whole time uses it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much is to be measured: `trials` that ask for `loads_s` seconds of load, in `limit_s` seconds at most.

    All that is expected to take `expected_s` seconds. It ends before if every ratio is known to within the fraction
    `until`. None is a number that does not end the run. `servers` has those of each workload, in their order.
    """

    servers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    trials: int | None = None
    loads_s: float | None = None
    expected_s: float | None = None
    limit_s: float | None = None
    until: float | None = None

    @classmethod
    def of(cls, plan: Plan, done: Collection[int] = ()) -> Self:
        """Return what of a plan is left, if the trials of the numbers `done` are measured."""
        servers: dict[str, list[str]] = {}
        for server, named in plan.measured_cells():
            servers.setdefault(named.name, []).append(server.name)
        limit_s = None if plan.minutes is None else 60 * plan.minutes
        if plan.is_endless:
            return cls(servers=servers, limit_s=limit_s, until=plan.until)
        left = list(plan.blocks(done))
        trials, loads_s = sum(len(block.trials) for block in left), sum(block.loads_s for block in left)
        expected_s = loads_s + OVERHEAD_S * trials
        return cls(
            servers=servers, trials=trials, loads_s=loads_s, expected_s=expected_s, limit_s=limit_s, until=plan.until
        )
