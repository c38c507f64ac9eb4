"""Spectra and courses over time, read back from the figures and compared with the recorded samples and raw slices."""

import numpy as np
import pytest
from helpers.block_run import BlockRun
from helpers.run_folders import texts
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

from bench.analysis.estimates.ranking import rank
from bench.analysis.figures import over_time
from bench.analysis.figures.canvas import drawing_style
from bench.analysis.figures.over_time import time_figure
from bench.analysis.figures.palette import LIGHT, styles
from bench.analysis.figures.tail import percentile, spectrum_figure
from bench.analysis.runs import run_folder
from bench.analysis.runs.spectrum import spectra


def test_a_spectrum_s_curve_is_the_percentiles_of_the_recorded_samples(article_builder, article_run, article_ranking):
    measured = article_run.measured
    cells = measured[["trial", "server", "workload"]].itertuples(index=False)
    merged = spectra(article_run.latency_log, {trial: (server, workload) for trial, server, workload in cells})
    with drawing_style():
        figure = spectrum_figure(merged, article_ranking, LIGHT, styles(article_ranking.servers))
    assert len(figure.axes) == 4
    for axes, workload in zip(figure.axes, ("c1", "c16", "c128", "c1000"), strict=True):
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")
        here = measured[measured["workload"] == workload]
        curves = {str(line.get_label()): line.get_data() for line in axes.get_lines()}
        assert set(curves) == {f"{server}: spectrum" for server in here["server"]}
        for server, rows in here.groupby("server"):
            tail, value_ns = curves[f"{server}: spectrum"]
            pooled = np.concatenate([article_builder.samples_ns[trial] for trial in rows["trial"]])
            exact = np.quantile(pooled, 1 - 1 / np.asarray(tail), method="inverted_cdf")
            assert np.asarray(value_ns) == pytest.approx(exact, rel=2**-10)
    spans = {round(np.log(high / low), 6) for low, high in (axes.get_ylim() for axes in figure.axes)}
    assert len(spans) == 1
    assert any("No replies to show: generators at 1,000" in text for text in texts(figure))
    assert {"90 %", "99 %", "99.9 %"} <= set(texts(figure))


def test_percentiles_read_as_people_write_them():
    assert [percentile(tail) for tail in (2, 10, 100, 1000, 1e6)] == ["50 %", "90 %", "99 %", "99.9 %", "99.9999 %"]


def test_courses_over_time_are_the_slices_of_each_trial(article_run, article_ranking):
    given = styles(article_ranking.servers)
    with drawing_style():
        figures = {
            course: time_figure(article_run, article_ranking, course, LIGHT, given) for course in ("throughput", "p99")
        }
    trials = article_run.measured.set_index("trial")
    here = trials[(trials["server"] == "threads") & (trials["workload"] == "c16")].index
    slices = article_run.timeline[article_run.timeline["trial"].isin(here)]
    for course, figure in figures.items():
        (fine,) = (c for c in figure.axes[0].collections if c.get_label() == "threads c16: trials")
        expected = []
        for trial, rows in slices.groupby("trial"):
            if course == "throughput":
                value = rows["replies"] / rows["slice_s"] / trials.loc[trial, "replies_per_s"]
            else:
                value = np.log2(rows["response_p99_ns"].astype(float) / rows["response_p99_ns"].median())
            expected.append(np.column_stack([rows["at_s"].astype(float) + 0.05, value.astype(float)]))
        assert isinstance(fine, LineCollection)
        assert np.array(fine.get_segments()) == pytest.approx(np.array(expected))
        (bold,) = (line for line in figure.axes[0].get_lines() if line.get_label() == "threads c16: median")
        assert isinstance(bold, Line2D)
        assert bold.get_ydata() == pytest.approx(np.median(np.array(expected)[:, :, 1], axis=0))
        assert "generators c1000: missing" in {line.get_label() for line in figure.axes[0].get_lines()}
    assert "3 of 71 trials drifted within their window" in texts(figures["throughput"])[0]
    assert any(text.endswith("3 of 3 drifted") for text in texts(figures["throughput"]))


def test_cpu_over_time_is_what_the_monitor_sampled(make_run):
    def busy(record):
        name, share = record["trial"]["server"]["name"], {"threads": 1.75, "coroutines": 0.5}
        for sample in record["samples"]:
            sample["cpu_s"] = 3 + sample["at_s"] * share[name]

    run = make_run(rounds=2, change=busy)
    found = rank(run)
    with drawing_style():
        figure = time_figure(run, found, "cpu", LIGHT, styles(found.servers))
    lines = {str(line.get_label()): line for line in figure.axes[0].get_lines()}
    assert lines["threads c16: median"].get_ydata() == pytest.approx([1.75] * 4)
    assert lines["threads c16: median"].get_xdata() == pytest.approx([0.1, 0.3, 0.5, 0.7])
    assert lines["coroutines c1: median"].get_ydata() == pytest.approx([0.5] * 4)
    assert "The busiest server uses 1.8 cores: threads at 1" in texts(figure)[0]
    assert {"0 cores", "1 core"} <= set(texts(figure))


def test_a_figure_over_time_says_whether_it_counts_load_or_the_clock(article_run, article_ranking, tmp_path):
    model = BlockRun(speeds={"threads": 1e4, "coroutines": 2e4}, blocks=2, passes=5)
    run = run_folder.load(model.write(tmp_path / "run"))
    with drawing_style():
        solo = time_figure(article_run, article_ranking, "throughput", LIGHT, styles(article_ranking.servers))
        turns = time_figure(run, rank(run), "cpu", LIGHT, styles(("coroutines", "threads")))
    assert "1 s of load" in texts(solo)
    assert "turns" not in " ".join(texts(solo))  # there were none: load and clock are one
    assert "0.11 s by the clock" in texts(turns)
    said = " ".join(" ".join(texts(turns)).split())
    assert "seconds of the window by the clock, with the turns of the others" in said


def test_many_trials_become_a_band_that_keeps_their_peaks(article_run, article_ranking, monkeypatch):
    monkeypatch.setattr(over_time, "MOST_POINTS", 300)
    rows = over_time.courses(article_run, "p99")
    here = rows[(rows["server"] == "threads") & (rows["workload"] == "c16")]
    with drawing_style():
        figure = time_figure(article_run, article_ranking, "p99", LIGHT, styles(article_ranking.servers))
    (axes,) = figure.axes
    (band,) = (one for one in axes.collections if one.get_label() == "threads c16: lowest to highest")
    heights = band.get_paths()[0].vertices[:, 1]
    assert (heights.min(), heights.max()) == pytest.approx((here["value"].min(), here["value"].max()))
    (median,) = (line for line in axes.get_lines() if line.get_label() == "threads c16: median")
    assert len(median.get_xdata()) == 8  # of ten slices each, of three trials
    assert any("Band: from the lowest to the highest" in text for text in texts(figure))


def test_time_figure_leaves_a_gap_where_p99_is_unknown(builder):
    def change(record):
        record["timeline"][4]["response_p99_ns"] = None
        record["timeline"][9]["slice_s"] = 0.01

    run = run_folder.load(builder.run(connections=(16,), change=change))
    found = rank(run)
    with drawing_style():
        figure = time_figure(run, found, "p99", LIGHT, styles(found.servers))
    (bold,) = (line for line in figure.axes[0].get_lines() if line.get_label() == "threads c16: median")
    assert list(bold.get_xdata()) == pytest.approx([0.05, 0.15, 0.25, 0.35, 0.55, 0.65, 0.75, 0.85])
