"""A run folder is whole after every trial, and stays so through interruption, damage and a second writer."""

from __future__ import annotations

import dataclasses
import datetime as dt
import errno
import json
import os
import subprocess
import sys

import pytest

from bench.analysis.runs import run_folder
from bench.errors import MeasurementError, UsageError
from bench.experiment.doubts import Doubt
from bench.experiment.model import Server, Status, Trial, TrialResult
from bench.experiment.schema import SCHEMA_VERSION
from bench.experiment.store import State, Store
from clients.workload import Workload


def result(number, **changes):
    fields = {
        "trial": Trial(
            number=number, round=1, server=Server(name="a"), workload_name="c1", workload=Workload(duration_s=1.0)
        ),
        "status": Status.MEASURED,
        "started_at": "2026-01-01T00:00:00+00:00",
        "metrics": {"replies_per_s": 1000.0 + number, "replies": 1000},
        "doubts": (Doubt.STEAL, Doubt.ERRORS),
        "timeline": ({"at_s": 0.0, "slice_s": 0.1, "replies": 100, "errors": 0, "response_p50_ns": None},),
        "samples": ({"at_s": 0.0, "process": "server", "cpu_s": 0.5},),
        "hlog": f"Tag={number:04}.response,1.0,1.0,1.0,HIST\n",
    }
    return TrialResult(**{**fields, **changes})


@pytest.fixture
def store(tmp_path):
    made = Store.create(tmp_path / "out", "mine", {"plan": {"name": "mine"}})
    yield made
    made.close()


def test_a_new_run_says_at_once_what_it_is(store):
    info = json.loads((store.path / "run.json").read_text())
    assert (info["schema_version"], info["state"], info["run"]) == (SCHEMA_VERSION, "running", store.path.name)
    assert info["plan"] == {"name": "mine"}
    assert store.path.name.endswith("-mine")
    assert store.logs.is_dir()
    assert "#[Histogram log format version 1.3]" in (store.path / "latency.hlog").read_text()


def test_two_runs_of_one_second_do_not_share_a_folder(tmp_path):
    stores = [Store.create(tmp_path, "mine", {}) for _ in range(3)]
    assert len({store.path for store in stores}) == 3
    for store in stores:
        store.close()


def test_the_last_round_is_that_of_the_last_trial(store):
    assert store.last_round() == 0
    for number, round_number in ((3, 2), (1, 0), (2, 1)):
        saved = result(number)
        store.save(dataclasses.replace(saved, trial=dataclasses.replace(saved.trial, round=round_number)))
    assert store.last_round() == 2


def test_the_analysis_reads_what_was_saved(store):
    store.save(result(2))
    store.save(result(1, status=Status.SERVER_DIED, detail="it died", metrics={}, doubts=(), timeline=(), samples=()))
    run = run_folder.load(store.path)
    assert list(run.trials["trial"]) == [1, 2]
    assert list(run.trials["status"]) == ["server-died", "measured"]
    assert list(run.trials["doubts"]) == ["", "steal,errors"]
    assert run.trials["replies_per_s"].isna().tolist() == [True, False]
    assert list(run.timeline["replies"]) == [100]
    assert list(run.monitor["cpu_s"]) == [0.5]


def test_the_interval_lines_of_all_trials_are_in_one_log(store):
    store.save(result(1))
    store.save(result(2))
    lines = (store.path / "latency.hlog").read_text().splitlines()
    assert [line.partition(",")[0] for line in lines if line.startswith("Tag")] == [
        "Tag=0001.response",
        "Tag=0002.response",
    ]


def test_a_finished_run_says_how_it_ended(store):
    store.info["x"] = 1
    store.finish(complete=False, wall_s=3.0)
    info = json.loads((store.path / "run.json").read_text())
    assert (info["state"], info["wall_s"], info["x"]) == (State.PARTIAL, 3.0, 1)


def test_a_run_can_be_taken_up_again_without_what_was_torn(store, tmp_path):
    store.save(result(1))
    with (store.path / "latency.hlog").open("a") as log:
        log.write("Tag=0002.response,1.0,1.0,1.0,HIST\nTag=0002.serv")  # killed before its record was written
    (store.path / "trials" / ".0002.json.part").write_text('{"trial"')
    store.finish(complete=False)
    again = Store.open(store.path)
    again.restart()
    again.close()
    assert again.done() == {1}
    assert [record["trial"]["number"] for record in again.records()] == [1]
    text = (store.path / "latency.hlog").read_text()
    assert "Tag=0001" in text
    assert "Tag=0002" not in text
    assert text.startswith("#")
    assert json.loads((store.path / "run.json").read_text())["state"] == "running"


def test_the_time_of_calls_that_were_cut_off_counts(store):
    """The first call measured until second 10, the second one from second 100 to 104; neither could finish the run."""
    second = dt.datetime.fromisoformat(store.info["started_at"])

    def kept(number, at_s):
        started_at = (second + dt.timedelta(seconds=at_s)).isoformat(timespec="milliseconds")
        return result(number, started_at=started_at, metrics={"window_s": 2.0})

    store.save(kept(1, 8.0))
    store.save(result(3, status=Status.SKIPPED, started_at="", metrics={}))
    store.close()
    again = Store.open(store.path)
    again.restart()
    assert (again.info["wall_s"], again.info["windows_s"]) == (10.0, 2.0)
    again.save(kept(2, 102.0))
    again.info["resumed_at"] = (second + dt.timedelta(seconds=100)).isoformat()
    again.close()
    again.restart()
    assert (again.info["wall_s"], again.info["windows_s"]) == (14.0, 4.0)


def test_a_store_holds_its_folder_against_a_second_writer(store):
    with pytest.raises(UsageError, match="is being measured by another process"):
        Store.open(store.path)
    code = f"from pathlib import Path; from bench.experiment.store import Store; Store.open(Path({str(store.path)!r}))"
    held = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    assert "UsageError" in held.stderr
    store.close()
    free = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=30)
    assert (free.returncode, free.stderr) == (0, "")


@pytest.mark.parametrize("number", ["EBADF", "ENOLCK", "ENOSYS", "EOPNOTSUPP", "EIO"])
def test_a_folder_that_cannot_be_locked_is_measured_into_and_told(tmp_path, monkeypatch, number):
    def flock(_descriptor, _operation):
        raise OSError(getattr(errno, number), os.strerror(getattr(errno, number)))

    monkeypatch.setattr("fcntl.flock", flock)
    made = Store.create(tmp_path, "mine", {})
    made.save(result(1))
    made.finish(complete=False)
    again = Store.open(made.path)
    for opened in (made, again):
        (note,) = opened.notes
        assert f"cannot be locked ({os.strerror(getattr(errno, number))})" in note
    assert again.done() == {1}


def test_a_folder_that_can_be_locked_is_nothing_to_tell(store):
    assert store.notes == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[]", "has no run.json that can be read"),
        (None, "has no run.json that can be read"),
        ("{", "has no run.json that can be read"),
        ('{"schema_version": 999, "state": "partial"}', "its schema is 999, and ours"),
        (f'{{"schema_version": {SCHEMA_VERSION}, "state": "complete"}}', "is complete: add to it with"),
    ],
)
def test_what_cannot_be_resumed_is_said(tmp_path, text, words):
    if text is not None:
        (tmp_path / "run.json").write_text(text)
    with pytest.raises(UsageError, match=words):
        Store.open(tmp_path)


def test_times_that_are_none_cost_no_run(store):
    store.save(result(1, started_at="yesterday", metrics={"window_s": 2.0}))
    store.close()
    again = Store.open(store.path)
    again.info["started_at"] = "x"
    again.restart()
    assert again.info["wall_s"] == 0.0
    assert again.done() == {1}


def test_a_record_whose_number_is_none_is_torn(store):
    store.save(result(1, metrics={"replies_per_s": "fast"}))
    store.close()
    (note,) = Store.open(store.path).notes
    assert "is left out: it has a replies_per_s that is no number: 'fast'" in note


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="choose another folder with --out"):
        Store.create(tmp_path / "file", "mine", {})


def test_a_full_disk_ends_the_run_and_its_trial_does_not_count(store, disk_of):
    store.save(result(1))
    with disk_of(0), pytest.raises(MeasurementError, match="File too large; make room, then --resume it"):
        store.save(result(2))
    assert store.done() == {1}


def test_a_full_disk_at_the_end_of_a_run_is_a_sentence(store, disk_of):
    store.save(result(1))
    with disk_of(0), pytest.raises(MeasurementError, match="make room, then --resume it"):
        store.finish(complete=True)
    again = Store.open(store.path)
    with disk_of(0), pytest.raises(MeasurementError, match="make room, or"):
        again.restart()
    assert again.done() == {1}
    again.close()


def test_a_full_disk_at_the_beginning_is_no_wrong_use(tmp_path, disk_of):
    with disk_of(0), pytest.raises(MeasurementError, match="make room, or choose another folder with --out"):
        Store.create(tmp_path, "mine", {})


def test_a_run_that_cannot_be_written_is_not_resumed(store):
    store.finish(complete=False)
    (store.path / f".run.json.{os.getpid()}.part").mkdir()
    again = Store.open(store.path)
    with pytest.raises(UsageError, match="make it writable, or start a new run"):
        again.restart()
    again.close()


def test_a_latency_log_that_is_gone_is_begun_anew_and_told(store):
    store.save(result(1))
    store.finish(complete=False)
    (store.path / "latency.hlog").unlink()
    again = Store.open(store.path)
    again.restart()
    again.close()
    assert "latency.hlog is missing" in again.notes[0]
    assert (store.path / "latency.hlog").read_text().startswith("#[")


def test_bytes_that_no_trial_wrote_are_not_taken_over_into_the_log(store):
    store.save(result(1))
    with (store.path / "latency.hlog").open("ab") as log:
        log.write(b"\0\0\xff\n")
    store.finish(complete=False)
    again = Store.open(store.path)
    again.restart()
    again.close()
    assert (store.path / "latency.hlog").read_text().splitlines()[-1] == "Tag=0001.response,1.0,1.0,1.0,HIST"
