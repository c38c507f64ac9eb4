"""What stands in the figures is read back from matplotlib's own artists and compared with the raw frames."""

import itertools
import math
import re

import numpy as np
import pytest
from helpers.run_folders import ARTICLE, FIFTEEN, Builder, failed, saturated, texts
from scipy import stats

from bench import units
from bench.analysis.estimates.ranking import rank
from bench.analysis.figures import gallery
from bench.analysis.figures.canvas import WIDTH, drawing_style
from bench.analysis.figures.load import metric_figure
from bench.analysis.figures.over_time import time_figure
from bench.analysis.figures.palette import LIGHT, styles
from bench.analysis.figures.scale import CUT, value_scale
from bench.analysis.figures.tail import spectrum_figure
from bench.analysis.report.words import undrawn
from bench.analysis.runs import run_folder
from bench.analysis.runs.spectrum import spectra
from bench.metrics import CPU, MEMORY, P99, TABLE, THROUGHPUT

AT = {"c1": 1, "c16": 16, "c128": 128, "c1000": 1000}


def drawn(digested, metric):
    with drawing_style():
        return metric_figure(digested, metric, LIGHT, styles(digested.servers))


def points(figure, label):
    """Return the data of the line that carries a label, over all panels, as (x, y) pairs."""
    found = [line for axes in figure.axes for line in axes.get_lines() if line.get_label() == label]
    return sorted((float(x), float(y)) for line in found for x, y in zip(*line.get_data(), strict=True))


def segments(figure, label):
    """Return {x: (low, high)} of the vertical bars that carry a label."""
    found = [c for axes in figure.axes for c in axes.collections if c.get_label() == label]
    return {float(bar[0][0]): (float(bar[0][1]), float(bar[1][1])) for many in found for bar in many.get_segments()}


@pytest.mark.parametrize("metric", [THROUGHPUT, CPU, P99, MEMORY], ids=lambda metric: metric.column)
def test_every_point_bar_and_dot_is_what_the_raw_frame_gives(article_run, article_ranking, metric):
    figure = drawn(article_ranking, metric)
    measured = article_run.trials[article_run.trials["status"] == "measured"]
    for server, rows in measured.groupby("server"):
        raw = {AT[workload]: cell[metric.column].astype(float) for workload, cell in rows.groupby("workload")}
        means = [(x, y) for x, y in points(figure, f"{server}: mean") if not math.isnan(y)]
        assert np.array(means) == pytest.approx(np.array(sorted((x, stats.gmean(values)) for x, values in raw.items())))
        dots = sorted((x, value) for x, values in raw.items() for value in values)
        assert np.array(points(figure, f"{server}: trials")) == pytest.approx(np.array(dots))
        floor = figure.axes[0].get_ylim()[0]
        for x, (low, high) in segments(figure, f"{server}: interval").items():
            logs = np.log(raw[x])
            half = stats.t.ppf(0.975, len(logs) - 1) * stats.sem(logs)
            below, above = np.exp([logs.mean() - half, logs.mean() + half])
            assert (low, high) == pytest.approx((max(below, floor), above))
        assert segments(figure, f"{server}: interval").keys() == raw.keys()


def test_a_cell_without_a_number_is_a_cross_and_a_note(article_ranking):
    figure = drawn(article_ranking, THROUGHPUT)
    assert points(figure, "generators: missing") == [(1000, 0)]
    assert math.isnan(points(figure, "generators: mean")[-1][1])
    assert points(figure, "sequential: missing") == []
    assert "\N{MULTIPLICATION SIGN}  No number: generators (server-died) at 1,000 connections." in texts(figure)
    assert "generators (to 128)" in texts(figure)
    assert "sequential (at 1)" in texts(figure)


def test_crosses_at_one_place_stand_above_each_other(builder):
    def change(record):
        if record["trial"]["workload"]["connections"] == 16:
            failed(record)

    run = run_folder.load(builder.run(connections=(1, 16), change=change))
    figure = drawn(rank(run), THROUGHPUT)
    (axes,) = figure.axes
    crosses = [line for line in axes.get_lines() if str(line.get_label()).endswith("missing")]
    heights = [line.get_transform().transform(line.get_xydata())[0][1] for line in crosses]
    assert len(heights) == 2
    assert abs(heights[0] - heights[1]) * 72 / figure.dpi == pytest.approx(10)


def test_a_throughput_that_the_generator_limited_has_an_arrow_and_a_note(article_ranking):
    figure = drawn(article_ranking, THROUGHPUT)
    means = dict(points(figure, "uvloop-protocol: mean"))
    assert points(figure, "uvloop-protocol: lower bound") == [(128, means[128]), (1000, means[1000])]
    assert points(figure, "threads: lower bound") == []
    assert any("the load generator was the limit: uvloop-protocol at 128 and 1,000" in text for text in texts(figure))
    assert points(drawn(article_ranking, CPU), "uvloop-protocol: lower bound") == []


def test_single_trials_are_shown_without_an_interval(builder):
    run = run_folder.load(builder.run(rounds=1))
    figure = drawn(rank(run), THROUGHPUT)
    assert segments(figure, "threads: interval") == {}
    assert points(figure, "threads: trials") == []
    assert len(points(figure, "threads: mean")) == 4
    assert any("a single trial, so there is no interval" in text for text in texts(figure))


def test_a_metric_that_no_trial_knows_is_not_drawn(builder):
    run = run_folder.load(
        builder.run(connections=(1, 16), change=lambda record: record["metrics"].pop("server_rss_max_bytes"))
    )
    assert drawn(rank(run), MEMORY) is None
    assert drawn(rank(run), THROUGHPUT) is not None
    assert undrawn(rank(run)) == [
        "There is no plot of the memory: not known of any server. The table has what is known."
    ]


def test_value_scale_is_linear_from_zero_unless_range_or_metric_asks_otherwise(article_ranking, builder):
    def wide(record):
        if record["trial"]["server"]["name"] == "threads":
            record["metrics"]["replies_per_s"] /= 50

    assert [drawn(article_ranking, metric).axes[0].get_yscale() for metric in (THROUGHPUT, P99)] == ["linear", "log"]
    assert drawn(article_ranking, THROUGHPUT).axes[0].get_ylim()[0] == 0
    apart = rank(run_folder.load(builder.run(change=wide)))
    assert drawn(apart, THROUGHPUT).axes[0].get_yscale() == "log"


def test_value_scale_holds_every_trial_and_cuts_only_very_wide_intervals(builder):
    run = run_folder.load(builder.run(rounds=2, spread=0.5))
    for metric in TABLE:
        found = rank(run).cells[metric.column]
        values = [value for cell in found for value in cell.values]
        scale = value_scale(found, log=metric.log)
        assert scale.low <= min(values)
        assert max(values) <= scale.high <= 1.3 * 1.2 * max(values) + 1e-9
    assert value_scale([], log=True).high > 0


@pytest.mark.parametrize("connections", [(16,), (1, 16)], ids=["rows", "lines"])
def test_a_bar_that_is_cut_ends_in_a_sign_that_is_explained(builder, article_ranking, connections):
    found = rank(run_folder.load(builder.run(connections=connections, rounds=2, spread=0.5)))
    figure = drawn(found, P99)
    scale = value_scale(found.cells[P99.column], log=P99.log)
    ends = {cell.server: scale.cuts(cell) for cell in found.cells[P99.column] if cell.workload == "c16"}
    assert any(scale.low in cut for cut in ends.values())
    for server, cut in ends.items():
        assert set(cut) <= {point[len(connections) > 1] for point in points(figure, f"{server}: cut")}
    assert CUT in " ".join(" ".join(texts(figure)).split())
    assert CUT not in " ".join(" ".join(texts(drawn(article_ranking, THROUGHPUT))).split())


def test_panels_of_a_sweep_have_one_scale_and_a_caption_each(builder):
    run = run_folder.load(builder.run())
    run.trials.loc[run.trials["workload"].isin(["c16", "c1000"]), "message_bytes"] = 16384
    figure = drawn(rank(run), THROUGHPUT)
    assert len(figure.axes) == 2
    assert len({axes.get_ylim() for axes in figure.axes}) == 1
    assert {"1 KiB messages", "16 KiB messages"} <= set(texts(figure))
    assert len(points(figure, "threads: mean")) == 4


def test_one_load_only_is_a_ranking_with_the_numbers_beside_it(builder):
    def change(record):
        if record["trial"]["server"]["name"] == "uvloop-protocol":
            saturated(record)
        if record["trial"]["server"]["name"] == "threads":
            failed(record)

    run = run_folder.load(builder.run(ARTICLE, (64,), change=change))
    found = rank(run)
    figure = drawn(found, THROUGHPUT)
    (axes,) = figure.axes
    assert axes.get_xlim()[0] == 0
    order = found.standings[THROUGHPUT.column][0].cells
    for row, cell in enumerate(order):
        ((value, height),) = points(figure, f"{cell.server}: mean")
        assert (value, height) == (pytest.approx(cell.estimate.value), row)
        assert [x for x, _ in points(figure, f"{cell.server}: trials")] == pytest.approx(sorted(cell.values))
    assert points(figure, "threads: missing") == [(0, len(order))]
    assert "server-died" in texts(figure)
    best = order[0].estimate
    expected = f"{units.rate(best.value)} [{units.rate(best.low)}, {units.rate(best.high)}]"
    assert expected in texts(figure)
    assert len(points(figure, "uvloop-protocol: lower bound")) == 1


def names_on_page(figure, servers):
    """Return {name: extent in points} of the names at the line ends, for each panel."""
    renderer = figure.canvas.get_renderer()
    return [
        {
            text.get_text(): text.get_window_extent(renderer)
            for text in axes.texts
            if re.sub(r" \(.*\)$", "", text.get_text()) in servers
        }
        for axes in figure.axes
    ]


@pytest.fixture(scope="module")
def crowd(tmp_path_factory):
    """Return a run of fifteen servers, and its ranking."""
    run = run_folder.load(Builder(tmp_path_factory.mktemp("crowd") / "crowd").run(FIFTEEN, rounds=2))
    return run, rank(run)


def test_fifteen_names_stand_apart_in_order_and_on_the_page(crowd):
    _, digested = crowd
    for metric in (THROUGHPUT, P99):
        figure = drawn(digested, metric)
        ends = {name: points(figure, f"{name}: mean")[-1][1] for name in FIFTEEN}
        (extents,) = names_on_page(figure, FIFTEEN)
        assert set(extents) == set(FIFTEEN)
        boxes = sorted(extents.values(), key=lambda box: box.y0)
        assert all(above.y0 >= below.y0 + 9 * figure.dpi / 72 for below, above in itertools.pairwise(boxes))
        assert max(box.x1 for box in boxes) <= WIDTH * figure.dpi
        by_height = sorted(FIFTEEN, key=lambda name: extents[name].y0)
        assert by_height == sorted(FIFTEEN, key=ends.__getitem__)


def test_a_server_has_one_colour_and_marker_in_every_figure(article_run, article_ranking):
    given = styles(article_ranking.servers)
    measured = article_run.measured[["trial", "server", "workload"]].itertuples(index=False)
    merged = spectra(article_run.latency_log, {trial: (server, workload) for trial, server, workload in measured})
    with drawing_style():
        figures = [
            *(metric_figure(article_ranking, metric, LIGHT, given) for metric in TABLE),
            spectrum_figure(merged, article_ranking, LIGHT, given),
            time_figure(article_run, article_ranking, "throughput", LIGHT, given),
        ]
    for server, style in given.items():
        lines = [
            line
            for figure in figures
            for axes in figure.axes
            for line in axes.get_lines()
            if re.split(r": | c\d+: ", str(line.get_label()))[0] == server
        ]
        assert len(lines) >= 15
        assert {line.get_color() for line in lines} == {LIGHT.hues[style.hue]}
        means = [line for line in lines if str(line.get_label()).endswith((": mean", ": spectrum"))]
        assert {line.get_marker() for line in means} == {style.marker}


def test_a_run_without_any_reply_has_no_empty_plot(builder):
    run = run_folder.load(builder.run(connections=(1, 16), rounds=1, change=failed))
    assert gallery.draw(run, rank(run)) == []
