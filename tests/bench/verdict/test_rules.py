"""Which metrics decide a comparison, and what they let pass."""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from bench import metrics
from bench.cli.regress import regress
from bench.errors import UsageError
from bench.verdict.rules import RULES, chosen_rules


def test_help_lists_the_metrics_that_may_decide():
    said = " ".join(CliRunner().invoke(regress, ["--help"]).output.split())
    assert f"Metric that decides, and its budget: {', '.join(rule.metric for rule in RULES)}. May be repeated." in said


def test_a_rule_says_what_the_row_of_its_metric_says():
    assert [(rule.metric, rule.title, rule.budget, rule.larger_is_better) for rule in RULES] == [
        (metric.column, metric.noun, metric.budget, metric.larger_is_better) for metric in metrics.GATES
    ]


def test_cpu_and_the_median_response_decide_unless_told_otherwise():
    assert [rule.metric for rule in chosen_rules((), 0.02) if rule.gating] == [
        "server_cpu_us_per_reply",
        "response_p50_ns",
    ]
    chosen = {rule.metric: rule for rule in chosen_rules(("replies_per_s=7.5%", "response_p99_ns"), 0.01)}
    assert {name for name, rule in chosen.items() if rule.gating} == {"replies_per_s", "response_p99_ns"}
    assert chosen["replies_per_s"].budget == pytest.approx(0.075)
    assert chosen["response_p99_ns"].budget == 0.25
    assert {rule.tolerance for rule in chosen.values()} == {0.01}


@pytest.mark.parametrize("gate", ["speed", "replies_per_s=", "replies_per_s=-1%", "replies_per_s=inf"])
def test_a_gate_that_cannot_be_is_wrong_use(gate):
    with pytest.raises(UsageError):
        chosen_rules((gate,), 0.02)
