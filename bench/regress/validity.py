"""The gates before any statistic: was this a measurement of the server at all? They change no result.

A gate refuses a whole cell, or the whole host, and says why. It never drops a single trial. Ranks tolerate outliers,
and a comparison that chooses its trials starts to see what it expects. The limits are those of `bench.limits` in the
column `regress`; none is kept here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np

from bench import limits, metrics
from bench.experiment.doubts import Doubt
from bench.experiment.model import Server, Status, TrialResult
from bench.stats import hodges_lehmann
from bench.steadiness import drift, is_beyond
from bench.units import percent, share
from bench.verdict.judge import Problem
from bench.verdict.pairs import Arm
from bench.verdict.words import Word

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bench.verdict.rules import Rule

STEADY_LEVEL = 0.999
"""Level of the interval that refuses a cell. Every cell is asked at every look, and noise must hardly ever refuse."""

TOLD = (
    *(Doubt.THROTTLED, Doubt.DELAYED_ACK, Doubt.SLOW_CONNECTS, Doubt.NONCONFORMING),
    *(Doubt.CPU_LOST, Doubt.SERVER_UNSEEN, Doubt.STOPPED),
)
"""What makes less of every comparison, and that a person can mend: of the job, or of the server."""

_ALLOW_MORE = "allow the job 2 CPUs or more (cpu.max of the cgroup, --cpus of docker, limits.cpu of Kubernetes)"

SAME_IN_BOTH_ARMS = {  # as they were observed; what was not seen is no difference
    "interpreter": "the interpreter was",
    "server_cpus": "the CPUs of the server were",
    "client_cpus": "the CPUs of the generator were",
}


@dataclass(slots=True)
class CellPairs:
    """The pairs of one cell: those that are whole, the trials that failed, and how many pairs they cost."""

    whole: list[Mapping[Arm, TrialResult]] = field(default_factory=list)
    failed: list[tuple[Arm, TrialResult]] = field(default_factory=list)
    lost: int = 0

    def add(self, pair: Mapping[Arm, TrialResult]) -> bool:
        """Keep a pair if both of its trials were measured, else those that failed; say which.

        A trial that was skipped because the other one of its block failed is no failure of its own.
        """
        failed = [(arm, result) for arm, result in pair.items() if result.status is not Status.MEASURED]
        if not failed:
            self.whole.append(pair)
            return True
        self.failed += [one for one in failed if one[1].status is not Status.SKIPPED] or failed
        self.lost += 1
        return False

    def measured(self, arm: Arm) -> list[TrialResult]:
        """Results of one arm in the order of the pairs."""
        return [pair[arm] for pair in self.whole]


def gap(servers: Mapping[Arm, Server]) -> Problem | None:
    """Return the problem of a cell with a server that is not measured; None if both arms are."""
    for arm, word in ((Arm.CANDIDATE, Word.INVALID), (Arm.BASELINE, Word.NO_BASELINE)):
        if servers[arm].gap is not None:
            return Problem(word, f"the {arm} was not measured: {servers[arm].gap}")
    return None


def lost(pairs: CellPairs, planned_pairs: int) -> Problem | None:
    """Return the problem of a cell with a wrong echo, with an arm that never works, or with too many failed trials.

    Where no pair was whole yet, the second one that is lost is too many.
    """
    for arm, result in pairs.failed:
        if result.status is Status.WRONG_ECHO:
            return Problem(Word.INVALID, f"the {arm} answered with wrong bytes: {result.detail}")
    allowed = max(1, math.floor(limits.LOST_TRIALS.regress * 2 * planned_pairs)) if pairs.whole else 1
    if pairs.lost <= allowed:
        return None
    arm, result = pairs.failed[-1]
    arms = {failed for failed, _ in pairs.failed}
    if len(arms) == 1 and not pairs.whole:
        word = Word.NO_BASELINE if arm is Arm.BASELINE else Word.INVALID
        return Problem(word, f"the server works in one arm only, the {arm} is {result.status}: {result.detail}")
    return Problem(
        Word.INVALID, f"{len(pairs.failed)} trials were lost, the last one ({arm}) {result.status}: {result.detail}"
    )


def cell_problem(pairs: CellPairs, rules: Sequence[Rule], *, same_interpreter: bool) -> Problem | None:
    """Return the problem of a cell whose numbers do not measure the speed of the server; None if there is none."""
    for reason in (
        _errors(pairs),
        _nothing_decides(pairs, rules),
        _offered(pairs),
        _late(pairs),
        _different(pairs, same_interpreter=same_interpreter),
        _not_idle(pairs),
        not_steady(pairs),
    ):
        if reason:
            return Problem(Word.INVALID, reason)
    return None


def host_problem(cells: Iterable[CellPairs]) -> str:
    """Return why no number of this host counts; empty if they count."""
    results = [result for pairs in cells for pair in pairs.whole for result in pair.values()]
    time, core = "of the machine's CPU time", "of a core"
    for metric, limit, who, what, advice in (
        (metrics.STEAL, limits.STEAL, "the hypervisor took", time, "repeat when the host is quieter"),
        (metrics.FOREIGN_CPU, limits.FOREIGN_CPU, "other processes used", time, "stop them, or repeat later"),
        (metrics.THROTTLED, limits.THROTTLED, "the CPU quota of the cgroup stopped", core, _ALLOW_MORE),
    ):
        seen = mean(results, metric.column)
        if seen > limit.regress:
            return f"{who} {share(seen)} {what} (limit {share(limit.regress)}): {advice}"
    return ""


def host_doubt(steal_share: float, foreign_share: float) -> str:
    """Say that others took so much of this host that a single trial would be doubted; nothing if they did not."""
    seen = [
        f"{who} took {share(found)} of the machine"
        for limit, who, found in (
            (limits.STEAL, "the hypervisor", steal_share),
            (limits.FOREIGN_CPU, "other processes", foreign_share),
        )
        if found > limit.trial
    ]
    return f"doubt: {' and '.join(seen)}; the arms bear it alike, and the intervals are wider for it" if seen else ""


def cell_doubts(pairs: CellPairs) -> tuple[str, ...]:
    """Return what most trials of an arm, or of both, show that a person can mend: a sentence each."""
    said = []
    for doubt in TOLD:
        arms = [arm for arm in Arm if _is_usual(doubt, pairs.measured(arm))]
        if arms:
            said.append(f"{doubt}, {' and '.join(arms)}: {doubt.advice}")
    return tuple(said)


def _is_usual(doubt: Doubt, results: Sequence[TrialResult]) -> bool:
    return 2 * sum(doubt in result.doubts for result in results) > len(results)


def mean(results: Iterable[TrialResult], metric: str) -> float:
    """Return the mean of a metric where it was seen; NaN if it never was."""
    numbers = _numbers(results, metric)
    return math.fsum(numbers) / len(numbers) if numbers else math.nan


def not_steady(pairs: CellPairs) -> str:
    """Say that the rate moved within the window, or moved differently in the two arms; empty if it did not.

    The pairs are the replicates, so that a drift of the session cancels. Trials of a block are read from their slices,
    and are only asked whether they moved apart: what moved both alike is not in their ratio. A trial that was measured
    alone is read from its timeline. Without either, or with too few pairs for an interval, the answer is empty.
    """
    drifts = {arm: np.array([drift(one.slices or one.timeline).value for one in pairs.measured(arm)]) for arm in Arm}
    if not pairs.whole or not all(np.isfinite(values).all() for values in drifts.values()):
        return ""
    asked = {"rates of the arms moved apart": drifts[Arm.CANDIDATE] - drifts[Arm.BASELINE]}
    if not any(result.slices for pair in pairs.whole for result in pair.values()):
        asked["rate moved"] = np.concatenate([drifts[arm] for arm in Arm])
    for what, values in asked.items():
        found = hodges_lehmann(values, STEADY_LEVEL)
        if is_beyond(found.low, found.high, limits.DRIFT.regress):
            return f"not steady: the {what} by {percent(found.value)} within the window; lengthen the warm-up"
    return ""


def _errors(pairs: CellPairs) -> str:
    for arm in Arm:
        results = pairs.measured(arm)
        if _sum(results, "errors_mismatch"):
            return f"the {arm} answered with wrong bytes"
        sent, errors = _sum(results, "sent"), _sum(results, "errors")
        for name, doubt in (("no_local_port", Doubt.NO_LOCAL_PORT), ("no_descriptor", Doubt.NO_DESCRIPTOR)):
            if _sum(results, f"errors_{name}") > limits.OUR_FAULTS.regress * sent:
                return f"the load on the {arm} was not made whole. {doubt.advice}"
        if errors > limits.ERRORS.regress * sent:
            asked = sent + _sum(results, "errors_unsent") + _sum(results, "errors_refused")  # these were never sent
            failed = share(errors / asked) if asked else "all"
            cure = f". {doubt.advice}" if (doubt := Doubt.CLOSES_AFTER_REPLY) in results[-1].doubts else ""
            return f"{failed} of the requests of the {arm} failed (limit {share(limits.ERRORS.regress)}){cure}"
    return ""


def generator_was_the_limit(pairs: CellPairs) -> str:
    """Say that the load generator was busier than the servers were, so that it hid their speed; empty if it was not.

    CPU per reply is still what a server spends. Only `seen_past_the_generator` may decide then.
    """
    results = [result for pair in pairs.whole for result in pair.values()]
    generator, server = (_median(results, f"{side}_cpu_share") for side in ("client", "server"))
    if not generator >= limits.GENERATOR_BUSY.regress or server >= limits.SERVER_BUSY.regress:
        return ""
    return f"the load generator used {share(generator)} of its core, so it hid a change of the server's speed"


def seen_past_the_generator(rules: Sequence[Rule]) -> list[Rule]:
    """Return the rules as they hold where the load generator was the limit: CPU per reply alone may decide."""
    return [replace(rule, gating=rule.gating and rule.metric == metrics.CPU.column) for rule in rules]


def _nothing_decides(pairs: CellPairs, rules: Sequence[Rule]) -> str:
    if any(rule.gating for rule in seen_past_the_generator(rules)) or not (reason := generator_was_the_limit(pairs)):
        return ""
    return f"{reason}: gate on {metrics.CPU.column}, or offer a fixed --rate below the limit"


def _offered(pairs: CellPairs) -> str:
    """Compare what fell due in an arm with what was asked; Poisson arrivals may lack four standard deviations."""
    for arm in Arm:
        results = [result for result in pairs.measured(arm) if result.metrics.get("offered_per_s") is not None]
        windows = [result.trial.workload.duration_s for result in results]
        asked = math.fsum((r.trial.workload.rate_per_s or 0.0) * s for r, s in zip(results, windows, strict=True))
        offered = math.fsum(r.metrics["offered_per_s"] * s for r, s in zip(results, windows, strict=True))
        if asked and offered < limits.OFFERED.regress * asked - 4 * math.sqrt(asked):
            return f"only {share(offered / asked)} of the asked load was offered to the {arm}: lower the rate"
    return ""


def _late(pairs: CellPairs) -> str:
    for arm in Arm:
        results = pairs.measured(arm)
        lateness, response = _median(results, "lateness_p99_ns"), _median(results, "response_p50_ns")
        if lateness > limits.LATENESS.regress * response:
            late = share(lateness / response)
            return (
                f"requests to the {arm} were sent late (99th percentile {late} of the median response): lower the rate"
            )
    return ""


def _different(pairs: CellPairs, *, same_interpreter: bool) -> str:
    for column, title in SAME_IN_BOTH_ARMS.items():
        if column == "interpreter" and not same_interpreter:
            continue
        seen = {result.metrics.get(column) for pair in pairs.whole for result in pair.values()} - {None}
        if len(seen) > 1:
            return f"{title} not the same in all trials: {' / '.join(sorted(map(str, seen)))}"
    return ""


def _not_idle(pairs: CellPairs) -> str:
    """Refuse a server that works while the other one has the load: it takes from the other's slices."""
    for arm in Arm:
        idle = _median(pairs.measured(arm), "server_idle_cpu_share")
        if idle > limits.IDLE_CPU.regress:
            return (
                f"the {arm} used {share(idle)} of a core while it was not its turn "
                f"(limit {share(limits.IDLE_CPU.regress)}), which the other arm lacked: stop its work in the background"
            )
    return ""


def _numbers(results: Iterable[TrialResult], metric: str) -> list[float]:
    return [float(value) for result in results if (value := result.metrics.get(metric)) is not None]


def _sum(results: Iterable[TrialResult], metric: str) -> float:
    return math.fsum(_numbers(results, metric))


def _median(results: Iterable[TrialResult], metric: str) -> float:
    numbers = _numbers(results, metric)
    return float(np.median(numbers)) if numbers else math.nan
