"""What a run sweeps, and one estimate per cell, held against the raw trials."""

import math

import numpy as np
import pytest
from helpers.run_folders import saturated
from scipy import stats

from bench.analysis.estimates.cells import cells, sweep
from bench.analysis.runs import run_folder
from bench.metrics import CPU, MEMORY, P99, TABLE, THROUGHPUT


def load(builder, **how):
    return run_folder.load(builder.run(**how)).trials


def test_every_estimate_is_the_geometric_mean_of_the_raw_trials(article_run, article_ranking):
    raw = article_run.trials.to_dict("records")
    for metric in TABLE:
        for cell in article_ranking.cells[metric.column]:
            mine = [
                float(row[metric.column])
                for row in raw
                if (row["server"], row["workload"], row["status"]) == (cell.server, cell.workload, "measured")
            ]
            assert sorted(cell.values) == sorted(mine)
            if mine:
                logs = np.log(mine)
                bounds = stats.t.interval(0.95, len(mine) - 1, np.mean(logs), max(stats.sem(logs), 1e-300))
                assert cell.estimate.value == pytest.approx(stats.gmean(mine))
                assert (cell.estimate.low, cell.estimate.high) == pytest.approx(tuple(np.exp(bounds)))
                assert cell.estimate.level == 0.95


def test_every_cell_is_there_even_if_all_its_trials_failed(article_ranking):
    found = {(cell.server, cell.x): cell for cell in article_ranking.cells[THROUGHPUT.column]}
    assert len(found) == 6 * 4 + 1
    gone = found["generators", 1000]
    assert (gone.missing, gone.trials, gone.measured, gone.statuses) == (True, 3, 0, ("server-died",))
    assert math.isnan(gone.estimate.value)
    some = found["threads", 1000]
    assert (some.missing, some.trials, some.measured, some.statuses) == (False, 3, 2, ("no-replies",))
    assert ("sequential", 16) not in found


def test_only_throughput_can_be_a_lower_bound(article_ranking):
    bounded = {
        metric.column: {(cell.server, cell.x) for cell in article_ranking.cells[metric.column] if cell.lower_bound}
        for metric in TABLE
    }
    assert bounded.pop(THROUGHPUT.column) == {("uvloop-protocol", 128), ("uvloop-protocol", 1000)}
    assert not any(bounded.values())


def test_one_saturated_trial_makes_its_cell_a_lower_bound(builder):
    def change(record):
        if (record["trial"]["server"]["name"], record["trial"]["round"]) == ("threads", 2):
            saturated(record)

    trials = load(builder, connections=(16,), change=change)
    assert {cell.server: cell.lower_bound for cell in cells(trials, sweep(trials), THROUGHPUT)} == {
        "coroutines": False,
        "threads": True,
    }


def test_a_single_trial_has_no_interval(builder):
    trials = load(builder, rounds=1)
    for cell in cells(trials, sweep(trials), CPU):
        assert not cell.estimate.bounded
        assert cell.estimate.value > 0


def test_cells_take_the_mean_of_the_trials_that_know_a_metric(builder):
    def change(record):
        if record["trial"]["round"] == 1:
            record["metrics"]["response_p99_ns"] = None
        if record["trial"]["server"]["name"] == "threads":
            record["metrics"]["server_rss_max_bytes"] = None

    trials = load(builder, connections=(16,), change=change)
    by_server = {cell.server: cell for cell in cells(trials, sweep(trials), P99)}
    assert {len(cell.values) for cell in by_server.values()} == {2}
    assert by_server["threads"].measured == 3
    memory = {cell.server: cell for cell in cells(trials, sweep(trials), MEMORY)}
    assert memory["threads"].missing
    assert memory["threads"].statuses == ()
    assert not memory["coroutines"].missing


def test_no_interval_reaches_zero_however_wide_it_is(builder):
    trials = load(builder, rounds=2, connections=(16,), spread=1.2)
    estimates = [cell.estimate for cell in cells(trials, sweep(trials), THROUGHPUT)]
    assert min(estimate.value / estimate.low for estimate in estimates) > 2
    assert all(estimate.high > estimate.value > estimate.low > 0 for estimate in estimates)


def test_a_zero_among_the_trials_leaves_the_plain_mean_without_an_interval(builder):
    def change(record):
        if record["trial"]["round"] == 1:
            record["metrics"]["server_cpu_us_per_reply"] = 0.0

    trials = load(builder, rounds=3, connections=(16,), change=change)
    for cell in cells(trials, sweep(trials), CPU):
        assert cell.estimate.value == pytest.approx(np.mean(cell.values))
        assert not cell.estimate.bounded


def test_a_planned_cell_that_was_never_run_is_missing(builder):
    trials = load(
        builder, connections=(1, 16), skip=lambda server, connections: (server, connections) == ("threads", 16)
    )
    found = cells(
        trials, sweep(trials), THROUGHPUT, planned=[("threads", "c16"), ("coroutines", "c16"), ("threads", "c9")]
    )
    (gone,) = (cell for cell in found if cell.missing)
    assert (gone.server, gone.x, gone.trials, gone.statuses) == ("threads", 16, 0, ("not run",))
    assert len(found) == 4


def test_connections_are_the_axis_if_they_vary(article_run):
    found = sweep(article_run.trials)
    assert found.setting.column == "connections"
    (panel,) = found.panels
    assert panel.places == {"c1": 1, "c16": 16, "c128": 128, "c1000": 1000}
    assert (panel.label, found.shared, found.open_loop) == ("", "1 KiB messages, closed loop", False)
    assert found.phrase(panel, 1) == "at 1 connection"
    assert found.phrase(panel, 1000) == "at 1,000 connections"


def varied(builder, **values):
    """Return trials of eight workloads whose columns hold these values in turn."""
    trials = load(builder, connections=tuple(range(1, 9)), rounds=1)
    for column, column_values in values.items():
        of = {f"c{index + 1}": value for index, value in enumerate(column_values)}
        trials[column] = trials["workload"].map(of).astype(trials[column].dtype)
    return trials


def test_each_message_size_is_a_panel_beside_the_connections(builder):
    trials = varied(builder, connections=[1, 4, 16, 64] * 2, message_bytes=[64] * 4 + [16384] * 4)
    found = sweep(trials)
    assert [panel.label for panel in found.panels] == ["64 B messages", "16 KiB messages"]
    assert found.shared == "closed loop"
    assert [list(panel.places.values()) for panel in found.panels] == [[1, 4, 16, 64]] * 2
    assert found.phrase(found.panels[0], 4) == "at 4 connections (64 B messages)"


def test_the_rate_is_the_axis_if_only_it_varies(builder):
    trials = varied(
        builder, connections=[8] * 8, rate_per_s=[1000.0 * n for n in range(1, 9)], arrivals=["poisson"] * 8
    )
    found = sweep(trials)
    assert found.setting.column == "rate_per_s"
    assert (found.shared, found.open_loop) == ("1 KiB messages, 8 connections, open loop with poisson arrivals", True)
    assert found.phrase(found.panels[0], 2000) == "at 2,000/s offered"


def test_message_size_and_pipeline_can_be_the_axis_too(builder):
    trials = varied(builder, connections=[8] * 8, message_bytes=[2**n for n in range(4, 12)])
    assert sweep(trials).setting.column == "message_bytes"
    trials["message_bytes"] = 64
    trials["pipeline"] = trials["workload"].str[1:].astype("Int64")
    found = sweep(trials)
    assert found.setting.column == "pipeline"
    assert found.shared == "64 B messages, 8 connections, closed loop"


def test_an_open_loop_names_its_rate(builder):
    trials = varied(builder, rate_per_s=[5000.0] * 8, arrivals=["constant"] * 8, pipeline=[4] * 8)
    expected = "1 KiB messages, 4 in flight per connection, open loop with constant arrivals, 5,000/s offered"
    assert sweep(trials).shared == expected


def test_workloads_that_differ_in_no_column_are_told_apart_by_name(builder):
    trials = varied(builder, connections=[8] * 8)
    found = sweep(trials)
    assert len(found.panels) == 8
    assert [panel.label for panel in found.panels] == [f"c{n}" for n in range(1, 9)]
