"""The experiment of `run`: every block of a plan, in seeded shuffled rounds. Pure: `drive` does what it asks."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from itertools import chain, pairwise
from typing import TYPE_CHECKING

from bench.experiment.model import Experiment, Known, Results, Status, Stop, StopReason
from bench.experiment.precision import Measured, Narrowed, Precision

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from bench.experiment.model import Block, TrialResult
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


def rounds(plan: Plan, done: Collection[int] = (), earlier: Iterable[Sequence[Measured]] = ()) -> Experiment[Tally]:
    """Ask for every block of the plan of which a trial is not `done`: the numbers that an earlier run measured.

    `earlier` has what the blocks of that run say about precision; a plan with an `until` goes on from there.

    The gaps of the plan count as trials that were not measured. A trial that fails is counted, and the run goes on. A
    plan with an `until` ends after the round in which every ratio has become that narrow.
    """
    tally = Tally()
    tally.add((yield Known(tuple(gap for gap in plan.gaps() if gap.trial.number not in done))))
    precision = None if plan.until is None or plan.baseline is None else Precision(plan.baseline, earlier)
    round_number = 1
    try:
        for block in _foreseen(plan.blocks(done)):
            if precision is not None and block.trials[0].round > round_number:
                round_number = block.trials[0].round
                yield Narrowed(round_number - 1, precision.widest)
                if precision.widest <= (plan.until or 0.0):
                    break
            results: Results = yield block
            tally.add(results)
            if precision is not None:
                precision.add(Measured.of(results))
    except Stop as stop:
        tally.was_interrupted = stop.reason is StopReason.INTERRUPTED
    return tally


def _foreseen(blocks: Iterable[Block]) -> Iterator[Block]:
    """Yield blocks, each with the trials of the one after it."""
    for block, after in pairwise(chain(blocks, [None])):
        assert block is not None
        yield block if after is None else replace(block, following=after.trials)
