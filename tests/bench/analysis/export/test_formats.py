"""Every export, read back by the tool it is for where that tool can be had, shows the numbers of the run."""

from __future__ import annotations

import csv
import io
import json
import statistics
import subprocess
import sys

import junitparser
import numpy as np
import pandas as pd
import pyperf
import pytest
from helpers.junit import junit_fault
from helpers.run_folders import RUN_INFO, failed
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from bench.analysis import export
from bench.analysis.runs import run_folder
from bench.errors import MeasurementError, UsageError
from bench.experiment.model import Status

DURATIONS = {
    "time_per_reply": lambda trials: 1 / trials["replies_per_s"],
    "server_cpu_per_reply": lambda trials: trials["server_cpu_us_per_reply"] / 1e6,
    "response_p50": lambda trials: trials["response_p50_ns"] / 1e9,
    "response_p99": lambda trials: trials["response_p99_ns"] / 1e9,
}


def expected(run):
    """Compute the median of each cell's durations by hand: name to seconds."""
    return {
        f"{server}/{workload}/{name}": statistics.median(seconds(cell).astype(float))
        for (server, workload), cell in run.trials[run.trials["status"] == "measured"].groupby(["server", "workload"])
        for name, seconds in DURATIONS.items()
    }


def ask(*command, cwd):
    """Run a consumer's own command line; return what it printed."""
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=cwd, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def near(values):
    return pytest.approx(values, rel=1e-9)


def test_pytest_benchmark_compares_it(run_with_failures, tmp_path):
    (path,) = export.write(export.render("pytest-benchmark", run_with_failures), tmp_path)
    ask("pytest_benchmark", "compare", str(path), "--csv", str(tmp_path / "table.csv"), cwd=tmp_path)
    with (tmp_path / "table.csv").open() as lines:
        shown = {row["name"].removeprefix("echobench/"): float(row["median"]) for row in csv.DictReader(lines)}
    assert shown == near(expected(run_with_failures))


def test_pytest_benchmark_ops_of_time_per_reply_are_the_replies_per_s(make_run):
    benchmarks = json.loads(export.render("pytest-benchmark", make_run())["pytest-benchmark.json"])["benchmarks"]
    one = next(item for item in benchmarks if item["name"] == "threads/c16/time_per_reply")
    assert one["stats"]["ops"] == near(1 / statistics.mean(one["stats"]["data"]))
    assert one["stats"]["rounds"] == len(one["stats"]["data"]) == 8


def test_pytest_benchmark_takes_a_single_trial(make_run, tmp_path):
    paths = export.write(export.render("pytest-benchmark", make_run(rounds=1)), tmp_path)
    assert "threads/c16/response_p99" in ask("pytest_benchmark", "compare", str(paths[0]), cwd=tmp_path)


def test_pyperf_loads_it(run_with_failures):
    suite = pyperf.BenchmarkSuite.loads(export.render("pyperf", run_with_failures)["pyperf.json"])
    assert {bench.get_name(): bench.median() for bench in suite} == near(expected(run_with_failures))
    assert {bench.get_name(): bench.get_nrun() for bench in suite}["coroutines/c1/response_p50"] == 6


def test_pyperf_compares_two_runs(make_run, builder, tmp_path):
    def slower(record):
        record["metrics"]["replies_per_s"] /= 2

    first = export.write(export.render("pyperf", make_run()), tmp_path / "first")
    builder.folder = tmp_path / "other-run"
    second = export.write(export.render("pyperf", make_run(change=slower)), tmp_path / "second")
    shown = ask("pyperf", "compare_to", "--table", str(first[0]), str(second[0]), cwd=tmp_path)
    row = next(line for line in shown.splitlines() if "threads/c16/time_per_reply" in line)
    assert "slower" in row


@pytest.mark.parametrize("name", ["asv", "pytest-benchmark"])
def test_a_format_with_the_machine_needs_a_run_json_that_is_whole(builder, name):
    builder.run(rounds=1)
    (builder.folder / "run.json").write_text("{")
    run = run_folder.load(builder.folder)
    with pytest.raises(UsageError, match=r"run\.json does not tell the machine of the run: restore it"):
        export.render(name, run)
    assert export.render("csv", run)


def test_asv_compares_two_commits(make_run, builder, tmp_path):
    def slower(record):
        record["metrics"]["replies_per_s"] /= 2

    commits = commit_twice(tmp_path)
    files = {}
    for number, (commit, change) in enumerate(zip(commits, (lambda record: None, slower), strict=True)):
        builder.folder = tmp_path / f"run-{number}"
        git = {"revision": commit, "dirty": False}
        files |= export.render("asv", make_run(change=change, info=RUN_INFO | {"git": git}))
    export.write(files, tmp_path)
    config = {"version": 1, "project": "x", "repo": ".", "branches": ["main"], "results_dir": "results"}
    (tmp_path / "asv.conf.json").write_text(json.dumps(config))
    shown = ask("asv", "compare", "--machine", "bench-1", *commits, cwd=tmp_path)
    row = next(line for line in shown.splitlines() if "threads/c16/time_per_reply" in line)
    assert row.split("|")[1].strip() == "+"
    unchanged = next(line for line in shown.splitlines() if "threads/c16/server_cpu_per_reply" in line)
    assert unchanged.split("|")[1].strip() == ""
    ask("asv", "publish", cwd=tmp_path)
    index = json.loads((tmp_path / "html" / "index.json").read_text())
    assert {"threads/c16/time_per_reply", "coroutines/c1/response_p99"} <= set(index["benchmarks"])


@pytest.mark.parametrize("rounds", [(1, 5), (2, 5)])
def test_asv_compares_runs_of_few_trials(make_run, builder, tmp_path, rounds):
    """It asks for intervals then, and dies of one that is null. A single trial it takes as it is."""

    def slower(record):
        record["metrics"]["replies_per_s"] /= 10

    commits = commit_twice(tmp_path)
    files = {}
    for number, (commit, trials) in enumerate(zip(commits, rounds, strict=True)):
        builder.folder = tmp_path / f"run-{number}"
        info = RUN_INFO | {"git": {"revision": commit, "dirty": False}}
        change = slower if number else lambda record: None
        files |= export.render("asv", make_run(change=change, info=info, rounds=trials, connections=(16,)))
    export.write(files, tmp_path)
    config = {"version": 1, "project": "x", "repo": ".", "branches": ["main"], "results_dir": "results"}
    (tmp_path / "asv.conf.json").write_text(json.dumps(config))
    shown = ask("asv", "compare", "--machine", "bench-1", *commits, cwd=tmp_path)
    row = next(line for line in shown.splitlines() if "threads/c16/time_per_reply" in line)
    assert row.split("|")[1].strip() == "+"


def test_asv_holds_the_same_medians(run_with_failures):
    files = export.render("asv", run_with_failures)
    results = json.loads(files["results/bench-1/0123abcd-existing-py3.11.json"])["results"]
    assert {name: row[0][0] for name, row in results.items()} == near(expected(run_with_failures))


def test_asv_is_refused_outside_git(make_run):
    with pytest.raises(UsageError, match="not made in a git repository"):
        export.render("asv", make_run(info=RUN_INFO | {"git": None}))


def commit_twice(folder):
    git = ["git", "-c", "user.name=a", "-c", "user.email=a@b", "-C", str(folder)]
    subprocess.run([*git, "init", "-q", "-b", "main"], check=True)
    commits = []
    for _ in range(2):
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
        commits.append(subprocess.check_output([*git, "rev-parse", "HEAD"], text=True).strip())
    return commits


def openmetrics(run):
    text = export.render("openmetrics", run)["openmetrics.txt"]
    assert text.endswith("# EOF\n")
    return {family.name: family for family in text_string_to_metric_families(text)}


def test_openmetrics_is_parsed_and_shows_each_trial(run_with_failures):
    family = openmetrics(run_with_failures)["echobench_response_p99_seconds"]
    shown = {(s.labels["server"], s.labels["workload"], s.labels["trial"]): s.value for s in family.samples}
    measured = run_with_failures.measured
    assert shown == near(
        {(row.server, row.workload, str(row.trial)): row.response_p99_ns / 1e9 for row in measured.itertuples()}
    )


def test_openmetrics_histogram_is_cumulative_and_whole(make_run, builder):
    run = make_run()
    samples = openmetrics(run)["echobench_response_seconds"].samples
    cell = [s for s in samples if (s.labels["server"], s.labels["workload"]) == ("threads", "c16")]
    trials = run.trials[(run.trials["server"] == "threads") & (run.trials["workload"] == "c16")]["trial"]
    pooled = np.concatenate([builder.samples_ns[trial] for trial in trials]) / 1e9
    for sample in cell:
        bound = float(sample.labels.get("le", "nan"))
        if bound in (0.0005, 0.001, float("inf")):
            assert sample.value == pytest.approx((pooled <= bound).sum(), rel=0.02)
    assert next(s.value for s in cell if s.name.endswith("_count")) == pooled.size
    assert next(s.value for s in cell if s.name.endswith("_sum")) == pytest.approx(pooled.sum(), rel=1e-3)


def test_openmetrics_counts_trials_by_the_way_they_ended(run_with_failures):
    samples = openmetrics(run_with_failures)["echobench_trials"].samples
    shown = {(s.labels["server"], s.labels["workload"], s.labels["status"]): s.value for s in samples}
    assert shown["threads", "c16", "server-died"] == 8
    assert shown["coroutines", "c1", "measured"] == 6


def test_openmetrics_labels_every_sample_with_the_commit(make_run):
    families = openmetrics(make_run(rounds=1)).values()
    assert {s.labels["commit"] for family in families for s in family.samples} == {RUN_INFO["git"]["revision"]}


@pytest.mark.parametrize("git", [None, {"revision": None, "dirty": None}])
def test_openmetrics_of_a_run_outside_git_has_no_commit(make_run, git):
    families = openmetrics(make_run(rounds=1, info={"git": git})).values()
    assert not any("commit" in s.labels for family in families for s in family.samples)


def test_openmetrics_escapes_names(make_run):
    run = make_run(servers=('a "quoted" \\ server',), rounds=1)
    samples = openmetrics(run)["echobench_replies_per_second"].samples
    assert {sample.labels["server"] for sample in samples} == {'a "quoted" \\ server'}


def test_junit_is_read_and_counts(make_run):
    def change(record):
        if record["trial"]["number"] == 1:
            failed(record)
        if record["trial"]["number"] == 2:
            failed(record, Status.SKIPPED)

    text = export.render("junit", make_run(change=change))["junit.xml"]
    assert junit_fault(text) == ""
    suite = next(iter(junitparser.JUnitXml.fromstring(text.encode())))
    assert (suite.tests, suite.failures, suite.skipped, suite.errors) == (32, 1, 1, 0)
    cases = {case.name.split()[-1]: case.result for case in suite}
    assert (cases["1"][0].type, cases["2"][0].type, cases["3"]) == ("server-died", "skipped", [])
    assert "too many open files" in cases["1"][0].message


def test_junit_survives_what_a_log_may_contain(make_run):
    def change(record):
        failed(record)
        record["detail"] = "exit \x1b[31m1\x00 <&>"

    text = export.render("junit", make_run(change=change, rounds=1))["junit.xml"]
    (result,) = next(iter(next(iter(junitparser.JUnitXml.fromstring(text.encode()))))).result
    assert result.message == "exit \ufffd[31m1\ufffd <&>"


def test_csv_keeps_failed_trials_without_their_numbers(make_run):
    def change(record):
        if record["trial"]["number"] == 1:
            record["status"] = "wrong-echo"

    run = make_run(change=change)
    run.trials.loc[run.trials["trial"] == 1, "replies_per_s"] = 1e9  # what a careless writer would have left there
    table = pd.read_csv(io.StringIO(export.render("csv", run)["trials.csv"]))
    assert len(table) == len(run.trials)
    assert list(table.columns) == list(run.trials.columns)
    assert table.loc[table["trial"] == 1, ["status", "connections"]].notna().all(axis=None)
    assert table.loc[table["trial"] == 1, ["replies_per_s", "replies", "errors"]].isna().all(axis=None)
    assert table["replies_per_s"].dropna().tolist() == near(run.measured["replies_per_s"].tolist())


def test_json_holds_every_trial_and_says_what_columns_mean(run_with_failures):
    whole = json.loads(export.render("json", run_with_failures)["trials.json"])
    assert whole["run"] == "a-run"
    assert set(whole["trials"][0]) == set(whole["columns"])
    seen = [trial["replies_per_s"] for trial in whole["trials"] if trial["replies_per_s"] is not None]
    assert seen == near(run_with_failures.measured["replies_per_s"].tolist())
    assert sum(trial["replies_per_s"] is None for trial in whole["trials"]) == 10


def test_an_open_loop_has_no_throughput_of_its_own(make_run):
    run = make_run(workload={"rate_per_s": 1000.0, "arrivals": "poisson"})
    assert set(export.render("github-action-benchmark", run)) == {"github-action-benchmark-smaller.json"}
    assert "time_per_reply" not in export.render("pyperf", run)["pyperf.json"]


@pytest.mark.parametrize("name", sorted(set(export.formats()) - {"csv", "json", "junit"}))
def test_a_run_without_a_number_is_refused(make_run, name):
    run = make_run(change=failed)
    with pytest.raises(MeasurementError, match="no measured trial"):
        export.render(name, run)


@pytest.mark.parametrize(("name", "nearest"), [("pyperv", "pyperf"), ("prometheus", "openmetrics")])
def test_an_unknown_format_is_refused_with_the_nearest(make_run, name, nearest):
    """A tool that reads a format is an answer too: people know the tool's name."""
    with pytest.raises(UsageError, match=f"did you mean '{nearest}'"):
        export.render(name, make_run(rounds=1))


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="cannot write"):
        export.write({"a.txt": ""}, tmp_path / "file")
