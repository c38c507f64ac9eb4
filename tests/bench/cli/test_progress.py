"""What a run says while it goes on, and at its end, as text."""

from __future__ import annotations

import io

import pandas as pd
import pytest
from rich.console import Console

from bench.analysis.estimates.ranking import rank
from bench.analysis.report.tables import failures
from bench.analysis.runs import run_folder
from bench.cli import summary
from bench.cli.progress import line_of, watching
from bench.experiment.doubts import Doubt
from bench.experiment.model import Block, Server, Status, Trial, TrialResult
from bench.experiment.store import Store
from clients.workload import Workload


def result(
    number=1, server="threads", status=Status.MEASURED, *, rate=52_341.7, detail="", doubts=(), lower_bound=False
):
    return TrialResult(
        trial=Trial(
            number=number,
            round=0 if status is Status.SKIPPED else number,
            server=Server(name=server),
            workload_name="c16-1KiB",
            workload=Workload(connections=16),
        ),
        status=status,
        detail=detail,
        started_at="2026-01-01T00:00:00+00:00",
        metrics={"replies_per_s": rate, "throughput_is_lower_bound": lower_bound} if status is Status.MEASURED else {},
        doubts=doubts,
    )


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (result(), "threads c16-1KiB: 52,300/s"),
        (result(doubts=(Doubt.STEAL, Doubt.ERRORS)), "threads c16-1KiB: 52,300/s (steal, errors)"),
        (result(status=Status.SKIPPED, detail="why"), "threads c16-1KiB: skipped: why"),
        (
            result(status=Status.SERVER_DIED, detail="it died; its log ends:\n  | first\n  | last"),
            "threads c16-1KiB: server-died: it died; its log ends: … last",
        ),
    ],
)
def test_what_a_trial_gave_is_one_line(given, text):
    assert line_of(given) == text


def test_a_narrow_terminal_is_told_in_whole_words():
    console = Console(file=io.StringIO(), force_terminal=True, width=40, color_system=None)
    with watching(console) as watcher:
        watcher.ended(result(status=Status.SERVER_DIED, detail="the server died in the middle of a slice"))
        watcher.ended(result())
    said = console.file.getvalue()
    assert "threads c16-1KiB: server-died: the\n" in said
    assert "2/? left:" in said
    assert "…" not in said, "nothing is cut"


LONG = result(status=Status.SERVER_DIED, detail=f"it died; its log ends:\n  | {'x' * 4096}")


def test_a_log_line_of_kilobytes_is_cut_wherever_it_is_shown(tmp_path):
    """A record of before has it whole; what a trial gives today has it cut already."""
    store = Store.create(tmp_path, "mine", {})
    store.save(LONG)
    store.close()
    run = run_folder.load(store.path)
    ((footer, _),) = summary.failures(run)
    (row,) = failures(run)
    for text in (line_of(LONG), footer, row.detail):
        assert len(text) < 320
        assert "characters more" in text


def said(results, **console):
    file = io.StringIO()
    with watching(Console(file=file, width=100, highlight=False, **console), 2) as watcher:
        for each in results:
            watcher.began(Block(trials=(each.trial,)))
            watcher.ended(each)
    return file.getvalue()


RESULTS = [result(status=Status.SKIPPED, detail="why"), result(), result(status=Status.NOT_READY, detail="[no] start")]


def test_a_log_has_a_line_per_trial_and_gaps_are_not_counted():
    assert said(RESULTS).splitlines() == [
        "threads c16-1KiB: skipped: why",
        "[1/2] threads c16-1KiB: 52,300/s",
        "[2/2] threads c16-1KiB: not-ready: [no] start",
    ]


@pytest.mark.parametrize("variable", [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_a_terminal_that_is_not_to_be_drawn_on_has_lines(monkeypatch, variable):
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv(*variable)
    assert said(RESULTS, force_terminal=True) == said(RESULTS)


def test_a_terminal_has_a_bar_and_only_the_failures_stay():
    text = said(RESULTS, force_terminal=True)
    assert "2/2" in text
    assert "not-ready: [no] start" in text
    assert "52,300/s" not in text
    assert "skipped" not in text


@pytest.fixture
def run(tmp_path):
    store = Store.create(tmp_path, "mine", {"windows_s": 150.0, "wall_s": 200.0})
    for number, rate in enumerate((100.0, 110.0, 120.0), start=1):
        store.save(result(number, rate=rate, doubts=(Doubt.STEAL,) if number == 1 else ()))
    store.save(result(4, "uvloop", rate=500.0, lower_bound=True))
    store.save(result(5, "sequential", Status.SKIPPED, detail="one at a time"))
    store.save(result(6, "broken", Status.NOT_READY, detail="it ended"))
    store.close()
    return run_folder.load(store.path)


def test_the_end_of_a_run_has_estimates_failures_and_doubts_with_advice(run):
    file = io.StringIO()
    summary.show(run, rank(run), Console(file=file, width=160, highlight=False))
    text = file.getvalue()
    lines = [line.split() for line in text.splitlines() if line]
    row = {line[0]: line for line in lines} | {line[1]: line for line in lines if line[0] == "≈"}
    assert row["threads"][:5] == ["threads", "c16-1KiB", "3", "solo", "baseline"]
    value, interval = lines[lines.index(row["threads"]) + 1 :][:2]
    assert value[0] == "110/s"
    # Student's t with two degrees of freedom on the log scale: exp(4.303 * 0.0912 / sqrt(3)) = 1.254
    assert interval[:2] == ["[87.5/s,", "138/s]"]
    # A lower bound without a pair is not told from what stands above it.
    assert row["uvloop"][:7] == ["≈", "uvloop", "c16-1KiB", "1", "solo", "≥", "500/s"]
    assert "sequential c16-1KiB: skipped: one at a time" in text
    assert "broken c16-1KiB: not-ready: it ended" in text
    assert f"steal: 1 of 4 trials. {Doubt.STEAL.advice}" in text


def test_the_share_of_the_time_that_was_measured_is_said(run):
    assert summary.time_spent(run.info) == "Measured for 150 s of 200 s (75 %)."
    assert summary.time_spent({"windows_s": 0.0, "wall_s": 0.0}) == "Measured for 0 s of 0 s (0 %)."


def test_a_run_without_a_doubt_has_none_to_tell(run):
    assert pd.isna(run.trials["doubts"]).sum() == 0
    assert len(summary.doubts(run)) == 1
