"""The servers of one run side by side: ratios to one of them, by trials of the same round."""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from rich.console import Console
from scipy import stats

from bench.analysis.comparing.within_run import against, text
from bench.analysis.runs import run_folder
from bench.cli.compare import compare
from bench.errors import MeasurementError, UsageError


def test_ratios_are_those_of_trials_of_the_same_round(article_run):
    rows = against(article_run, "threads")
    raw = article_run.measured
    (workload, server), row = next(iter(rows.items()))
    here = raw[raw["workload"] == workload].set_index("round")
    for column in ("replies_per_s", "server_cpu_us_per_reply", "response_p50_ns"):
        one = row[column]
        ours, theirs = (here[here["server"] == name][column].astype(float) for name in (server, "threads"))
        d = np.log(ours / theirs).dropna()
        assert one.estimate.value == pytest.approx(math.exp(d.mean()))
        low, high = stats.t.interval(0.95, len(d) - 1, d.mean(), stats.sem(d))
        assert (one.estimate.low, one.estimate.high) == pytest.approx((math.exp(low), math.exp(high)))


def test_the_other_way_round_is_the_inverse(article_run):
    there, back = (against(article_run, name) for name in ("threads", "coroutines"))
    for (workload, server), row in there.items():
        if server == "coroutines":
            for column, one in row.items():
                assert one.estimate.value * back[workload, "threads"][column].estimate.value == pytest.approx(1)


def test_a_drift_of_the_machine_does_not_widen_the_interval(builder):
    def drifting(record):
        factor = {"coroutines": 1.2, "threads": 1.0}[record["trial"]["server"]["name"]]
        record["metrics"]["replies_per_s"] = factor * 10_000 * 2 ** record["trial"]["round"]

    run = run_folder.load(builder.run(connections=(16,), change=drifting))
    one = against(run, "threads")["c16", "coroutines"]["replies_per_s"]
    assert (one.estimate.low, one.estimate.value, one.estimate.high) == pytest.approx((1.2, 1.2, 1.2))
    assert text(one) == "1.20 [1.20, 1.20]"


def test_a_lower_bound_marks_the_throughput_of_both_sides(builder):
    def saturated(record):
        is_bound = record["trial"]["server"]["name"] == "threads"
        record["metrics"]["throughput_is_lower_bound"] = is_bound

    run = run_folder.load(builder.run(connections=(16,), change=saturated))
    row = against(run, "threads")["c16", "coroutines"]
    assert text(row["replies_per_s"]).endswith("*")
    assert row["server_cpu_us_per_reply"].limited == ()


def test_an_unknown_baseline_is_said_with_the_nearest_name(article_run):
    with pytest.raises(UsageError, match="coroutine"):
        against(article_run, "coroutine")


def test_a_run_without_a_good_trial_says_that_there_is_no_ratio(builder):
    def dead(record):
        record["status"], record["metrics"] = "server-died", {}

    run = run_folder.load(builder.run(connections=(16,), rounds=1, change=dead))
    with pytest.raises(MeasurementError, match="no trial of this run was measured"):
        against(run, "threads")


def test_the_command_prints_a_row_per_server_and_workload(builder, capsys):
    path = str(builder.run(connections=(1, 16)))
    compare.main([path, "--baseline", "threads"], prog_name="compare", standalone_mode=False)
    said = capsys.readouterr().out
    assert "ratio to threads [95 % interval]" in said
    assert [line.split()[:2] for line in said.splitlines()[-2:]] == [["coroutines", "c1"], ["coroutines", "c16"]]
    compare.main([path, "--baseline", "threads", "--json"], prog_name="compare", standalone_mode=False)
    given = json.loads(capsys.readouterr().out)
    assert given["baseline"] == "threads"
    assert {cell["workload"] for cell in given["cells"]} == {"c1", "c16"}


@pytest.mark.parametrize("width", [80, 40])
def test_in_a_narrow_terminal_no_name_or_number_is_broken(builder, capsys, monkeypatch, width):
    path = str(builder.run(("threads", "asyncio-protocol", "uvloop-protocol"), connections=(1, 1000)))
    compare.main([path, "--baseline", "threads"], prog_name="compare", standalone_mode=False)
    whole = re.findall(r"\S+ \[.+?\]\*?|[\w-]+-protocol", capsys.readouterr().out.split("\n", 1)[1])
    terminal = Console(width=width, highlight=False, force_terminal=True, color_system=None)
    monkeypatch.setattr("bench.cli.compare.standard_output", lambda: terminal)
    compare.main([path, "--baseline", "threads"], prog_name="compare", standalone_mode=False)
    said = capsys.readouterr().out
    assert max(map(len, said.splitlines())) <= width
    assert "\N{HORIZONTAL ELLIPSIS}" not in said
    assert all(word in said for word in whole)
    assert len(whole) == 24  # four cells, with five numbers and a name each


def test_one_run_needs_a_baseline_and_two_take_none(builder):
    path = str(builder.run(connections=(1,)))
    for wrong in ([path], [path, path, "--baseline", "threads"]):
        with pytest.raises(UsageError):
            compare.main(wrong, prog_name="compare", standalone_mode=False)
