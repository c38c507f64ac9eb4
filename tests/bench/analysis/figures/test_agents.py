"""The figure of agents, read back from what it draws and compared with the rows of the agents."""

from __future__ import annotations

import pytest
from helpers.agent_rows import shared_by
from helpers.run_folders import failed, texts
from helpers.tracing import paused

from bench.analysis.estimates.ranking import rank
from bench.analysis.figures import gallery
from bench.analysis.figures.agents import PHASE, agents_figure, compared
from bench.analysis.figures.canvas import drawing_style
from bench.analysis.figures.palette import LIGHT

SLOW = {"0@a": 1.0, "1@b": 1.0, "2@c": 0.5}


def drawn(run):
    with drawing_style():
        figure = agents_figure(run, LIGHT)
    assert figure is not None
    return figure, {str(line.get_label()): line for axes in figure.axes for line in axes.get_lines()}


def test_an_agent_that_stands_out_is_named_and_drawn_where_it_is(make_run):
    figure, lines = drawn(make_run(connections=(16,), rounds=2, change=shared_by(SLOW)))
    assert lines["2@c: rate median"].get_xdata()[0] == pytest.approx(0.5)
    assert lines["2@c: p99 median"].get_xdata()[0] == pytest.approx(2.0)
    assert lines["1@b: rate median"].get_xdata()[0] == pytest.approx(1.0)
    assert list(lines["2@c: error_ns"].get_xdata()) == [60_000.0] * 4  # two servers, two rounds
    assert any("2@c is furthest off, at 0.50" in text for text in texts(figure))


def test_servers_of_other_speeds_make_no_agent_look_slow(make_run):
    run = make_run(
        servers=("coroutines", "sequential"), connections=(16, 1000), rounds=1, change=shared_by(("0@a", "1@b"))
    )
    found = compared(run)
    assert found["rate"].tolist() == pytest.approx([1.0] * 8)


def test_constant_arrivals_say_how_far_their_phase_can_be_trusted(make_run):
    asked = {"rate_per_s": 500.0, "arrivals": "constant"}
    figure, _ = drawn(make_run(connections=(16,), rounds=1, change=shared_by(("0@a",)), workload=asked))
    assert PHASE in " ".join(texts(figure))


def test_a_run_without_agents_has_no_such_figure(make_run):
    assert agents_figure(make_run(connections=(16,), rounds=1), LIGHT) is None


def test_agents_of_failed_trials_are_not_drawn(make_run):
    def change(record):
        shared_by(("0@a",))(record)
        failed(record)

    assert agents_figure(make_run(connections=(16,), rounds=1, change=change), LIGHT) is None


def test_the_figure_is_among_those_of_a_run_with_agents(make_run):
    run = make_run(connections=(16,), rounds=2, change=shared_by(SLOW))
    with paused():
        pictures = gallery.draw(run, rank(run))
    (picture,) = (one for one in pictures if one.name == "agents")
    assert "2@c" in picture.title
