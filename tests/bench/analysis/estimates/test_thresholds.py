"""What a run says of its thresholds: findings, words and exit codes, and where they are shown."""

from __future__ import annotations

import math
import re

import pytest
from helpers.run_folders import failed, saturated

from bench.analysis.estimates.ranking import rank
from bench.analysis.estimates.thresholds import judge
from bench.analysis.export import junit
from bench.analysis.report import page
from bench.analysis.runs import run_folder
from bench.cli import summary
from bench.errors import ExitCode
from bench.experiment.model import Status
from bench.experiment.planning.threshold_table import read_rule
from clients.thresholds import Finding


@pytest.fixture
def run(builder):
    """Return a function that loads a run of two servers with rules, whose trials `change` alters."""

    def make(*rules, change=lambda _record: None, **options):
        tables = [{"metric": rule.metric, "comparison": rule.comparison, "value": rule.value} for rule in rules]
        for table, rule in zip(tables, rules, strict=True):
            table |= {name: getattr(rule, name) for name in ("server", "workload") if getattr(rule, name)}
        plan = {"name": "synthetic", "threshold": tables}
        made = {"connections": (16,), "rounds": 8, "info": {"plan": plan}} | options
        return run_folder.load(builder.run(change=change, **made))

    def from_texts(*texts, **options):
        return make(*map(read_rule, texts), **options)

    return from_texts


def cpu_of(*values):
    def change(record):
        record["metrics"]["server_cpu_us_per_reply"] = values[record["trial"]["round"] - 1]

    return change


@pytest.mark.parametrize(
    ("limit", "finding", "code"),
    [
        ("19us", Finding.FAILED, ExitCode.REGRESSED),
        ("20us", Finding.CANNOT_TELL, ExitCode.INCONCLUSIVE),
        ("21us", Finding.OK, ExitCode.FINE),
    ],
)
def test_a_cell_fails_if_its_whole_interval_is_beyond(run, limit, finding, code):
    found = run(f"cpu > {limit}", change=cpu_of(*(20 * math.exp(0.01 * sign) for sign in (-1, 1) * 4)))
    assert [one.finding for one in judge(found)] == [finding] * 2
    assert summary.exit_code(found) is code


def test_a_rule_may_be_of_one_server_and_workload(run):
    found = run("threads c16: cpu > 1us", "coroutines: cpu > 1us", connections=(1, 16))
    assert sorted((one.server, one.workload) for one in judge(found)) == [
        ("coroutines", "c1"),
        ("coroutines", "c16"),
        ("threads", "c16"),
    ]


def test_a_failure_that_was_counted_has_happened(run):
    def change(record):
        record["metrics"]["errors"] = int(record["trial"]["number"] == 1)

    found = run("errors > 0", change=change)
    words = [one.reason for one in judge(found)]
    assert words == ["errors is above 0: 1", "errors is not above 0: 0"]


def test_a_single_trial_cannot_be_told(run):
    found = run("p99 > 5ms", rounds=1)
    assert {one.finding for one in judge(found)} == {Finding.CANNOT_TELL}


def test_a_server_that_is_behind_its_rate_passes_no_limit_of_time(run):
    def change(record):
        record["metrics"]["offered_per_s"] = 2 * record["metrics"]["replies_per_s"]

    load = {"rate_per_s": 1000.0, "arrivals": "constant"}
    found = run("p99 > 1s", "p99 > 1us", change=change, workload=load)
    assert [one.finding for one in judge(found)] == [Finding.FAILED] * 2 + [Finding.CANNOT_TELL] * 2
    assert "or more, because the server did not keep the rate" in judge(found)[0].reason


def test_a_throughput_that_the_generator_held_down_is_not_too_low(run):
    found = run("throughput < 1M/s", "throughput > 10/s", change=saturated)
    assert [one.finding for one in judge(found)] == [Finding.FAILED] * 2 + [Finding.CANNOT_TELL] * 2
    assert {one.table.comparison for one in judge(found)[:2]} == {">"}


def test_cells_without_numbers_cannot_be_told_and_gaps_are_left_out(run):
    def change(record):
        is_gap = record["trial"]["server"]["name"] == "threads"
        failed(record, Status.SKIPPED if is_gap else Status.SERVER_DIED)

    (one,) = judge(run("p99 > 5ms", change=change))
    assert (one.server, one.finding) == ("coroutines", Finding.CANNOT_TELL)
    assert f"{one.table.rule.text}: not known here" in one.sentence


def test_page_junit_and_markdown_have_the_words(run):
    found = run("threads: cpu > 1us")
    (one,) = judge(found)
    assert re.fullmatch(r"FAILED: threads c16: cpu is above 1 µs: [\d.]+ µs \[[\d.]+ µs, [\d.]+ µs\]", one.sentence)
    (row,) = re.findall(r"<tr><td><strong>FAILED</strong>.*?</tr>", page.render(found, rank(found), []), re.DOTALL)
    assert re.findall(r"<t[dh][^>]*>([^<]+)</t[dh]>", row) == ["threads", "c16", one.reason]
    assert f'<failure type="FAILED" message="{one.reason}"'.replace(">", "&gt;") in junit.render(found)["junit.xml"]
    assert summary.markdown(found, rank(found)).startswith("### FAILED: ")
    assert f"- {one.sentence}" in summary.markdown(found, rank(found))
