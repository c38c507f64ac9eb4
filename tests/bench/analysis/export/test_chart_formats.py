"""What github-action-benchmark and Bencher get: values and ratios with their intervals, as these tools read them.

Neither can be installed from a package registry, so each is stood for by the rules of its own parser, named by its file
in the tool's repository. What the rules let through and what they refuse is tested too.
"""

from __future__ import annotations

import json
import math
import re

import numpy as np
import pytest
from helpers.run_folders import saturated

from bench.analysis import export
from bench.errors import MeasurementError, UsageError
from bench.verdict.judge import judge
from bench.verdict.pairs import Arm, Observation

WORDS = ("bigger", "smaller")
A_NUMBER_TO_JAVASCRIPT = r"\d+(\.\d*)?(e[+-]?\d+)?"
NOT_IN_JSON = {"parse_constant": lambda name: pytest.fail(f"{name} is no JSON, which both tools insist on")}


def read_by_github_action_benchmark(text):
    """Read one file as `extractCustomBenchmarkResult` does; return its entries by name.

    src/extract.ts: `JSON.parse` of an array of BenchmarkResult {name: string, value: number, unit: string, range?:
    string, extra?: string}, and "No benchmark result was found" for an empty one. src/extractRangeInfo.ts: the range is
    a number after +- or ±. src/write.ts: the last commit's entry is found by its name, and one value divided by the
    other.
    """
    entries = json.loads(text, **NOT_IN_JSON)
    assert isinstance(entries, list)
    assert entries
    for entry in entries:
        assert {"name", "unit", "value"} <= set(entry) <= {"name", "unit", "value", "range", "extra"}
        assert all(isinstance(value, str) for key, value in entry.items() if key != "value")
        assert isinstance(entry["value"], int | float)
        assert entry["value"] != 0
        assert re.fullmatch(rf"(\+-|±)\s*{A_NUMBER_TO_JAVASCRIPT}", entry.get("range", "± 0"))
    names = [entry["name"] for entry in entries]
    assert len(set(names)) == len(names)
    return {entry["name"]: entry for entry in entries}


def read_by_bencher(text):
    """Read the file as the adapter `json` does; return (value, lower, upper) by benchmark and measure.

    lib/bencher_adapter/src/adapters/json/v0.rs: a map of maps of JsonNewMetric, all or nothing. lib/bencher_json/src/
    project/metric/mod.rs: `value` is a number, `lower_value` and `upper_value` are a number or absent.
    lib/bencher_valid/src/benchmark_name.rs: 1 to 1024 bytes, and three endings that silence alerts. slug.rs: up to 64
    of a-z, 0-9 and single hyphens within. The schema published as bmf.json asks for no more.
    """
    found = {}
    for benchmark, measures in json.loads(text, **NOT_IN_JSON).items():
        assert 1 <= len(benchmark.encode()) <= 1024
        assert not benchmark.endswith(("_bencher_ignore", "BencherIgnore", "-bencher-ignore"))
        for measure, metric in measures.items():
            assert len(measure) <= 64
            assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", measure)
            assert {"value"} <= set(metric) <= {"value", "lower_value", "upper_value"}
            assert all(type(number) is float for number in metric.values())
            found[benchmark, measure] = (metric["value"], metric.get("lower_value"), metric.get("upper_value"))
    return found


def read_all(files):
    """Read the files of both tools: for each entry of either a name and its value, and Bencher's bounds."""
    entries = {}
    for name in WORDS:
        entries |= read_by_github_action_benchmark(
            files["github-action-benchmark"][f"github-action-benchmark-{name}.json"]
        )
    return entries, read_by_bencher(files["bencher"]["bencher.json"])


@pytest.mark.parametrize(
    "text",
    [
        "[]",
        '{"name": "a"}',
        '[{"name": "a", "unit": "s"}]',
        '[{"name": "a", "unit": "s", "value": "1"}]',
        '[{"name": "a", "unit": "s", "value": NaN}]',
        '[{"name": "a", "unit": "s", "value": 1, "range": "1 to 2"}]',
        '[{"name": "a", "unit": "s", "value": 1}, {"name": "a", "unit": "s", "value": 2}]',
    ],
)
def test_the_rules_of_github_action_benchmark_refuse_what_it_refuses(text):
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        read_by_github_action_benchmark(text)


@pytest.mark.parametrize(
    "text",
    [
        '{"": {}}',
        '{"a": {"p50": {"lower_value": 1.0}}}',
        '{"a": {"p50": {"value": null}}}',
        '{"a": {"p50": {"value": NaN}}}',
        '{"a": {"response p50 in ns": {"value": 1.0}}}',
        json.dumps({"a": {"a" * 65: {"value": 1.0}}}),
        json.dumps({"a" * 1025: {"p50": {"value": 1.0}}}),
    ],
)
def test_the_rules_of_bencher_refuse_what_it_refuses(text):
    with pytest.raises((AssertionError, pytest.fail.Exception)):
        read_by_bencher(text)


def exported(run, baseline=None):
    return read_all({name: export.render(name, run, baseline) for name in export.formats_of_values()})


def near(values):
    return pytest.approx(values, rel=1e-9)


def test_both_show_the_means_of_the_measured_trials(run_with_failures):
    entries, bencher = exported(run_with_failures)
    assert {name.split()[0] for name in entries} == {"coroutines/c1", "coroutines/c16", "threads/c1"}
    measured = run_with_failures.measured
    for (server, workload), trials in measured.groupby(["server", "workload"]):
        cell = f"{server}/{workload}"
        for column, measure in (("replies_per_s", "throughput"), ("response_p50_ns", "response-p50-ns")):
            mean = math.exp(np.log(trials[column].astype(float)).mean())
            value, lower, upper = bencher[cell, measure]
            assert entries[f"{cell} {column}"]["value"] == near(mean)
            assert value == near(mean)
            assert lower < value < upper


def test_each_direction_has_a_file_of_its_own(make_run):
    files = export.render("github-action-benchmark", make_run())
    bigger, smaller = (json.loads(files[f"github-action-benchmark-{word}.json"]) for word in WORDS)
    assert {entry["name"].split()[1] for entry in bigger} == {"replies_per_s"}
    assert {entry["name"].split()[1] for entry in smaller} >= {"server_cpu_us_per_reply", "response_p50_ns"}


def test_a_saturated_generator_is_remarked(make_run):
    entries, _ = exported(make_run(change=saturated), "coroutines")
    for name, entry in entries.items():
        limited = "lower bound" in entry["extra"] or "generator was the limit" in entry["extra"]
        assert limited == ("replies_per_s" in name)


def test_bounds_are_left_out_where_none_can_be_stated(make_run):
    entries, bencher = exported(make_run(rounds=1), "coroutines")
    assert {(lower, upper) for _, lower, upper in bencher.values()} == {(None, None)}
    assert not any("range" in entry for entry in entries.values())


def test_a_ratio_is_paired_by_round_and_drift_cancels(make_run):
    def drifting(record):
        record["metrics"]["replies_per_s"] *= 2.0 ** record["trial"]["round"]

    run = make_run(change=drifting)
    entries, bencher = exported(run, "coroutines")
    one = run.measured[run.measured["workload"] == "c16"].pivot_table(
        index="round", columns="server", values="replies_per_s"
    )
    expected = float(np.exp(np.log(one["threads"] / one["coroutines"]).mean()))
    value, lower, upper = bencher["threads/c16 / coroutines", "throughput-ratio"]
    assert value == near(expected)
    assert entries["threads/c16 replies_per_s / coroutines"]["value"] == near(expected)
    assert entries["threads/c16 replies_per_s / coroutines"]["unit"] == "ratio"
    assert lower < value < upper
    assert upper / lower < 1.2, "an interval as wide as the drift was not paired"
    assert not any(name.startswith("coroutines") for name in entries if "/ coroutines" in name)


def test_a_round_without_the_baseline_gives_no_ratio(run_with_failures):
    entries, _ = exported(run_with_failures, "coroutines")
    assert entries["threads/c1 replies_per_s / coroutines"]["extra"].startswith("6 rounds;")
    assert not any(name.startswith("threads/c16") for name in entries)


def test_a_baseline_that_the_run_does_not_have_is_refused(make_run):
    with pytest.raises(UsageError, match="did you mean 'coroutines'"):
        export.render("bencher", make_run(rounds=1), "coroutine")
    with pytest.raises(UsageError, match="pyperf has no place for ratios"):
        export.render("pyperf", make_run, "coroutines")


def compared(path, slower=0.10, **terms):
    """Write a comparison of 12 pairs as `regress --json` prints it: the candidate is slower in one of two cells."""
    draw = np.random.default_rng(3)
    rows = []
    for cell, factor in (("threads/c16/1024B", 1 + slower), ("other/c16/1024B", 1.0)):
        for pair in range(12):
            for arm in Arm:
                speed = math.exp(draw.normal(0, 0.01)) * (factor if arm is Arm.CANDIDATE else 1)
                values = {"replies_per_s": 1e4 / speed, "server_cpu_us_per_reply": 20 * speed}
                values |= {"response_p50_ns": 1e6 * speed, "response_p99_ns": None}
                rows.append(Observation(cell=cell, pair=pair, arm=arm, values=values))
    found = judge(rows, cells=["threads/c16/1024B", "other/c16/1024B"], looks=(12,), **terms).to_json()
    path.write_text(json.dumps(found | {"facts": {"baseline": "v1.2 (0123abcd)"}}))
    return path, {cell["cell"]: {m["rule"]["metric"]: m for m in cell["metrics"]} for cell in found["cells"]}


def test_a_comparison_gives_the_candidate_and_its_ratio_to_the_baseline(tmp_path):
    path, cells = compared(tmp_path / "regress.json")
    entries, bencher = read_all({name: export.render_comparison(name, path) for name in export.formats_of_values()})
    for cell, metrics in cells.items():
        for column, measure in (
            ("replies_per_s", "throughput"),
            ("server_cpu_us_per_reply", "server-cpu-us-per-reply"),
        ):
            change, candidate = metrics[column]["change"], metrics[column]["candidate"]
            ratio = tuple(1 + change[key] for key in ("value", "low", "high"))
            assert bencher[f"{cell} / baseline", f"{measure}-ratio"] == near(ratio)
            assert bencher[cell, measure][0] == near(candidate["value"])
            assert entries[f"{cell} {column} / baseline"]["value"] == near(ratio[0])
    slow = entries["threads/c16/1024B server_cpu_us_per_reply / baseline"]
    assert slow["value"] == pytest.approx(1.10, abs=0.02)
    assert slow["extra"].startswith("12 pairs; REGRESSED against v1.2 (0123abcd); 99.6 % interval [1.0")
    assert not any("p99" in name for name in entries), "what was not seen has no number"


def test_a_comparison_on_a_disturbed_host_has_no_number(tmp_path):
    path, _ = compared(tmp_path / "regress.json", host_problem="the hypervisor took 40 %")
    with pytest.raises(MeasurementError, match="the hypervisor took 40 %"):
        export.render_comparison("bencher", path)


@pytest.mark.parametrize("text", ["", "[]", '{"cells": 3}', "REGRESSED: threads"])
def test_a_file_that_is_no_comparison_is_refused(tmp_path, text):
    path = tmp_path / "regress.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="is not what `echobench regress --json` prints"):
        export.render_comparison("bencher", path)


def test_a_format_of_trials_cannot_show_a_comparison(tmp_path):
    with pytest.raises(UsageError, match="pyperf needs the folder of a run"):
        export.render_comparison("pyperf", tmp_path / "regress.json")


def test_both_tools_find_what_they_read_in_pytest_benchmark_files(make_run, builder):
    """src/extract.ts, `extractPytestResult`, and lib/bencher_adapter/src/adapters/python/pytest.rs."""
    machine = {"machine": {"host": "h", "cpu_model": None, "cpus": 2, "system": "Linux", "kernel": "6.1"}}
    whole = json.loads(
        export.render("pytest-benchmark", make_run(info=machine))["pytest-benchmark.json"], **NOT_IN_JSON
    )
    assert {"machine_info", "commit_info", "benchmarks"} <= set(whole)
    for one in whole["benchmarks"]:
        assert isinstance(one["fullname"], str)
        assert all(type(one["stats"][key]) is float for key in ("ops", "mean", "stddev", "median", "iqr"))
        assert type(one["stats"]["rounds"]) is int
