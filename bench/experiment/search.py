"""The experiment of `search`: the highest offered load that a server carries within a latency objective. Pure.

Rates grow by a factor until one is missed, then the gap is halved in the logarithm until it is as narrow as asked. A
rate is kept or missed by the majority of its trials, because one trial in a noisy minute proves little either way.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from bench import units
from bench.errors import MeasurementError
from bench.experiment.doubts import Doubt
from bench.experiment.model import Block, Experiment, News, Results, Status, Stop, Trial

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.experiment.model import Server, StopReason, TrialResult
    from clients.workload import Workload

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


class Rating(StrEnum):
    """How one trial at one rate went."""

    KEPT = "kept"
    MISSED = "missed"
    GENERATOR = "generator was the limit"


_SAYS_NOTHING = (Status.NOT_READY, Status.GENERATOR_FAILED, Status.WRONG_ECHO)
"""A trial that ended so says nothing about a rate: the next one would end so too."""


def rated(result: TrialResult, objective: Objective) -> Rating:
    """Say whether a trial kept the objective; a percentile that too few samples support is not kept.

    Raises MeasurementError for a trial that says nothing about its rate, such as one whose server did not start.
    """
    if result.status in _SAYS_NOTHING:
        raise MeasurementError(f"the search cannot go on, a trial was {result.status}: {result.detail}")
    if result.status is not Status.MEASURED:
        return Rating.MISSED
    metrics: Mapping[str, Any] = result.metrics
    latency_ns = metrics.get(objective.metric)
    reached = metrics["replies_per_s"] >= ACHIEVED_SHARE * metrics["offered_per_s"]
    if reached and not metrics["errors"] and latency_ns is not None and latency_ns <= objective.limit_ns:
        return Rating.KEPT
    return Rating.GENERATOR if Doubt.GENERATOR_SATURATED in result.doubts else Rating.MISSED


@dataclass(slots=True, kw_only=True)
class Bracket:
    """Where a search stands: `kept_per_s` was kept, `missed_per_s` was not; None while there is no such rate.

    `precision` is how near to each other the two must come, 0.05 being 5 %.
    """

    first_per_s: float
    precision: float = 0.05
    trials: int = 3
    least_per_s: float = 1.0
    kept_per_s: float | None = None
    missed_per_s: float | None = None
    limited_by_generator: bool = False
    _votes: Counter[Rating] = field(default_factory=Counter)

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

    def tell(self, rating: Rating) -> bool:
        """Take how one trial went at `next_per_s`; return whether that rate is now decided."""
        rate = self.next_per_s
        assert rate is not None
        self._votes[rating] += 1
        majority = self.trials // 2 + 1
        kept = self._votes[Rating.KEPT]
        missed = self._votes.total() - kept
        if max(kept, missed) < majority:
            return False
        if kept >= majority:
            self.kept_per_s = rate
        else:
            self.missed_per_s = rate
            self.limited_by_generator = self._votes[Rating.GENERATOR] >= majority
        self._votes.clear()
        return True


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe(News):
    """One trial of a search, told as it ends."""

    rate_per_s: float
    result: TrialResult
    objective: Objective
    rating: Rating

    @property
    def lines(self) -> list[str]:
        """The rate, what was seen of the objective, and how the trial went."""
        latency_ns = self.result.metrics.get(self.objective.metric)
        shown = "unknown" if latency_ns is None else units.duration(latency_ns)
        reason = f" ({self.result.detail.splitlines()[0]})" if self.result.detail else ""
        return [f"{units.rate(self.rate_per_s):>12}  {self.objective.percentile} {shown:>9}  {self.rating}{reason}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search found, after so many trials; `stopped` says why it ended before it was over, if it did."""

    bracket: Bracket
    trials: int
    stopped: StopReason | None = None


def search(server: Server, workload: Workload, objective: Objective, bracket: Bracket) -> Experiment[Found]:
    """Ask for trials of `workload` at one rate after another, until the bracket is as narrow as it is to be.

    The seed of each trial is that of the workload, plus its number. Raises MeasurementError for a trial that says
    nothing about its rate.
    """
    number, stopped = 0, None
    try:
        while (rate_per_s := bracket.next_per_s) is not None:
            number += 1
            asked = workload.replace(rate_per_s=rate_per_s, seed=workload.seed + number)
            trial = Trial(number=number, round=number, server=server, workload_name="search", workload=asked)
            results: Results = yield Block(trials=(trial,))
            rating = rated(results[0], objective)
            bracket.tell(rating)
            yield Probe(rate_per_s=rate_per_s, result=results[0], objective=objective, rating=rating)
    except Stop as stop:
        number, stopped = number - 1, stop.reason
    return Found(bracket=bracket, trials=number, stopped=stopped)
