"""A run folder becomes tables: columns, types, what is missing, and what is said of a folder that cannot be read."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from helpers.run_folders import failed

from bench.analysis.runs import run_folder
from bench.errors import MeasurementError, UsageError
from bench.experiment import schema, store
from bench.experiment.doubts import Doubt
from bench.experiment.model import Server, Status, Trial, TrialResult
from clients.workload import Workload


def test_the_tables_have_exactly_the_documented_columns_and_types(builder):
    run_folder.assemble(builder.run())
    run = run_folder.load(builder.folder)
    for table, columns in ((run.trials, schema.TRIALS), (run.timeline, schema.TIMELINE), (run.monitor, schema.MONITOR)):
        assert list(table) == [column.name for column in columns]
        assert {name: str(dtype) for name, dtype in table.dtypes.items()} == {c.name: c.dtype for c in columns}
    assert (len(run.trials), len(run.timeline), len(run.monitor)) == (24, 240, 120)
    assert run.trials["trial"].tolist() == list(range(1, 25))


def test_pandas_alone_reads_the_same_numbers(builder):
    run_folder.assemble(builder.run())
    records = [json.loads(path.read_text()) for path in sorted((builder.folder / "trials").iterdir())]
    trials = pd.read_parquet(builder.folder / "trials.parquet")
    assert trials["replies_per_s"].tolist() == [record["metrics"]["replies_per_s"] for record in records]
    assert trials["server"].tolist() == [record["trial"]["server"]["name"] for record in records]
    assert set(trials["run"]) == {"a-run"}


def test_a_failed_trial_is_a_row_without_numbers(builder):
    builder.run(change=lambda record: failed(record) if record["trial"]["number"] == 3 else None)
    run = run_folder.load(builder.folder)
    row = run.trials.set_index("trial").loc[3]
    assert row["status"] == Status.SERVER_DIED
    assert "too many open files" in row["status_detail"]
    assert row[["replies_per_s", "errors", "throughput_is_lower_bound"]].isna().all()
    assert row["connections"] in (1, 16, 128, 1000)
    assert 3 not in set(run.measured["trial"])
    assert 3 not in set(run.timeline["trial"])


def test_missing_is_na_and_zero_stays_zero(builder):
    def change(record):
        record["metrics"]["server_rss_max_bytes"] = None
        del record["metrics"]["server_cpu_us_per_reply"]
        record["timeline"][0]["response_p99_ns"] = None

    builder.run(change=change)
    run_folder.assemble(builder.folder)
    run = run_folder.load(builder.folder)
    assert run.trials[["server_rss_max_bytes", "server_cpu_us_per_reply", "lateness_p99_ns"]].isna().all(axis=None)
    assert (run.trials["errors"] == 0).all()
    assert run.timeline["response_p99_ns"].isna().sum() == len(run.trials)


def test_what_was_not_assembled_yet_reads_the_same(builder):
    builder.run()
    fresh = run_folder.load(builder.folder)
    assert not list(builder.folder.glob("*.parquet"))
    run_folder.assemble(builder.folder)
    stored = run_folder.load(builder.folder)
    pd.testing.assert_frame_equal(fresh.trials, stored.trials)
    pd.testing.assert_frame_equal(fresh.timeline, stored.timeline)
    pd.testing.assert_frame_equal(fresh.monitor, stored.monitor)


def test_assembling_again_gives_the_same_bytes_and_leaves_no_parts(builder):
    builder.run()
    run_folder.assemble(builder.folder)
    first = {path.name: path.read_bytes() for path in builder.folder.glob("*.parquet")}
    run_folder.assemble(builder.folder)
    assert {path.name: path.read_bytes() for path in builder.folder.glob("*.parquet")} == first
    assert set(first) == {"trials.parquet", "slices.parquet", "timeline.parquet", "monitor.parquet"}
    assert not list(builder.folder.glob(".*"))


def test_what_the_store_writes_is_what_is_read(tmp_path):
    trial = Trial(
        number=1,
        round=1,
        server=Server(name="threads", interpreter="CPython 3.11.9"),
        workload_name="c4-1KiB",
        workload=Workload(connections=4, rate_per_s=100.0, arrivals="poisson"),
    )
    result = TrialResult(
        trial=trial,
        status=Status.MEASURED,
        started_at="2025-11-24T16:00:00Z",
        metrics={"replies_per_s": 99.5, "lateness_p99_ns": 81000.0},
        doubts=(Doubt.LATE_SENDS, Doubt.STEAL),
        timeline=({"at_s": 0.0, "slice_s": 0.1, "replies": 10, "errors": 0},),
        samples=({"at_s": 0.0, "process": "machine", "cpu_s": 1.0, "steal_s": 0.0},),
    )
    kept = store.Store.create(tmp_path, "smoke", {})
    kept.save(result)
    kept.save(replace(result, trial=replace(trial, number=2), status=Status.SKIPPED, metrics={}, doubts=()))
    run = run_folder.load(kept.path)
    row = run.trials.iloc[0]
    assert (row["connections"], row["rate_per_s"], row["arrivals"], row["interpreter"]) == (
        4,
        100.0,
        "poisson",
        "CPython 3.11.9",
    )
    assert (row["replies_per_s"], row["lateness_p99_ns"], row["doubts"]) == (99.5, 81000.0, "late-sends,steal")
    assert run.trials["doubts"][1] == ""
    assert run.monitor["rss_bytes"].isna().all()
    assert run.id == kept.path.name


def test_two_groups_of_trials_are_a_doubt_about_their_cell_only(builder):
    def change(record):
        if record["trial"]["server"]["name"] == "threads" and record["trial"]["round"] % 2:
            record["metrics"]["replies_per_s"] *= 1.6
            record["doubts"].append("steal")

    builder.run(connections=(16,), rounds=8, spread=0.02, change=change)
    trials = run_folder.load(builder.folder).trials
    assert set(trials.loc[trials["server"] == "threads", "doubts"]) == {"steal,modes", "modes"}
    assert set(trials.loc[trials["server"] == "coroutines", "doubts"]) == {""}


def spoil_info(folder, **changes):
    path = folder / "run.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_a_folder_that_is_no_run_says_what_is_missing(tmp_path):
    with pytest.raises(UsageError, match=r"not a run: there is no run\.json"):
        run_folder.load(tmp_path)
    with pytest.raises(UsageError, match="not a run"):
        run_folder.assemble(tmp_path / "nowhere")
    (tmp_path / "run.json").write_text("[]")
    with pytest.raises(UsageError, match="one JSON object"):
        run_folder.load(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(UsageError, match="not JSON"):
        run_folder.load(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(UsageError, match="no schema_version"):
        run_folder.load(tmp_path)


def test_a_newer_schema_asks_for_an_upgrade(builder):
    spoil_info(builder.run(), schema_version=schema.SCHEMA_VERSION + 1)
    with pytest.raises(UsageError, match=rf"schema {schema.SCHEMA_VERSION + 1}.*upgrade echobench"):
        run_folder.load(builder.folder)


def test_a_run_without_a_trial_is_nothing_to_report(builder):
    builder.run(rounds=0)
    for read in (run_folder.load, run_folder.assemble):
        with pytest.raises(MeasurementError, match="holds no trial"):
            read(builder.folder)


def test_a_metric_that_nobody_documented_is_not_dropped_in_silence(builder):
    builder.run(rounds=1, change=lambda record: record["metrics"].update(replies_per_hour=1.0))
    with pytest.raises(MeasurementError, match="no such column: replies_per_hour"):
        run_folder.load(builder.folder)


@pytest.mark.parametrize("text", ["{", "[]", '{"trial": {}}'])
def test_a_record_that_cannot_be_read_is_named(builder, text):
    builder.run(rounds=1)
    (builder.folder / "trials" / "0002.json").write_text(text)
    with pytest.raises(MeasurementError, match=r"0002\.json is not the record of a trial"):
        run_folder.load(builder.folder)


def test_the_workload_of_a_trial_is_in_its_row(builder):
    trials = run_folder.load(builder.run(workload={"think_s": 0.25, "requests_per_connection": 10})).trials
    assert set(trials["think_s"]) == {0.25}
    assert set(trials["requests_per_connection"]) == {10}


def test_a_column_that_an_older_run_did_not_have_is_not_known(builder):
    run_folder.assemble(builder.run(rounds=1))
    spoil_info(builder.folder, schema_version=1)
    path = builder.folder / "trials.parquet"
    pd.read_parquet(path).drop(columns=["think_s", "requests_per_connection"]).to_parquet(path)
    trials = run_folder.load(builder.folder).trials
    assert trials["think_s"].isna().all()
    assert list(trials.columns) == [column.name for column in schema.TRIALS]


def test_load_says_how_to_rebuild_a_table_that_lacks_a_column(builder):
    run_folder.assemble(builder.run(rounds=1))
    path = builder.folder / "monitor.parquet"
    pd.read_parquet(path).drop(columns=["fds", "threads"]).to_parquet(path)
    with pytest.raises(UsageError, match=r"lacks threads, fds: rebuild it with `echobench report"):
        run_folder.load(builder.folder)
    path.unlink()
    with pytest.raises(UsageError, match=r"monitor\.parquet is missing: rebuild it"):
        run_folder.load(builder.folder)
    assert len(run_folder.load(builder.folder, from_records=True).monitor) == 40


def test_the_records_can_be_asked_for_though_tables_are_there(builder):
    run_folder.assemble(builder.run(rounds=1))
    (builder.folder / "trials" / "0001.json").unlink()
    assert len(run_folder.load(builder.folder).trials) == 8
    assert len(run_folder.load(builder.folder, from_records=True).trials) == 7
    assert np.array_equal(run_folder.load(builder.folder, from_records=True).trials["trial"], np.arange(2, 9))
