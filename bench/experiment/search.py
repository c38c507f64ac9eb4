"""The experiment of `search`: the highest offered load that a server carries within a latency objective. Pure.

Rates grow by a factor until one is missed, then the gap is halved in the logarithm until it is as narrow as asked. A
rate is kept or missed by the majority of its trials, because one trial in a noisy minute proves little either way. If
the majority says nothing about its rate, the search ends there: what is unknown is not missed.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any, NamedTuple

from bench import units
from bench.errors import MeasurementError
from bench.experiment.doubts import Doubt
from bench.experiment.model import Block, Experiment, News, Results, Status, Stop, Trial
from clients.histogram import samples_needed

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.experiment.model import Server, StopReason, TrialResult
    from clients.workload import Workload

GROWTH = 2.0
ANSWERED_SHARE = 0.99
"""An offered load is carried if so much of it is answered within the window."""

STUCK = 5.0
"""Beyond three times what is expected, so many requests may be in flight at the end, and so many standard deviations.

What is expected follows from the mean response time of the requests that were answered.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What a rate must keep to pass: a percentile of the response time, no failures, and the offered load reached."""

    percentile: str = "p99"
    limit_ns: float

    @property
    def metric(self) -> str:
        """The column that the limit is about."""
        return f"response_{self.percentile}_ns"

    def least_rate_per_s(self, window_s: float) -> float:
        """Return the lowest rate at which a window has enough requests for the percentile, whatever chance does."""
        needed = samples_needed(float(f"0.{self.percentile[1:]}"))
        return (needed + 3 * math.sqrt(needed)) / window_s


class Rating(StrEnum):
    """How one trial at one rate went. UNKNOWN: it says nothing about its rate, and a lower one would not help."""

    KEPT = "kept"
    MISSED = "missed"
    GENERATOR = "generator was the limit"
    UNKNOWN = "says nothing"


class Rated(NamedTuple):
    """A rating, and why it is no other; empty if the objective was kept."""

    rating: Rating
    why: str = ""


_ENDS_THE_SEARCH = (Status.NOT_READY, Status.GENERATOR_FAILED, Status.WRONG_ECHO)
"""A trial that ended so says nothing about a rate: the next one would end so too."""


def rated(result: TrialResult, objective: Objective) -> Rated:
    """Say whether a trial kept the objective, or whether it says nothing about that.

    Raises MeasurementError for a trial after which no other would do better, such as one whose server did not start.
    """
    if result.status in _ENDS_THE_SEARCH:
        raise MeasurementError(f"the search cannot go on, a trial was {result.status}: {result.detail}")
    if result.status is not Status.MEASURED:
        return Rated(Rating.UNKNOWN, result.detail or str(result.status))
    metrics: Mapping[str, Any] = result.metrics
    if why := _missed(metrics, objective):
        return Rated(Rating.GENERATOR if Doubt.GENERATOR_SATURATED in result.doubts else Rating.MISSED, why)
    why = _unknown(metrics, objective)
    return Rated(Rating.UNKNOWN if why else Rating.KEPT, why)


def _missed(metrics: Mapping[str, Any], objective: Objective) -> str:
    """Say why a trial missed the objective; empty if nothing shows that it did."""
    latency_ns = metrics.get(objective.metric)
    if latency_ns is not None and latency_ns > objective.limit_ns:
        return f"{objective.percentile} above the limit"
    if _connections_missing(metrics):
        return ""
    if metrics["replies_per_s"] < ANSWERED_SHARE * metrics["offered_per_s"]:
        return f"{units.share(metrics['replies_per_s'] / metrics['offered_per_s'])} answered in time"
    return units.plural(metrics["errors"], "failed request") if metrics["errors"] else ""


def _unknown(metrics: Mapping[str, Any], objective: Objective) -> str:
    """Say why a trial that missed nothing does not show that the rate was kept either; empty if it does."""
    if missing := _connections_missing(metrics):
        return f"{missing} of {metrics['connections_requested']} connections did not stand"
    mean_ns, in_flight = metrics.get("response_mean_ns"), metrics.get("in_flight")
    if mean_ns is not None and in_flight is not None:
        expected = metrics["offered_per_s"] * mean_ns / 1e9  # Little's law, for those that were answered
        if in_flight > 3 * expected + STUCK * math.sqrt(expected) + STUCK:
            return f"{units.plural(in_flight, 'request')} unanswered at the end, as if some connections were not served"
    return f"too few replies for {objective.percentile}" if metrics.get(objective.metric) is None else ""


def _connections_missing(metrics: Mapping[str, Any]) -> int:
    return int(metrics.get("connections_requested", 0)) - int(metrics.get("connections_established", 0))


@dataclass(slots=True, kw_only=True)
class Bracket:
    """Where a search stands: `kept_per_s` was kept, `missed_per_s` was not; None while there is no such rate.

    `precision` is how near to each other the two must come, 0.05 being 5 %. At `unknown_per_s` the trials said nothing,
    and the search is over.
    """

    first_per_s: float
    precision: float = 0.05
    trials: int = 3
    least_per_s: float = 1.0
    kept_per_s: float | None = None
    missed_per_s: float | None = None
    unknown_per_s: float | None = None
    limited_by_generator: bool = False
    _votes: Counter[Rating] = field(default_factory=Counter)

    @property
    def next_per_s(self) -> float | None:
        """The rate to probe next; None when the search is over."""
        if self.unknown_per_s is not None:
            return None
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
        kept, unknown = self._votes[Rating.KEPT], self._votes[Rating.UNKNOWN]
        missed = self._votes.total() - kept - unknown
        if max(kept, missed, unknown) < majority:
            return False
        if kept >= majority:
            self.kept_per_s = rate
        elif unknown >= majority:
            self.unknown_per_s = rate
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
    rated: Rated

    @property
    def lines(self) -> list[str]:
        """The rate, what was seen of the objective, how the trial went, and what makes one doubt it."""
        latency_ns = self.result.metrics.get(self.objective.metric)
        shown = "unknown" if latency_ns is None else units.duration(latency_ns)
        rating, why = self.rated
        said = f"{rating}: {why.splitlines()[0]}" if why else rating
        doubts = f"  (doubts: {', '.join(self.result.doubts)})" if self.result.doubts else ""
        return [f"{units.rate(self.rate_per_s):>12}  {self.objective.percentile} {shown:>9}  {said}{doubts}"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a search found, after so many trials.

    `stopped` says why it ended before it was over, if it did, and `why_unknown` what the last trial said where trials
    said nothing. `doubts` counts the trials that carry each.
    """

    bracket: Bracket
    trials: int
    stopped: StopReason | None = None
    why_unknown: str = ""
    doubts: Mapping[Doubt, int] = field(default_factory=dict)


def search(server: Server, workload: Workload, objective: Objective, bracket: Bracket) -> Experiment[Found]:
    """Ask for trials of `workload` at one rate after another, until the bracket is as narrow as it is to be.

    The seed of each trial is that of the workload, plus its number. Raises MeasurementError as `rated` does.
    """
    number, stopped, why, doubts = 0, None, "", Counter[Doubt]()
    try:
        while (rate_per_s := bracket.next_per_s) is not None:
            number += 1
            asked = workload.replace(rate_per_s=rate_per_s, seed=workload.seed + number)
            trial = Trial(number=number, round=number, server=server, workload_name="search", workload=asked)
            results: Results = yield Block(trials=(trial,))
            rating, why = seen = rated(results[0], objective)
            bracket.tell(rating)
            doubts.update(results[0].doubts)
            yield Probe(rate_per_s=rate_per_s, result=results[0], objective=objective, rated=seen)
    except Stop as stop:
        number, stopped = number - 1, stop.reason
    return Found(bracket=bracket, trials=number, stopped=stopped, why_unknown=why, doubts=doubts)
