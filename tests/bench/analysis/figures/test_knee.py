"""The knee: who kept which rate, and how long replies took there. The model is a queue with a known capacity."""

from __future__ import annotations

import pytest
from helpers.run_folders import texts

from bench.analysis.estimates.ranking import rank
from bench.analysis.figures import dots
from bench.analysis.figures.canvas import drawing_style
from bench.analysis.figures.knee import knee_figure
from bench.analysis.figures.palette import LIGHT, styles
from bench.analysis.runs import run_folder
from bench.metrics import P50, P99

RATES = (5_000, 10_000, 20_000, 40_000)


@pytest.fixture
def drawn(builder):
    """Return a function that draws the knee of servers with these capacities, per second, at all rates."""

    def draw(connections=(1, 2, 3, 4), rounds=2, **capacities):
        def offered(record):
            trial, metrics = record["trial"], record["metrics"]
            rate, capacity = RATES[trial["workload"]["connections"] - 1], capacities[trial["server"]["name"]]
            trial["workload"] |= {"connections": 100, "rate_per_s": float(rate), "arrivals": "constant"}
            trial["workload_name"] = f"r{rate}"
            metrics |= {"offered_per_s": rate, "replies_per_s": min(rate, capacity)}
            metrics |= {P50.column: 1e9 / capacity, P99.column: 2e9 / capacity + max(rate - capacity, 0) * 1e4}

        run = run_folder.load(builder.run(tuple(capacities), connections, rounds=rounds, change=offered))
        found = rank(run)
        with drawing_style():
            return knee_figure(run, found, LIGHT, styles(found.servers))

    return draw


def test_the_knee_is_crossed_where_a_server_did_not_keep_the_rate(drawn):
    figure = drawn(threads=12_000, coroutines=90_000)
    assert texts(figure)[0] == "coroutines kept up to 40,000/s; threads fell behind first, beyond 10,000/s"
    lines = {str(line.get_label()): line for line in figure.axes[0].get_lines()}
    assert tuple(lines["threads: mean"].get_xdata()) == RATES
    assert lines["threads: mean"].get_ydata()[-1] == pytest.approx(2e9 / 12_000 + 28_000 * 1e4)
    assert lines["threads: median"].get_ydata() == pytest.approx([1e9 / 12_000] * 4)
    assert tuple(lines["threads: did not keep the rate"].get_xdata()) == (20_000, 40_000)
    assert len(lines["coroutines: did not keep the rate"].get_xdata()) == 0


@pytest.mark.parametrize(
    ("capacities", "title"),
    [
        ((90_000, 80_000), "Every server kept every rate, up to 40,000/s: the knee lies beyond"),
        ((12_000, 13_000), "Every server keeps up to 10,000/s, and no more"),
        ((2_000, 3_000), "No server kept any of the offered rates"),
        ((2_000, 90_000), "coroutines kept up to 40,000/s; threads kept none of the rates"),
    ],
)
def test_the_title_of_the_knee_says_who_kept_what(drawn, capacities, title):
    threads, coroutines = capacities
    assert texts(drawn(threads=threads, coroutines=coroutines))[0] == title


def test_the_knee_of_many_launches_draws_some_and_says_so(drawn, monkeypatch):
    monkeypatch.setattr(dots, "MOST", 8)
    monkeypatch.setattr(dots, "FEWEST", 3)
    figure = drawn(rounds=5, threads=12_000, coroutines=90_000)
    words = " ".join(texts(figure))
    assert "Where there are more than 3 dots, 3 are drawn: the lowest, the highest, and others by rank." in words
    lines = {str(line.get_label()): line for line in figure.axes[0].get_lines()}
    assert len(lines["threads: trials"].get_xdata()) == 3 * len(RATES)


def test_one_rate_or_a_closed_loop_has_no_knee(drawn, article_run, article_ranking):
    assert drawn(connections=(1,), threads=12_000, coroutines=90_000) is None
    assert knee_figure(article_run, article_ranking, LIGHT, styles(article_ranking.servers)) is None
