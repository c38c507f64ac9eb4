"""Single launches and their histograms, read back from the figures and compared with what was recorded."""

from __future__ import annotations

import numpy as np
import pytest
from helpers.run_folders import texts

from bench.analysis.estimates.cells import Panel
from bench.analysis.estimates.ranking import rank
from bench.analysis.figures import heat
from bench.analysis.figures.canvas import drawing_style
from bench.analysis.figures.grid import pieces
from bench.analysis.figures.heat import heat_figure
from bench.analysis.figures.launches import launches_figure, thinned
from bench.analysis.figures.palette import LIGHT, styles
from bench.analysis.report import page
from bench.analysis.runs import run_folder
from bench.experiment.doubts import Doubt
from bench.metrics import P50, THROUGHPUT


def lines_of(figure):
    return {str(line.get_label()): line for axes in figure.axes for line in axes.get_lines()}


def test_every_launch_stands_behind_its_mean_on_the_scale_of_its_cell(article_run, article_ranking):
    with drawing_style():
        figure = launches_figure(article_run, article_ranking, THROUGHPUT, LIGHT, styles(article_ranking.servers))
        drawn = lines_of(figure)
        spans = []
        for cell in article_ranking.cells[THROUGHPUT.column]:
            name = f"{cell.server} {cell.workload}"
            if cell.missing:
                assert f"{name}: missing" in drawn
                continue
            dots, mean = drawn[f"{name}: launches"], drawn[f"{name}: mean line"]
            assert tuple(dots.get_ydata()) == cell.values
            assert mean.get_ydata()[0] == cell.estimate.value
            heights = dots.get_transform().transform(np.column_stack(dots.get_data()))[:, 1]
            spans.append(np.ptp(heights))
    assert spans == pytest.approx([spans[0]] * len(spans))  # whatever the spread, it fills its picture
    ends = next(cell.values for cell in article_ranking.cells[THROUGHPUT.column] if not cell.missing)
    low, high = (THROUGHPUT.words(bound) for bound in (min(ends), max(ends)))
    assert f"{low} to {high}" in texts(figure)


def test_launches_in_two_groups_are_said_so_in_title_and_picture(make_run):
    def change(record):
        trial = record["trial"]
        if (trial["server"]["name"], trial["workload_name"]) == ("threads", "c16"):
            record["metrics"]["replies_per_s"] *= 1 + trial["round"] % 2

    run = make_run(change=change)
    ranking = rank(run)
    assert run.trials["doubts"].str.contains(Doubt.MODES).sum() == 8
    with drawing_style():
        figure = launches_figure(run, ranking, THROUGHPUT, LIGHT, styles(ranking.servers))
    assert texts(figure)[0] == "The launches of 1 of 4 cells fall in two groups"
    bold = [
        text.get_label()
        for axes in figure.axes
        for text in axes.texts
        if text.get_label().endswith("remark") and text.get_fontweight() == "bold"
    ]
    assert bold == ["threads: remark"]


def test_many_launches_are_thinned_to_the_ends_of_each_place():
    values = [100.0 + number % 7 for number in range(1000)]
    values[500], values[999] = 900.0, 3.0
    few = thinned(values, 20)
    assert len(few) == 40
    assert (max(few, key=lambda one: one[1]), min(few, key=lambda one: one[1])) == ((525.0, 900.0), (975.0, 3.0))
    assert [value for _, value in thinned(values, 500)] == values


def test_one_launch_of_each_cell_is_no_strip(make_run):
    run = make_run(rounds=1)
    assert launches_figure(run, rank(run), THROUGHPUT, LIGHT, styles(("coroutines", "threads"))) is None


def test_a_heat_map_shows_every_band_that_has_a_reply(article_builder, article_run, article_ranking):
    with drawing_style():
        figure = heat_figure(article_run, article_ranking, LIGHT, styles(article_ranking.servers))
    drawn = lines_of(figure)
    samples = article_builder.samples_ns
    here = article_run.measured.query("server == 'threads' and workload == 'c16'")["trial"].tolist()
    trials = article_run.measured["trial"]
    everything = np.concatenate([samples[trial] for trial in trials])
    edges = np.geomspace(everything.min(), everything.max(), heat.BANDS + 1)
    shown = np.zeros((len(here), heat.BANDS))
    for floor, _ in heat.LEVELS:
        xs, ys = drawn[f"threads c16: from {floor:g}"].get_data()
        for x, low, high in zip(xs[::3], ys[::3], ys[1::3], strict=True):
            assert not shown[int(x), int(low) : int(high)].any()
            shown[int(x), int(low) : int(high)] = floor or 1e-9
    exact = np.array([np.histogram(samples[trial], edges)[0] / len(samples[trial]) for trial in here])
    levels = np.select([exact >= floor for floor, _ in heat.LEVELS[:0:-1]], [f for f, _ in heat.LEVELS[:0:-1]], 1e-9)
    expected = np.where(exact > 0, levels, 0)
    assert (shown != expected).mean() < 0.03  # a histogram rounds in its last digit, so a band's edge may move
    assert "generators c1000: missing" in drawn


def test_a_page_of_too_many_launches_says_why_no_heat_map(article_run, article_ranking, monkeypatch):
    words = f"is not drawn: this run has {len(article_run.measured):,} launches"
    assert words not in page.render(article_run, article_ranking, [])
    monkeypatch.setattr(heat, "MOST_LAUNCHES", len(article_run.measured) - 1)
    assert heat_figure(article_run, article_ranking, LIGHT, styles(article_ranking.servers)) is None
    assert words in page.render(article_run, article_ranking, [])


def test_launches_beyond_the_columns_are_counted_together(article_run, article_ranking, monkeypatch):
    monkeypatch.setattr(heat, "MOST_COLUMNS", 1)
    with drawing_style():
        figure = heat_figure(article_run, article_ranking, LIGHT, styles(article_ranking.servers))
    (palest, *_) = heat.LEVELS
    xs, _ = lines_of(figure)[f"threads c16: from {palest[0]:g}"].get_data()
    assert {float(x) for x in xs if not np.isnan(x)} == {0.5}


def test_many_loads_stand_in_rows_of_a_few_columns():
    panel = Panel("of one rate", {f"c{load}": float(load) for load in range(1, 10)})
    found = pieces([panel, Panel("", {"c1": 1.0})])
    assert [len(one.places) for one in found] == [4, 4, 1, 1]
    assert {name: x for one in found[:3] for name, x in one.places.items()} == panel.places
    assert [one.label for one in found] == ["of one rate"] * 3 + [""]


@pytest.mark.parametrize(
    ("rounds", "title"),
    [
        (3, "The median response times of two launches differ by a factor of 1.50 at most: threads at 16 connections"),
        (1, "How the response times of a launch spread, launch after launch"),
    ],
)
def test_the_latency_by_launch_says_how_far_launches_lie_apart(builder, rounds, title):
    def restarted(record):
        trial = record["trial"]
        slow = (trial["server"]["name"], trial["round"], trial["workload"]["connections"]) == ("threads", 2, 16)
        record["metrics"][P50.column] = 3e6 if slow else 2e6

    run = run_folder.load(builder.run(("threads", "coroutines"), (1, 16), rounds=rounds, change=restarted))
    found = rank(run)
    with drawing_style():
        said = " ".join(texts(heat_figure(run, found, LIGHT, styles(found.servers))))
    assert said.replace("\N{NO-BREAK SPACE}", " ").startswith(f"{title} ")
