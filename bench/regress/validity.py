"""The gates before any statistic: was this a measurement of the server at all? Looks at results, changes none of them.

A gate refuses a whole cell, or the whole host, and says why. It never drops a single trial: ranks bear outliers, and
choosing trials is how a check starts to see what it expects.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.experiment.model import Server, Status, TrialResult
from bench.stats import hodges_lehmann
from bench.units import percent
from bench.verdict.judge import Problem
from bench.verdict.pairs import Arm
from bench.verdict.values import Rule, Word

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

LOST_LIMIT = 0.05
ERROR_LIMIT = 0.001
CLIENT_CPU_LIMIT = 0.85
SERVER_BUSY = 0.85
"""A server that uses so much of a core shows it when it gets slower, however busy the generator is."""
STEAL_LIMIT = 0.05
FOREIGN_CPU_LIMIT = 0.25
"""What others use falls on both trials of a pair alike; beyond this, too little is left to measure with."""
OFFERED_LIMIT = 0.99
LATENESS_LIMIT = 0.10
STEADY_LIMIT = 0.02
STEADY_LEVEL = 0.999
"""Of the interval that refuses a cell: it is asked of every cell at every look, and noise must hardly ever do that."""

QUIET_METRIC = "server_cpu_us_per_reply"
"""The one metric that a saturated load generator does not blur."""

SAME_IN_BOTH_ARMS = {
    "interpreter": "the interpreter",
    "server_cpus": "the CPUs of the server",
    "client_cpus": "the CPUs of the generator",
}


@dataclass(slots=True)
class Log:
    """Everything that was tried in one cell: whole pairs as (baseline, candidate), and the trials that failed."""

    pairs: list[Mapping[Arm, TrialResult]] = field(default_factory=list)
    failed: list[tuple[Arm, TrialResult]] = field(default_factory=list)

    def measured(self, arm: Arm) -> list[TrialResult]:
        """Results of one arm in the order of the pairs."""
        return [pair[arm] for pair in self.pairs]


def gap(servers: Mapping[Arm, Server]) -> Problem | None:
    """Refuse a cell whose server is known not to run, before any trial."""
    for arm, word in ((Arm.CANDIDATE, Word.INVALID), (Arm.BASELINE, Word.NO_BASELINE)):
        if servers[arm].gap is not None:
            return Problem(word, f"the {arm} cannot run here: {servers[arm].gap}")
    return None


def lost(log: Log, planned_pairs: int) -> Problem | None:
    """Refuse a cell whose trials fail: an arm that never works, a wrong echo, or more than 5 % lost."""
    for arm, result in log.failed:
        if result.status is Status.WRONG_ECHO:
            return Problem(Word.INVALID, f"the {arm} answered with wrong bytes: {result.detail}")
    allowed = max(1, math.floor(LOST_LIMIT * 2 * planned_pairs))
    if len(log.failed) <= allowed:
        return None
    arm, result = log.failed[-1]
    arms = {failed for failed, _ in log.failed}
    if len(arms) == 1 and not log.pairs:
        word = Word.NO_BASELINE if arm is Arm.BASELINE else Word.INVALID
        return Problem(word, f"the server works in one arm only, the {arm} is {result.status}: {result.detail}")
    return Problem(
        Word.INVALID, f"{len(log.failed)} trials were lost, the last one ({arm}) {result.status}: {result.detail}"
    )


def cell_problem(log: Log, rules: Sequence[Rule], *, same_interpreter: bool) -> Problem | None:
    """Refuse a cell whose numbers say something else than how fast the server is."""
    for reason in (
        _errors(log),
        _saturated(log, rules),
        _offered(log),
        _late(log),
        _different(log, same_interpreter=same_interpreter),
        not_steady(log, STEADY_LEVEL),
    ):
        if reason:
            return Problem(Word.INVALID, reason)
    return None


def host_problem(logs: Iterable[Log]) -> str:
    """Say why no number of this host counts, or nothing."""
    results = [result for log in logs for pair in log.pairs for result in pair.values()]
    for metric, limit, what, advice in (
        ("machine_steal_share", STEAL_LIMIT, "the hypervisor took", "repeat when the host is quieter"),
        ("machine_foreign_cpu_share", FOREIGN_CPU_LIMIT, "other processes used", "stop them, or repeat later"),
    ):
        share = mean(results, metric)
        if share > limit:
            shown, most = percent(share, signed=False), percent(limit, signed=False)
            return f"{what} {shown} of the machine's CPU time (limit {most}): {advice}"
    return ""


def mean(results: Iterable[TrialResult], metric: str) -> float:
    """Return the mean of a metric where it was seen; NaN if it never was."""
    numbers = _numbers(results, metric)
    return math.fsum(numbers) / len(numbers) if numbers else math.nan


def not_steady(log: Log, level: float) -> str:
    """Say that the rate still moved within the window, or moved differently in the two arms; nothing if it did not.

    Compares the last third of the window's slices with the first, one log ratio per trial, so that a drift of the
    session cancels. Without slices, or with too few trials for an interval at `level`, there is nothing to say.
    """
    slopes = {arm: np.array([_slope(result.timeline) for result in log.measured(arm)]) for arm in Arm}
    if not log.pairs or not all(np.isfinite(slope).all() for slope in slopes.values()):
        return ""
    limit = math.log1p(STEADY_LIMIT)
    moved = hodges_lehmann(np.concatenate([slopes[arm] for arm in Arm]), level)
    if moved.low > limit or moved.high < -limit:
        change = percent(math.expm1(moved.value))
        return f"not steady: the rate moved by {change} within the window; lengthen the warm-up"
    apart = hodges_lehmann(slopes[Arm.CANDIDATE] - slopes[Arm.BASELINE], level)
    if apart.low > limit or apart.high < -limit:
        change = percent(math.expm1(apart.value))
        return f"not steady: the rates of the arms moved apart by {change} within the window; lengthen the warm-up"
    return ""


def _slope(timeline: Sequence[Mapping[str, Any]]) -> float:
    third = len(timeline) // 3
    if not third:
        return math.nan
    rates = [row["replies"] / row["slice_s"] for row in timeline]
    first, last = math.fsum(rates[:third]), math.fsum(rates[-third:])
    return math.log(last / first) if first > 0 and last > 0 else math.nan


def _errors(log: Log) -> str:
    for arm in Arm:
        results = log.measured(arm)
        if _sum(results, "errors_mismatch"):
            return f"the {arm} answered with wrong bytes"
        sent, errors = _sum(results, "sent"), _sum(results, "errors")
        if errors > ERROR_LIMIT * sent:
            share = percent(errors / sent, signed=False) if sent else "all"
            return f"{share} of the requests of the {arm} failed (limit {percent(ERROR_LIMIT, signed=False)})"
    return ""


def _saturated(log: Log, rules: Sequence[Rule]) -> str:
    if all(rule.metric == QUIET_METRIC for rule in rules if rule.gating):
        return ""
    results = [result for pair in log.pairs for result in pair.values()]
    share, server_share = (_median(results, f"{side}_cpu_share") for side in ("client", "server"))
    if not share >= CLIENT_CPU_LIMIT or server_share >= SERVER_BUSY:
        return ""
    return (
        f"the load generator used {percent(share, signed=False)} of its core, so a change of the server's speed cannot "
        f"show in what it sees: gate on {QUIET_METRIC} alone, or offer a fixed --rate below the limit"
    )


def _offered(log: Log) -> str:
    """Compare all that fell due in an arm with what was asked for; Poisson arrivals are let vary by four deviations."""
    for arm in Arm:
        results = [result for result in log.measured(arm) if result.metrics.get("offered_per_s") is not None]
        windows = [result.trial.workload.duration_s for result in results]
        asked = math.fsum((r.trial.workload.rate_per_s or 0.0) * s for r, s in zip(results, windows, strict=True))
        offered = math.fsum(r.metrics["offered_per_s"] * s for r, s in zip(results, windows, strict=True))
        if asked and offered < OFFERED_LIMIT * asked - 4 * math.sqrt(asked):
            share = percent(offered / asked, signed=False)
            return f"only {share} of the asked load was offered to the {arm}: lower the rate"
    return ""


def _late(log: Log) -> str:
    for arm in Arm:
        results = log.measured(arm)
        lateness, response = _median(results, "lateness_p99_ns"), _median(results, "response_p50_ns")
        if lateness > LATENESS_LIMIT * response:
            share = percent(lateness / response, signed=False)
            return f"requests to the {arm} left late (99th percentile {share} of the median response): lower the rate"
    return ""


def _different(log: Log, *, same_interpreter: bool) -> str:
    for column, title in SAME_IN_BOTH_ARMS.items():
        if column == "interpreter" and not same_interpreter:
            continue
        seen = {str(result.metrics.get(column)) for pair in log.pairs for result in pair.values()}
        if len(seen) > 1:
            return f"{title} was not the same in all trials: {' / '.join(sorted(seen))}"
    return ""


def _numbers(results: Iterable[TrialResult], metric: str) -> list[float]:
    return [float(value) for result in results if (value := result.metrics.get(metric)) is not None]


def _sum(results: Iterable[TrialResult], metric: str) -> float:
    return math.fsum(_numbers(results, metric))


def _median(results: Iterable[TrialResult], metric: str) -> float:
    numbers = _numbers(results, metric)
    return float(np.median(numbers)) if numbers else math.nan
