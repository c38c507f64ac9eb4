"""The page that figures are drawn on: labels, ticks, broken lines, and its size."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

from bench.analysis.figures.canvas import WIDTH, Page, Words, drawing_style, fitting, nice_ticks, spread, text_width
from bench.analysis.figures.palette import LIGHT

POSITIONS = st.lists(st.floats(0, 100), min_size=1, max_size=20)


@given(POSITIONS, st.floats(0.5, 12))
def test_labels_keep_their_order_their_distance_and_their_bounds(wanted, gap):
    placed = spread(wanted, gap, 0, 100)
    order = np.argsort(wanted, kind="stable")
    fits = min(gap, 100 / max(len(wanted) - 1, 1))
    assert (np.diff(placed[order]) >= fits - 1e-9).all()
    assert placed.min() >= -1e-9
    assert placed.max() <= 100 + 1e-9


@given(st.lists(st.floats(20, 80), min_size=1, max_size=5, unique=True))
def test_a_label_with_room_around_it_stays_where_it_is(wanted):
    gap = min((abs(a - b) for a in wanted for b in wanted if a != b), default=10)
    assert spread(wanted, min(gap, 5), 0, 100) == pytest.approx(wanted)


@pytest.mark.parametrize("seed", range(5))
def test_labels_move_as_little_as_can_be(seed):
    wanted = np.sort(np.random.default_rng(seed).uniform(30, 60, 6))
    constraints = [{"type": "ineq", "fun": lambda y, i=i: y[i + 1] - y[i] - 9} for i in range(5)]
    start = 20 + 10.0 * np.arange(6)
    best = minimize(lambda y: ((y - wanted) ** 2).sum(), start, bounds=[(0, 100)] * 6, constraints=constraints)
    assert best.success
    assert ((spread(wanted, 9, 0, 100) - wanted) ** 2).sum() == pytest.approx(best.fun, rel=1e-4)


def test_too_many_labels_share_the_room_there_is():
    assert spread([5.0] * 11, 50, 0, 100) == pytest.approx(np.arange(0, 101, 10))


@given(st.floats(1e-3, 1e9), st.floats(1.0001, 1e6), st.booleans(), st.sampled_from([1.0, 2**20]))
def test_ticks_are_few_round_numbers_within_the_axis(low, factor, log, base):
    ticks = nice_ticks(low, low * factor, log=log, base=base)
    assert len(ticks) <= 9
    assert ticks == sorted(set(ticks))
    assert all(low * (1 - 1e-9) <= tick <= low * factor * (1 + 1e-6) for tick in ticks)


@pytest.mark.parametrize(
    ("low", "high", "log", "expected"),
    [
        (0, 45_000, False, [0, 10_000, 20_000, 30_000, 40_000]),
        (1e4, 2e8, True, [1e4, 1e5, 1e6, 1e7, 1e8]),
        (8e4, 1.2e6, True, [1e5, 2e5, 5e5, 1e6]),
        (1e5, 1.9e5, True, [1e5, 1.2e5, 1.4e5, 1.6e5, 1.8e5]),
    ],
)
def test_ticks_of_usual_axes(low, high, log, expected):
    assert nice_ticks(low, high, log=log) == pytest.approx(expected)


def test_memory_ticks_are_whole_mebibytes():
    assert nice_ticks(0, 50 * 2**20, log=False, base=2**20) == [n * 2**20 for n in (0, 10, 20, 30, 40, 50)]


def test_text_is_broken_evenly_and_a_number_keeps_its_unit():
    page = Page(
        Words("asyncio-protocol answers half of them within 69.8 µs and 99 % of them within 4.9 ms", "", ()),
        LIGHT,
        body=1,
    )
    lines = [text.get_text() for text in page.figure.texts]
    assert len(lines) == 2
    assert abs(len(lines[0]) - len(lines[1])) < 20
    assert not any(line.endswith(("69.8", "99", "4.9")) for line in lines)
    assert all(text_width(page.figure, [line], size=12.5, weight="bold") < WIDTH for line in lines)


def test_labels_that_would_collide_are_left_out_but_for_the_last():
    page = Page(Words("", ""), LIGHT, body=2)
    axes = page.axes(0.5, 0.2, 3, 1)
    axes.set_xscale("log")
    axes.set_xlim(1, 10_000)
    places = [10 ** (n / 10) for n in range(41)]
    kept = fitting(axes, places, lambda x: f"{x:,.0f}")
    assert kept[-1] == 10_000
    assert 5 <= len(kept) < 20
    assert fitting(axes, [1, 100, 10_000], str) == [1, 100, 10_000]


def test_the_page_grows_with_its_words():
    short = Page(Words("a", "b"), LIGHT, body=2).height
    assert Page(Words("a", "b", ("note",)), LIGHT, body=2).height > short
    assert Page(Words("a " * 80, "b"), LIGHT, body=2).height > short
    assert math.isclose(Page(Words("a", "b"), LIGHT, body=3).height - short, 1)


def test_a_user_s_own_style_does_not_change_a_figure():
    import matplotlib as mpl

    before = dict(mpl.rcParams)
    with mpl.rc_context({"lines.linewidth": 9, "axes.facecolor": "red", "svg.hashsalt": None}), drawing_style():
        assert mpl.rcParams["lines.linewidth"] == 1.5
        assert mpl.rcParams["axes.facecolor"] == "white"
        assert mpl.rcParams["svg.hashsalt"] == "echobench"
    assert dict(mpl.rcParams) == before
