"""The session `scale`: a run of its own made up, kept, read and drawn, and what its table says."""

from __future__ import annotations

import pytest
from sharpness import scale, scale_run
from sharpness.ending import status_of

from bench.analysis.runs import run_folder
from bench.errors import ExitCode

WITHIN = scale.Cost(1.0, 1.0, 10.0, 9.0, 4.0, 400.0)


def test_a_made_up_run_is_whole_and_is_the_same_each_time(tmp_path):
    one, other = (run_folder.load(scale_run.make(tmp_path / name, 25)) for name in ("a", "b"))
    assert one.damage == ()
    assert (len(one.measured), len(one.slices), len(one.timeline)) == (25, 250, 250)
    assert one.trials.drop(columns="run").equals(other.trials.drop(columns="run"))


def test_the_table_has_what_is_asked_beside_both_runs():
    table = scale.table(WITHIN, scale.Cost(0.1, 0.1, 4.0, 4.0, 2.0, 200.0), 10_000)
    assert "| seconds to frames | 1.00 | 0.10 | under 2 |" in table
    assert "| peak memory (MB) | 400.00 | 200.00 | under 500 |" in table


@pytest.mark.parametrize(("field", "over"), [("frames_s", 2.0), ("page_s", 15.0), ("page_mb", 5.0), ("peak_mb", 500.0)])
def test_more_than_what_is_asked_in_one_respect_fails(field, over):
    assert scale.is_within(WITHIN)
    assert not scale.is_within(WITHIN._replace(**{field: over}))


def test_a_step_that_takes_too_long_is_a_sentence_and_a_status(monkeypatch, capsys):
    monkeypatch.setattr(scale, "STEP_TIMEOUT_S", 0.01)
    monkeypatch.setattr("sys.argv", ["scale", "--trials", "1"])
    monkeypatch.setattr(scale, "FEW", 1)
    assert status_of(scale.main) == ExitCode.INVALID
    assert "the step `frames` took more than 0.01 s and was ended" in capsys.readouterr().err
