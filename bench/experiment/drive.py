"""The experiment: every trial of a plan in its order, each kept the moment it ends. No process, clock or file here.

A trial that fails is a result with a status, and the run goes on; an interrupt ends the run, and what was measured
stays.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from bench.errors import BenchError
from bench.experiment.model import Measure, Status, Trial, TrialResult

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from bench.experiment.planning.plan import Plan


class Watcher(Protocol):
    """Who is told how far the run is. It may print; it cannot change anything."""

    def began(self, trial: Trial) -> None:
        """Hear of a trial that begins."""

    def ended(self, result: TrialResult) -> None:
        """Hear how a trial ended."""


@dataclass(slots=True)
class Tally:
    """How a run went: trials by status, the sum of their windows, and whether a person stopped it."""

    statuses: dict[Status, int] = field(default_factory=dict)
    window_s: float = 0.0
    was_interrupted: bool = False

    def add(self, status: Status, window_s: float | None) -> None:
        """Count one trial."""
        self.statuses[status] = self.statuses.get(status, 0) + 1
        self.window_s += window_s or 0.0

    @property
    def is_whole(self) -> bool:
        """Whether trials were measured, and all of them, those apart that cannot be here."""
        return not self.was_interrupted and set(self.statuses) | {Status.SKIPPED} == {Status.MEASURED, Status.SKIPPED}


def run(
    plan: Plan,
    measure: Measure,
    save: Callable[[TrialResult], None],
    watcher: Watcher,
    done: Collection[int] = (),
) -> Tally:
    """Measure every trial of the plan that is not `done` (numbers of an earlier, interrupted run) and save its result.

    What will not be measured is saved first, with its reason. On KeyboardInterrupt returns what there is by then.
    """
    tally = Tally()
    try:
        for gap in plan.gaps():
            if gap.trial.number not in done:
                _keep(gap, save, watcher, tally)
        for trial in plan.trials():
            if trial.number not in done:
                watcher.began(trial)
                _keep(_measured(measure, trial), save, watcher, tally)
    except KeyboardInterrupt:
        tally.was_interrupted = True
    return tally


def _measured(measure: Measure, trial: Trial) -> TrialResult:
    """Return the result of a trial. What makes it fail, makes only it fail."""
    try:
        return measure(trial)
    except (BenchError, OSError) as error:
        return TrialResult(trial=trial, status=Status.GENERATOR_FAILED, detail=f"the trial failed: {error}")


def _keep(result: TrialResult, save: Callable[[TrialResult], None], watcher: Watcher, tally: Tally) -> None:
    save(result)
    tally.add(result.status, result.metrics.get("window_s"))
    watcher.ended(result)
