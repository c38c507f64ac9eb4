"""The experiment of `run`: every trial of a plan, in seeded shuffled rounds. Pure: `drive` does what it asks."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.experiment.model import Block, Experiment, Results, Status, Stop, StopReason

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from bench.experiment.model import TrialResult
    from bench.experiment.planning.plan import Plan


@dataclass(slots=True)
class Tally:
    """How a run went: trials by status, the sum of their windows in seconds, and whether a person stopped it."""

    statuses: dict[Status, int] = field(default_factory=dict)
    window_s: float = 0.0
    was_interrupted: bool = False

    def add(self, results: Iterable[TrialResult]) -> None:
        """Count trials."""
        for result in results:
            self.statuses[result.status] = self.statuses.get(result.status, 0) + 1
            self.window_s += result.metrics.get("window_s") or 0.0

    @property
    def is_whole(self) -> bool:
        """Whether trials were measured, and all of them, those apart that cannot be here."""
        return not self.was_interrupted and set(self.statuses) | {Status.SKIPPED} == {Status.MEASURED, Status.SKIPPED}


def rounds(plan: Plan, done: Collection[int] = ()) -> Experiment[Tally]:
    """Ask for every trial of the plan that is not `done`: the numbers that an earlier, interrupted run measured.

    The gaps of the plan count as trials that were not measured. A trial that fails is counted, and the run goes on.
    """
    tally = Tally()
    tally.add(gap for gap in plan.gaps() if gap.trial.number not in done)
    try:
        for trial in plan.trials():
            if trial.number not in done:
                results: Results = yield Block(trials=(trial,))
                tally.add(results)
    except Stop as stop:
        tally.was_interrupted = stop.reason is StopReason.INTERRUPTED
    return tally
