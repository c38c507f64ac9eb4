"""The heat map over time: what a slice marks, that a held-up launch leaves its mark, and what the title says."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bench.analysis.estimates.ranking import rank
from bench.analysis.figures import heat, heat_over_time
from bench.analysis.figures.canvas import drawing_style
from bench.analysis.figures.palette import LIGHT, styles

EDGES = np.geomspace(1e3, 1e9, heat.BANDS + 1)  # four bands a decade


def slices(*rows):
    return pd.DataFrame(rows, columns=["trial", "at_s", "low", "high"])


def test_a_slice_marks_its_moment_from_median_to_p99():
    shares = heat_over_time._shares(slices((1, 0.1, 1.1e3, 1.1e4), (1, 0.9, 1.1e6, 1.1e6)), EDGES, 1.0, 8)
    assert shares.shape == (2, heat.BANDS)
    assert [np.flatnonzero(moment).tolist() for moment in shares] == [[0, 1, 2, 3, 4], [12]]
    assert set(shares[shares > 0]) == {1.0}


def test_one_held_up_launch_of_many_leaves_its_mark():
    rows = [(trial, 0.5, 1.1e3, 1.1e8 if trial == 7 else 1.1e3) for trial in range(20)]
    (moment,) = heat_over_time._shares(slices(*rows), EDGES, 1.0, 8)
    assert moment[0] == 1
    assert moment[1:21] == pytest.approx(1 / 20)
    assert not moment[21:].any()


def test_moments_are_no_more_than_slices_or_the_most():
    rows = [(1, at / 100, 1.1e3, 1.1e3) for at in range(100)]
    assert len(heat_over_time._shares(slices(*rows), EDGES, 1.0, 32)) == 32
    assert len(heat_over_time._shares(slices(*rows[::20]), EDGES, 1.0, 32)) == 5


def test_the_title_names_the_cell_that_drifts_and_no_other(make_run):
    def drifts(record):
        is_late = (record["trial"]["server"]["name"], record["trial"]["workload"]["connections"]) == ("threads", 16)
        for piece in record["timeline"]:
            piece["response_p50_ns"] = 3e6 if is_late and piece["at_s"] > 0.65 else 1e6

    run = make_run(servers=("coroutines", "threads"), connections=(1, 16), rounds=2, change=drifts)
    with drawing_style():
        figure = heat_over_time.heat_over_time_figure(run, rank(run), LIGHT, styles(("coroutines", "threads")))
    said = " ".join(text.get_text() for text in figure.texts).replace("\N{NO-BREAK SPACE}", " ")
    assert "drifts by a factor of 3.00 at most: threads at 16 connections" in said


def test_without_slices_there_is_no_heat_map(make_run):
    run = make_run(rounds=1, change=lambda record: record.update(timeline=[]))
    assert heat_over_time.heat_over_time_figure(run, rank(run), LIGHT, styles(("coroutines", "threads"))) is None
