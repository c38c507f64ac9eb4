"""A run folder becomes tables: columns, types, what is missing, and what is said of a folder that cannot be read."""

import json
import os
import shutil
import weakref
from dataclasses import replace

import pandas as pd
import pyarrow.dataset
import pytest
from helpers import run_folders
from helpers.agent_rows import shared_by
from helpers.checkout import CHECKOUT
from helpers.run_folders import Builder, failed

from bench.analysis.runs import run_folder, tables
from bench.errors import MeasurementError, UsageError
from bench.experiment import schema, store
from bench.experiment.doubts import Doubt
from bench.experiment.model import Server, Status, Trial, TrialResult
from bench.experiment.records import read_records
from clients.workload import Workload

REFERENCE = CHECKOUT / "results" / "reference"


def test_the_tables_have_exactly_the_documented_columns_and_types(builder):
    run_folders.assemble(builder.run())
    run = run_folder.load(builder.folder)
    for table, columns in ((run.trials, schema.TRIALS), (run.timeline, schema.TIMELINE), (run.monitor, schema.MONITOR)):
        assert list(table) == [column.name for column in columns]
        assert {name: str(dtype) for name, dtype in table.dtypes.items()} == {c.name: c.dtype for c in columns}
    assert (len(run.trials), len(run.timeline), len(run.monitor)) == (24, 240, 120)
    assert run.trials["trial"].tolist() == list(range(1, 25))


def test_pandas_alone_reads_the_same_numbers(builder):
    run_folders.assemble(builder.run())
    records = [json.loads(path.read_text()) for path in sorted((builder.folder / "trials").iterdir())]
    trials = pd.read_parquet(builder.folder / "trials.parquet")
    assert trials["replies_per_s"].tolist() == [record["metrics"]["replies_per_s"] for record in records]
    assert trials["server"].tolist() == [record["trial"]["server"]["name"] for record in records]
    assert set(trials["run"]) == {"a-run"}


class Rows(list):
    """The rows of a record, which can be seen to be gone."""

    __hash__ = object.__hash__


def test_rows_of_one_record_are_held_at_a_time(builder):
    whole = read_records(builder.run()).whole.values()
    held, most = weakref.WeakSet(), []

    def records():
        for record in whole:
            most.append(len(held))
            rows = Rows(record["timeline"])
            held.add(rows)
            yield record | {"timeline": rows}

    assert len(tables.of_records("run", records())["trials"]) == len(whole) == len(most)
    assert max(most) == 1


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
    run_folders.assemble(builder.folder)
    run = run_folder.load(builder.folder)
    assert run.trials[["server_rss_max_bytes", "server_cpu_us_per_reply", "lateness_p99_ns"]].isna().all(axis=None)
    assert (run.trials["errors"] == 0).all()
    assert run.timeline["response_p99_ns"].isna().sum() == len(run.trials)


def test_what_was_not_assembled_yet_reads_the_same(builder):
    builder.run()
    fresh = run_folder.load(builder.folder)
    assert not list(builder.folder.glob("*.parquet"))
    run_folders.assemble(builder.folder)
    stored = run_folder.load(builder.folder)
    pd.testing.assert_frame_equal(fresh.trials, stored.trials)
    pd.testing.assert_frame_equal(fresh.timeline, stored.timeline)
    pd.testing.assert_frame_equal(fresh.monitor, stored.monitor)


def test_assembling_again_gives_the_same_bytes_and_leaves_no_parts(builder):
    builder.run()
    run_folders.assemble(builder.folder)
    first = {path.name: path.read_bytes() for path in builder.folder.glob("*.parquet")}
    run_folders.assemble(builder.folder)
    assert {path.name: path.read_bytes() for path in builder.folder.glob("*.parquet")} == first
    assert set(first) == {f"{name}.parquet" for name in ("trials", "slices", "timeline", "monitor", "agents")}
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
        run_folders.assemble(tmp_path / "nowhere")
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
    for read in (run_folder.load, run_folders.assemble):
        with pytest.raises(MeasurementError, match="holds no trial"):
            read(builder.folder)


def test_a_metric_that_nobody_documented_is_not_dropped_in_silence(builder):
    builder.run(rounds=1, change=lambda record: record["metrics"].update(replies_per_hour=1.0))
    with pytest.raises(MeasurementError, match="no such column: replies_per_hour"):
        run_folder.load(builder.folder)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"trial": {}}', '{"trial": 7}', "\0\0", None])
def test_a_torn_record_is_named_and_the_rest_is_used(builder, text):
    path = builder.run(rounds=1) / "trials" / "0002.json"
    path.unlink() if text is None else path.write_text(text)
    run = run_folder.load(builder.folder)
    assert run.trials["trial"].tolist() == [1, 3, 4, 5, 6, 7, 8]
    first, second = run.damage
    assert first == "7 of 8 trials have a record that is whole"
    assert second.startswith("trials/0002.json: it ")
    assert second.endswith("; it is left out")


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("metrics", [1]),
        ("doubts", 7),
        ("timeline", None),
        ("slices", [3]),
        ("trial", {"number": "2"}),
        ("status", "odd"),
    ],
)
def test_a_record_of_another_shape_is_torn(builder, part, value):
    path = builder.run(rounds=1) / "trials" / "0002.json"
    record = json.loads(path.read_bytes())
    record[part] = record[part] | value if isinstance(value, dict) else value
    path.write_text(json.dumps(record))
    run = run_folder.load(builder.folder)
    assert len(run.trials) == 7
    assert run.damage[1].startswith("trials/0002.json: it has ")


def test_a_record_that_is_a_link_to_nowhere_is_torn(builder):
    run_folders.assemble(builder.run(rounds=1))
    for number, target in ((2, "0002.json"), (3, "nowhere")):
        path = builder.folder / "trials" / f"000{number}.json"
        path.unlink()
        path.symlink_to(target)
    run = run_folder.load(builder.folder)
    assert len(run.trials) == 8
    assert [line.partition(": it cannot be read")[0] for line in run.damage[1:]] == [
        "trials/0002.json",
        "trials/0003.json",
    ]


def test_a_record_under_the_number_of_another_trial_counts_once(builder):
    folder = builder.run(rounds=1) / "trials"
    (folder / "0009.json").write_bytes((folder / "0001.json").read_bytes())
    (folder / "0001 (copy).json").write_bytes((folder / "0001.json").read_bytes())
    run = run_folder.load(builder.folder)
    assert run.trials["trial"].tolist() == list(range(1, 9))
    assert [line.partition(":")[0] for line in run.damage[1:]] == ["trials/0009.json", "trials/0001 (copy).json"]


def test_a_run_says_how_many_of_its_last_trials_are_missing(builder):
    spoil_info(builder.run(rounds=1), trials=8)
    for number in (7, 8):
        (builder.folder / "trials" / f"000{number}.json").unlink()
    run = run_folder.load(builder.folder)
    assert len(run.trials) == 6
    assert run.damage[0] == "6 of 8 trials have a record that is whole"
    assert len(run.damage) == 3


def test_a_trial_without_its_record_is_taken_from_the_tables(builder):
    run_folders.assemble(builder.run(rounds=1))
    before = run_folder.load(builder.folder)
    (builder.folder / "trials" / "0004.json").unlink()
    (builder.folder / "trials" / "0005.json").write_text("{")
    for _ in range(2):  # before the tables are made anew, and after
        run = run_folder.load(builder.folder, from_records=True)
        for name in schema.TABLES:
            pd.testing.assert_frame_equal(getattr(run, name), getattr(before, name), obj=name)
        assert run.damage[0] == "6 of 8 trials have a record that is whole"
        assert [line.rpartition("; ")[2] for line in run.damage[1:]] == ["its trial is taken from trials.parquet"] * 2
        run_folders.assemble(builder.folder)


def test_tables_that_are_older_than_the_records_are_not_believed(builder):
    run_folders.assemble(builder.run(rounds=1))
    late = builder.folder / "trials" / "0009.json"
    record = json.loads((builder.folder / "trials" / "0001.json").read_text())
    record["trial"]["number"] = 9
    late.write_text(json.dumps(record))
    assert len(run_folder.load(builder.folder).trials) == 9
    late.unlink()
    again = builder.folder / "trials" / "0001.json"
    record["trial"]["number"], record["metrics"]["replies_per_s"] = 1, 7.0
    again.write_text(json.dumps(record))
    made_ns = (builder.folder / "trials.parquet").stat().st_mtime_ns
    os.utime(again, ns=(made_ns + 1, made_ns + 1))
    assert run_folder.load(builder.folder).trials["replies_per_s"][0] == 7.0


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Return a run whose tables were written, loaded; do not change its folder."""
    folder = Builder(tmp_path_factory.mktemp("whole") / "a-run").run(connections=(1,), rounds=1)
    run_folders.assemble(folder)
    return run_folder.load(folder)


TORN = [*((name, b"PAR1 torn") for name in sorted(schema.TABLES)), ("trials", b""), ("monitor", None)]


@pytest.mark.parametrize(("name", "content"), TORN)
def test_a_torn_table_is_named_and_made_of_the_records(whole, tmp_path, name, content):
    folder = shutil.copytree(whole.path, tmp_path / "a-run")
    path = folder / f"{name}.parquet"
    path.unlink() if content is None else path.write_bytes(content)
    run = run_folder.load(folder)
    pd.testing.assert_frame_equal(getattr(run, name), getattr(whole, name))
    (said,) = run.damage
    assert said.startswith(f"{name}.parquet: it ")
    assert said.endswith("; it is made again of the records")
    run_folders.assemble(folder)
    assert run_folder.load(folder).damage == ()


def test_a_torn_table_without_records_is_named_and_left_out(builder):
    run_folders.assemble(builder.run(rounds=1))
    shutil.rmtree(builder.folder / "trials")
    assert run_folder.load(builder.folder).damage == ()
    (builder.folder / "monitor.parquet").write_bytes(b"torn")
    run = run_folder.load(builder.folder)
    assert (len(run.trials), len(run.monitor)) == (8, 0)
    assert [line.partition(":")[0] for line in run.damage] == ["monitor.parquet"]
    (builder.folder / "trials.parquet").write_bytes(b"torn")
    with pytest.raises(MeasurementError, match=r"trials\.parquet: it cannot be read"):
        run_folder.load(builder.folder)


def test_a_torn_description_is_named_and_the_records_are_used(builder):
    (builder.run(rounds=1) / "run.json").write_text('{"schema_version": 3, "sta')
    run = run_folder.load(builder.folder)
    assert len(run.trials) == 8
    assert "run.json is not JSON" in run.damage[0]
    assert "the machine and the versions of this run are not known" in run.damage[0]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cells": 5}, "has another `cells` than a run keeps"),
        ({"servers": ["threads"]}, "has another `servers` than a run keeps"),
        ({"machine": 3}, "has another `machine` than a run keeps"),
        ({"schema_version": "5"}, "has no schema_version"),
        (None, "is not JSON (maximum recursion depth"),
    ],
)
def test_a_description_of_another_shape_is_torn(builder, change, words):
    path = builder.run(rounds=1) / "run.json"
    path.write_text("[" * 100_000 if change is None else json.dumps(json.loads(path.read_bytes()) | change))
    run = run_folder.load(builder.folder)
    assert len(run.trials) == 8
    assert words in run.damage[0]
    with pytest.raises(UsageError, match=r"cannot be resumed: it has no run\.json that can be read"):
        store.Store.open(builder.folder)


def test_what_the_latency_log_lacks_is_named(builder):
    log = builder.run(rounds=1) / "latency.hlog"
    lines = log.read_text().splitlines(keepends=True)
    begins = [line.partition(".")[0] for line in lines]
    torn = begins.index("Tag=3")
    lines[torn] = lines[torn][:-20] + "\n"
    lines.remove(lines[begins.index("Tag=5")])
    log.write_text("".join(lines))
    assert run_folder.load(builder.folder).damage == (
        f"latency.hlog, line {torn + 1}: not an HDR histogram; it is left out",
        "latency.hlog has no whole line of trial 3 and 5: spectra and histograms are without it",
    )
    log.unlink()
    assert run_folder.load(builder.folder).damage[0].startswith("latency.hlog is missing")


def test_names_that_are_no_text_here_fail_no_table(builder):
    """In the C locale every letter beyond ASCII is such a byte: of a folder, of a server's command."""
    builder.folder = builder.folder.with_name("r\udcf6n")
    builder.run(rounds=1, change=lambda record: record.update(detail="cannot start \udcf6"))
    run_folders.assemble(builder.folder)
    run = run_folder.load(builder.folder)
    assert set(run.trials["status_detail"]) == {"cannot start \ufffd"}
    assert set(run.slices["run"]) | set(run.trials["run"]) == {"r\ufffdn"}


def test_a_folder_that_cannot_be_written_is_a_sentence(builder):
    builder.run(rounds=1)
    (builder.folder / f".trials.parquet.{os.getpid()}.part").mkdir()
    with pytest.raises(UsageError, match=r"cannot write to .*a-run: .*; choose another folder for a report with --out"):
        run_folders.assemble(builder.folder)


def test_a_full_disk_is_no_wrong_use(builder, disk_of):
    builder.run(rounds=1)
    with disk_of(0), pytest.raises(MeasurementError, match=r"cannot write to .*; make room, or choose"):
        run_folders.assemble(builder.folder)
    assert not list(builder.folder.glob("*.parquet"))
    assert len(run_folder.load(builder.folder).trials) == 8


def test_the_workload_of_a_trial_is_in_its_row(builder):
    trials = run_folder.load(builder.run(workload={"think_s": 0.25, "requests_per_connection": 10})).trials
    assert set(trials["think_s"]) == {0.25}
    assert set(trials["requests_per_connection"]) == {10}


def test_a_column_that_an_older_run_did_not_have_is_not_known(builder):
    run_folders.assemble(builder.run(rounds=1))
    spoil_info(builder.folder, schema_version=1)
    path = builder.folder / "trials.parquet"
    pd.read_parquet(path).drop(columns=["think_s", "requests_per_connection"]).to_parquet(path)
    trials = run_folder.load(builder.folder).trials
    assert trials["think_s"].isna().all()
    assert list(trials.columns) == [column.name for column in schema.TRIALS]


def test_a_table_that_lacks_a_column_is_named(builder):
    run_folders.assemble(builder.run(rounds=1))
    path = builder.folder / "monitor.parquet"
    pd.read_parquet(path).drop(columns=["fds", "threads"]).to_parquet(path)
    run = run_folder.load(builder.folder)
    assert run.damage == (
        "monitor.parquet: it cannot be read (it lacks threads, fds); it is made again of the records",
    )
    assert len(run.monitor) == 40


def test_the_records_can_be_asked_for_though_tables_are_there(builder):
    run_folders.assemble(builder.run(rounds=1))
    path = builder.folder / "trials" / "0001.json"
    stored = path.stat()
    record = json.loads(path.read_text())
    record["metrics"]["replies_per_s"] = 7.0
    path.write_text(json.dumps(record))
    os.utime(path, ns=(stored.st_atime_ns, stored.st_mtime_ns))
    assert run_folder.load(builder.folder).trials["replies_per_s"][0] != 7.0
    assert run_folder.load(builder.folder, from_records=True).trials["replies_per_s"][0] == 7.0


@pytest.mark.parametrize("table", [name for name in schema.TABLES if (REFERENCE / f"{name}.parquet").exists()])
def test_tables_of_many_runs_are_read_as_one_without_casts(builder, table):
    run_folders.assemble(builder.run(connections=(1,), rounds=1, change=failed))  # whole columns are NA
    files = [folder / f"{table}.parquet" for folder in (builder.folder, REFERENCE)]
    parts = [pyarrow.dataset.dataset(file) for file in files]
    union = pyarrow.unify_schemas([part.schema.remove_metadata() for part in parts])  # it raises where types differ
    assert set(union.names) == {column.name for column in schema.TABLES[table]}
    whole = pyarrow.dataset.dataset(files, schema=union).to_table()
    assert whole.num_rows == sum(part.count_rows() for part in parts)


def test_a_run_of_a_schema_without_agents_is_read_without_damage(builder):
    run_folders.assemble(builder.run(connections=(16,), rounds=1))
    (builder.folder / "agents.parquet").unlink()
    spoil_info(builder.folder, schema_version=4)
    run = run_folder.load(builder.folder)
    assert run.damage == ()
    assert list(run.agents.columns) == [column.name for column in schema.AGENTS]
    assert run.agents.empty


def test_rows_of_agents_are_read_back_from_records_and_from_parquet(builder):
    builder.run(connections=(16,), rounds=1, change=shared_by(("0@a", "1@b")))
    fresh = run_folder.load(builder.folder)
    run_folders.assemble(builder.folder)
    pd.testing.assert_frame_equal(run_folder.load(builder.folder).agents, fresh.agents)
    assert fresh.agents[["trial", "agent", "share"]].to_numpy().tolist() == [
        [trial, agent, f"{number}/2"] for trial in (1, 2) for number, agent in enumerate(("0@a", "1@b"))
    ]
