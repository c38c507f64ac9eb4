"""Two stored runs side by side. They are refused if they cannot be compared, and else described in weak words.

Between two days a machine changes by more than most changes of code. On unchanged code, rules that can see 10 % raise
alarms in a third of such comparisons, whatever the test. So nothing here is called REGRESSED or OK. That is for
`echobench regress` to decide.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from enum import StrEnum
from itertools import chain
from typing import TYPE_CHECKING, Any

from bench.analysis.estimates.cells import is_limited
from bench.errors import ExitCode, NoBaselineError
from bench.metrics import CPU, P50, THROUGHPUT
from bench.plain import plain
from bench.stats import Estimate, ratio_interval
from bench.units import estimate, percent
from bench.verdict.rules import Rule, rule_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import pandas as pd

    from bench.analysis.runs.run_folder import Run

LEVEL = 0.98

MUST_MATCH: dict[str, tuple[str, ...]] = {
    "machine": (
        "cpu_model",
        "usable_cpus",
        "smt_siblings",
        "hypervisor",
        "cgroup_cpu_quota",
        "governor",
        "memory_bytes",
        "system",
        "kernel",
        "libc",
        "server_cpus",
        "client_cpus",
        "cores_shared",
    ),
    "interpreter": ("implementation", "version", "build", "compiler"),
    "plan": ("generator",),
    "load": ("agents", "over_network"),
}
"""What must be equal in run.json for two runs to be comparable, besides every library but our own."""

_UNWRITTEN = {
    ("plan", "generator"): "python",
    ("load", "agents"): 0,
    ("load", "over_network"): False,
}
"""The value of a field of MUST_MATCH in an older run that does not have the field."""

_OUR_LIBRARY = "echobench"
LOWER_BOUND = "the load generator was the limit: a lower bound"


class Impression(StrEnum):
    """How two stored runs appear, in words weaker than those of a verdict."""

    MISSING = "MISSING"
    LOOKS_SLOWER = "LOOKS-SLOWER"
    CANNOT_TELL = "CANNOT-TELL"
    LOOKS_FASTER = "LOOKS-FASTER"
    LOOKS_ALIKE = "LOOKS-ALIKE"


@dataclass(frozen=True, slots=True, kw_only=True)
class CellImpression:
    """One metric of one cell. `change` is the relative change in the metric's own direction; None if not comparable."""

    server: str
    workload: str
    metric: str
    impression: Impression
    reason: str
    change: Estimate | None = None
    trials: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredComparison:
    """An impression of every cell that either run has."""

    baseline: str
    candidate: str
    impressions: tuple[CellImpression, ...]

    @property
    def exit_code(self) -> ExitCode:
        """What the impressions come to."""
        return exit_code(one.impression for one in self.impressions)

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; a number that is not known is null."""
        looks = [
            {"look" if name == "impression" else name: value for name, value in asdict(one).items()}
            for one in self.impressions
        ]
        as_json: dict[str, Any] = plain(
            {"exit_code": int(self.exit_code), "baseline": self.baseline, "candidate": self.candidate, "looks": looks}
        )
        return as_json


def exit_code(impressions: Iterable[Impression]) -> ExitCode:
    """Return what impressions of two runs, or of many, come to.

    NO_BASELINE comes before INCONCLUSIVE. It is never REGRESSED, because stored runs cannot show that.
    """
    words = set(impressions)
    if Impression.MISSING in words or not words:
        return ExitCode.NO_BASELINE
    return ExitCode.INCONCLUSIVE if words & {Impression.LOOKS_SLOWER, Impression.CANNOT_TELL} else ExitCode.FINE


def compare_runs(baseline: Run, candidate: Run) -> StoredComparison:
    """Compare every cell that either run has. Raises NoBaselineError naming every field that forbids it."""
    require_comparable(baseline, candidate)
    runs = (baseline, candidate)
    impressions = tuple(_impression(*runs, cell, rule) for cell in cells_of(runs) for rule in rules_of(runs, cell))
    return StoredComparison(baseline=baseline.id, candidate=candidate.id, impressions=impressions)


def require_comparable(a: Run, b: Run) -> None:
    """Raise NoBaselineError, naming every field that differs, if two runs cannot be compared."""
    fields = differences(a.info, b.info)
    if fields:
        raise NoBaselineError(
            f"{a.id} and {b.id} cannot be compared: {'; '.join(fields)}. "
            "Measure both on one machine: echobench regress --base REV"
        )


def differences(a: Mapping[str, Any], b: Mapping[str, Any]) -> list[str]:
    """Name every field of the fingerprint in which two run.json differ, with both values.

    Two that are both torn are equal in every field, and yet nothing says that one machine measured both.
    """
    if not a.get("machine") and not b.get("machine"):
        return ["the machine of neither is known"]
    libraries = sorted({*a.get("libraries", {}), *b.get("libraries", {})} - {_OUR_LIBRARY})
    fields = {**MUST_MATCH, "libraries": tuple(libraries)}
    return [
        f"{group}.{field} is {_shown(a, group, field)} in one and {_shown(b, group, field)} in the other"
        for group, names in fields.items()
        for field in names
        if _value(a, group, field) != _value(b, group, field)
    ]


def _shown(info: Mapping[str, Any], group: str, field: str) -> str:
    value = _value(info, group, field)
    return "not known" if value is None else repr(value)


def _value(info: Mapping[str, Any], group: str, field: str) -> Any:
    return info.get(group, {}).get(field, _UNWRITTEN.get((group, field)))


def cells_of(runs: Iterable[Run]) -> list[tuple[str, str]]:
    """Return the cells (server, workload) with a measured trial in any of the runs, each once, in their order."""
    rows = (run.measured[["server", "workload"]].itertuples(index=False, name=None) for run in runs)
    return list(dict.fromkeys(chain.from_iterable(rows)))


def trials_of(run: Run, cell: tuple[str, str]) -> pd.DataFrame:
    """Return the measured trials of a server under a workload."""
    rows = run.measured
    return rows[(rows["server"] == cell[0]) & (rows["workload"] == cell[1])]


def rules_of(runs: Sequence[Run], cell: tuple[str, str]) -> Sequence[Rule]:
    """Return what is compared: CPU, and the throughput of a closed loop or the median response of an open one."""
    rows = next(rows for run in reversed(runs) if not (rows := trials_of(run, cell)).empty)
    second = THROUGHPUT if rows["rate_per_s"].isna().all() else P50
    return [rule_of(metric) for metric in (CPU, second)]


def _impression(baseline: Run, candidate: Run, cell: tuple[str, str], rule: Rule) -> CellImpression:
    sides = [trials_of(run, cell) for run in (baseline, candidate)]
    values = [rows[rule.metric].dropna().to_numpy(dtype=float) for rows in sides]
    reason = _why_not((baseline, candidate), cell[1], sides, rule)
    if reason:
        impression, change = Impression.MISSING, None
    else:
        change = ratio_interval(values[1], values[0], LEVEL).map(lambda ratio: ratio - 1)
        impression = _word(change, rule)
        reason = f"{rule.title} {estimate(change, percent)}"
        if is_lower_bound(sides, rule):
            impression, reason = Impression.CANNOT_TELL, f"{reason}, but {LOWER_BOUND}"
    return CellImpression(
        server=cell[0],
        workload=cell[1],
        metric=rule.metric,
        impression=impression,
        reason=reason,
        change=change,
        trials=(len(values[0]), len(values[1])),
    )


def is_lower_bound(sides: Sequence[pd.DataFrame], rule: Rule) -> bool:
    """Say whether the load generator was the limit in any of these trials, so that a throughput is not known."""
    return rule.metric == THROUGHPUT.column and any(map(is_limited, sides))


def _why_not(runs: tuple[Run, Run], workload: str, sides: Sequence[pd.DataFrame], rule: Rule) -> str:
    """Say why the cell has no ratio, naming the run or the field; empty if it has one."""
    for run, rows in zip(runs, sides, strict=True):
        values = rows[rule.metric].dropna()
        if values.empty:
            return f"{run.id} has no {rule.title} of this cell"
        if not (values > 0).all():
            return f"{run.id} has a {rule.title} of 0, which gives no ratio"
    return why_not_alike(runs, workload, sides)


def why_not_alike(runs: Sequence[Run], workload: str, sides: Sequence[pd.DataFrame]) -> str:
    """Say what differs in the load or the interpreter of a cell of two runs, given its trials; empty if nothing."""
    shapes = [_workload(run, workload) for run in runs]
    names = sorted({*shapes[0], *shapes[1]})
    differ = [name for name in names if shapes[0].get(name) != shapes[1].get(name)]
    if differ:
        return f"the workload differs in {', '.join(differ)}"
    pythons = [" / ".join(sorted(set(rows["interpreter"].dropna()))) for rows in sides]
    return (
        f"the server's interpreter is {pythons[0]} in one and {pythons[1]} in the other"
        if pythons[0] != pythons[1]
        else ""
    )


def _workload(run: Run, name: str) -> Mapping[str, Any]:
    return next((workload for workload in run.info.get("workloads", ()) if workload["name"] == name), {})


def _word(change: Estimate, rule: Rule) -> Impression:
    """Return the impression that the slowdown's interval gives. Without bounds it is CANNOT-TELL."""
    worse = change.map(math.log1p)
    slowdown = worse.negated() if rule.larger_is_better else worse
    tolerance, budget = math.log1p(rule.tolerance), math.log1p(rule.budget)
    if slowdown.low > 0 and slowdown.value >= tolerance:
        return Impression.LOOKS_SLOWER
    if slowdown.high < 0 and slowdown.value <= -tolerance:
        return Impression.LOOKS_FASTER
    return Impression.LOOKS_ALIKE if slowdown.high < budget else Impression.CANNOT_TELL
