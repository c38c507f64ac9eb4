"""The rules of a comparison: which metrics are judged, which of them decide, and what they let pass.

The metrics and their budgets are those of `bench.metrics`. No test statistic is here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bench import metrics
from bench.errors import UsageError, unknown_name

if TYPE_CHECKING:
    from collections.abc import Sequence

TOLERANCE = 0.005
"""The change that is let be if nobody says: half of the smallest slowdown that a check of some minutes is to find."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """How one metric is judged.

    `budget` is the slowdown that must not pass. A change smaller than `tolerance` is never called a regression. Both
    are fractions. A metric that is not `gating` is shown and decides nothing.
    """

    metric: str
    title: str
    larger_is_better: bool = False
    budget: float = 0.05
    tolerance: float = TOLERANCE
    gating: bool = True


def rule_of(metric: metrics.Metric) -> Rule:
    """Return the default rule of a metric that may decide."""
    assert metric.budget is not None
    return Rule(
        metric=metric.column,
        title=metric.noun,
        larger_is_better=metric.larger_is_better,
        budget=metric.budget,
        gating=metric in metrics.GATES_BY_DEFAULT,
    )


RULES = tuple(rule_of(metric) for metric in metrics.GATES)
"""The default rules."""


def chosen_rules(gates: Sequence[str], tolerance: float) -> tuple[Rule, ...]:
    """Return the rules: the `gates` decide, and the other metrics are shown.

    A gate is `METRIC`, or `METRIC=5%` with its budget. Without a gate, `metrics.GATES_BY_DEFAULT` decide. `tolerance`
    is a fraction. Raises UsageError for a metric or a budget that cannot be.
    """
    wanted = dict(map(_gate, gates)) or dict.fromkeys(rule.metric for rule in RULES if rule.gating)
    return tuple(
        replace(
            rule,
            tolerance=tolerance,
            gating=rule.metric in wanted,
            budget=rule.budget if (budget := wanted.get(rule.metric)) is None else budget,
        )
        for rule in RULES
    )


def _gate(text: str) -> tuple[str, float | None]:
    """Read `METRIC` or `METRIC=5%`."""
    metric, equals, budget = text.partition("=")
    if metric not in (known := {rule.metric for rule in RULES}):
        raise unknown_name("metric", metric, known)
    try:
        fraction = float(budget.strip().removesuffix("%")) / 100 if equals else None
    except ValueError:
        fraction = 0.0
    if fraction is not None and not 0 < fraction < math.inf:
        raise UsageError(f"--gate {text!r}: a budget is a number of percent above 0, such as {metric}=5%")
    return metric, fraction
