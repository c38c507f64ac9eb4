"""What the script of the page draws: nothing is averaged away, all stands on one clock, and little of it is sent."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from helpers.run_folders import failed

from bench.analysis.estimates.ranking import rank
from bench.analysis.figures import course, live
from bench.metrics import THROUGHPUT


def rows_of(values, *, step=0.1, trial=1):
    at = step * np.arange(len(values))
    return pd.DataFrame({"server": "one", "workload": "c1", "trial": trial, "at_s": at, "value": values})


def test_thinning_keeps_a_peak_however_short():
    rng = np.random.default_rng(1)
    values = rng.normal(100, 1, 36_000)
    values[12_345], values[30_000] = 9_000, 0.5
    moments, length = course.thinned(rows_of(values), {"c1": 120})
    assert len(moments) == 120
    assert length["c1"] == pytest.approx(30, rel=1e-3)
    peak = moments.loc[moments["high"].idxmax()]
    assert (peak["high"], peak["bin"]) == (9_000, 12_345 * 120 // 35_999)
    assert moments["low"].min() == 0.5
    assert moments["value"].between(99, 101).all()  # and the line beside the band is no slave of the peak


def test_a_moment_without_a_known_value_is_not_known():
    moments, _ = course.thinned(rows_of([1.0, np.nan, 3.0, 4.0]), {"c1": 4})
    assert live._series(moments, 4) == [[1, None, 3, 4]] * 3
    assert live._series(moments.drop(index=1), 4)[0] == [1, False, 3, 4]  # nothing was due, so the line goes on


def test_what_no_cell_knows_has_no_empty_plot(make_run):
    assert live.by_load(rank(make_run(rounds=1, change=failed))) == []


def test_what_is_measured_in_slices_stands_beside_the_monitor(make_run):
    def slow_turns(record):
        number, trial = record["trial"]["number"], record["trial"]
        trial["block"] = trial["round"]
        record["timeline"] = [
            {"at_s": 0.1 * turn, "slice_s": 0.1, "replies": 100 * turn, "errors": 0} for turn in range(4)
        ]
        record["slices"] = [
            {"pass": turn, "at_s": 5.0 * turn + number / 100, "slice_s": 0.1, "replies": 100 * turn}
            | {"server_cpu_s": 0.05, "response_p50_ns": 1e5, "errors": 0}
            for turn in range(4)
        ]

    run = make_run(rounds=1, change=slow_turns)
    found = course.points(run)
    rate = found["rate"][found["rate"]["trial"] == 1]
    assert rate["at_s"].tolist() == pytest.approx([0.06, 5.06, 10.06, 15.06])
    assert rate["value"].tolist() == pytest.approx([0, 1000, 2000, 3000])
    assert found["server"]["value"].tolist() == pytest.approx([0.5] * 16)  # of the slices, and not of the monitor
    memory = found["memory"][found["memory"]["trial"] == 1]
    assert memory["at_s"].tolist() == pytest.approx([0, 0.1, 0.3, 0.5, 0.7])


def test_cpu_is_the_rate_at_which_the_counter_grows(make_run):
    def watched(record):
        record["samples"] = [
            {"at_s": at, "process": process, "cpu_s": 10 + at * share, "steal_s": steal}
            for process, share, steal in (("server", 0.8, None), ("client", 0.5, None), ("machine", 1.5, 0.0))
            for at in (0.0, 0.5, 1.0)
        ]

    run = make_run(rounds=1, change=watched)
    found = course.points(run)
    means = {key: found[key]["value"].dropna().unique() for key in ("server", "generator", "machine", "steal")}
    assert {key: pytest.approx(one) for key, one in means.items()} == {
        "server": [0.8],
        "generator": [0.5],
        "machine": [1.5],
        "steal": [0.0],
    }
    first, *_ = live.over_time(run, rank(run))
    assert "Always 0 at this load: Steal" in first["note"]


def test_by_load_has_the_numbers_of_the_ranking(article_run, article_ranking):
    shown = next(one for one in live.by_load(article_ranking) if one["metric"] == THROUGHPUT.title)
    cells = [cell for cell in article_ranking.cells[THROUGHPUT.column] if not cell.missing]
    for cell in cells:
        mean, low, high, least, launches = shown["series"][cell.server][shown["x"].index(cell.x)]
        estimate = cell.estimate
        assert (mean, low, high) == pytest.approx((estimate.value, estimate.low, estimate.high), rel=1e-3)
        assert least == cell.lower_bound
        assert launches == pytest.approx(cell.values, rel=1e-3)
    assert sum(point is not None for points in shown["series"].values() for point in points) == len(cells)
    assert json.loads(live.as_json(live.live(article_run, article_ranking)))["by_load"][0] == shown


def test_many_cells_make_fewer_moments_and_no_larger_page(article_run, article_ranking, monkeypatch):
    def numbers():
        shown = live.over_time(article_run, article_ranking)
        lines = [line for one in shown for each in one["measures"] for s in each["series"].values() for line in s]
        return sum(map(len, lines)), max(map(len, lines))

    monkeypatch.setattr(live, "MOST_MOMENTS", 10)
    most, longest = numbers()
    monkeypatch.setattr(live, "FEWEST_MOMENTS", 2)
    monkeypatch.setattr(live, "NUMBERS", most // 3)
    fewer, shorter = numbers()
    assert fewer <= most // 3
    assert shorter < longest == 10


def test_the_json_ends_no_script():
    assert "<" not in live.as_json({"</script><b>": "<!--"})
    assert json.loads(live.as_json({"a": "</script>"})) == {"a": "</script>"}
