"""The highest offered load that a server carries within a latency objective: a search by open-loop trials.

A state machine that is told how each probe went and says what to probe next; it touches neither clock nor socket, so a
test drives it with a made-up server. Rates grow by a factor until one fails, then the gap is halved in the logarithm
until it is as narrow as asked. A rate passes or fails by the majority of its trials, because one trial in a noisy
minute proves little either way.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from bench.experiment.model import Status
from bench.experiment.trial.doubts import Doubt

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.experiment.model import TrialResult

GROWTH = 2.0
ACHIEVED_SHARE = 0.99


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What a rate must keep to pass: a percentile of the response time, no failures, and the offered load reached."""

    percentile: str = "p99"
    limit_ns: float

    @property
    def metric(self) -> str:
        """The column that the limit is about."""
        return f"response_{self.percentile}_ns"


class Outcome(StrEnum):
    """How one trial at one rate went."""

    KEPT = "kept"
    MISSED = "missed"
    GENERATOR = "generator was the limit"


def judge(result: TrialResult, objective: Objective) -> Outcome:
    """Say whether a trial kept the objective; a percentile that too few samples support is not kept."""
    if result.status is not Status.MEASURED:
        return Outcome.MISSED
    metrics: Mapping[str, Any] = result.metrics
    latency_ns = metrics.get(objective.metric)
    reached = metrics["replies_per_s"] >= ACHIEVED_SHARE * metrics["offered_per_s"]
    if reached and not metrics["errors"] and latency_ns is not None and latency_ns <= objective.limit_ns:
        return Outcome.KEPT
    return Outcome.GENERATOR if Doubt.GENERATOR_SATURATED in result.doubts else Outcome.MISSED


@dataclass(slots=True, kw_only=True)
class Search:
    """Where the search stands: `kept_per_s` passed, `missed_per_s` did not; None while there is no such rate.

    `precision` is how near to each other the two must come, 0.05 being 5 %.
    """

    first_per_s: float
    precision: float = 0.05
    trials: int = 3
    least_per_s: float = 1.0
    kept_per_s: float | None = None
    missed_per_s: float | None = None
    limited_by_generator: bool = False
    _votes: Counter[Outcome] = field(default_factory=Counter)

    @property
    def next_per_s(self) -> float | None:
        """The rate to probe next; None when the search is over."""
        if self.kept_per_s is None and self.missed_per_s is None:
            return self.first_per_s
        if self.missed_per_s is None:
            assert self.kept_per_s is not None
            return self.kept_per_s * GROWTH
        if self.kept_per_s is None:
            lower = self.missed_per_s / GROWTH
            return lower if lower >= self.least_per_s else None
        if self.missed_per_s / self.kept_per_s <= 1 + self.precision:
            return None
        return math.sqrt(self.kept_per_s * self.missed_per_s)

    def tell(self, outcome: Outcome) -> bool:
        """Take the outcome of one trial at `next_per_s`; return whether that rate is now decided."""
        rate = self.next_per_s
        assert rate is not None
        self._votes[outcome] += 1
        majority = self.trials // 2 + 1
        kept = self._votes[Outcome.KEPT]
        missed = self._votes.total() - kept
        if max(kept, missed) < majority:
            return False
        if kept >= majority:
            self.kept_per_s = rate
        else:
            self.missed_per_s = rate
            self.limited_by_generator = self._votes[Outcome.GENERATOR] >= majority
        self._votes.clear()
        return True


def run(search: Search, probe: Callable[[float], TrialResult], objective: Objective) -> list[tuple[float, TrialResult]]:
    """Probe until the search is over; return every trial with its rate, in order."""
    trials = []
    while (rate := search.next_per_s) is not None:
        result = probe(rate)
        trials.append((rate, result))
        search.tell(judge(result, objective))
    return trials
