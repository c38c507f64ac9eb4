"""Levels that change over the window; and that a new shape is one class, which everything else takes as it is."""

from __future__ import annotations

import json
import math
import re
from dataclasses import dataclass
from itertools import islice, pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients import shapes
from clients.arguments import parser, workload_asked
from clients.grammar import GrammarError, parse_whole, write_number
from clients.keys import texts_of, workload_of
from clients.pacing import due_times_ns
from clients.shapes import Constant, Piece, Ramp, Shape, Steps, parse_shape, shape_from_json
from clients.workload import Workload

READ = [
    # a level
    ("20000", Constant(20_000), 20_000),
    # a ramp has the mean of its ends
    ("1000..20000", Ramp(1_000, 20_000), 10_500),
    # of steps, all are of equal length
    ("1,8,64", Steps((1, 8, 64)), 73 / 3),
    # levels below 0 are levels; that a rate cannot have them is a rule of workloads
    ("-5..10", Ramp(-5, 10), 2.5),
]


@pytest.mark.parametrize(("text", "shape", "mean"), READ)
def test_shapes_are_read_and_written(text, shape, mean):
    assert parse_shape(text) == shape
    assert shape.text() == text
    assert shape.mean == mean


@pytest.mark.parametrize("text", ["", "fast", "1..", "..1", "1,,2", "1..2..3", "1..2,3", "nan..1"])
def test_texts_that_are_no_shape_are_refused(text):
    with pytest.raises(GrammarError, match="is not a number"):
        parse_shape(text)


levels = st.floats(-1e12, 1e12)
any_shape = st.one_of(
    st.builds(Constant, levels),
    st.builds(Ramp, levels, levels),
    st.builds(Steps, st.lists(levels, min_size=2, max_size=9).map(tuple)),
)


@given(any_shape)
def test_a_shape_that_is_written_is_read_as_the_same(shape):
    assert parse_shape(shape.text()) == shape


@given(any_shape.filter(lambda shape: not isinstance(shape, Constant)))
def test_a_shape_comes_back_from_json(shape):
    assert shape_from_json(json.loads(json.dumps(shape.to_json()))) == shape


def keeps_its_promises(shape):
    """The pieces fill the window, and agree with the mean and with the extremes."""
    pieces = shape.pieces()
    assert sum(piece.share for piece in pieces) == pytest.approx(1)
    assert shape.mean == pytest.approx(sum(share * (start + end) / 2 for share, start, end in pieces), abs=1e-3)
    assert min(shape.levels) <= shape.mean + 1e-3
    assert max(shape.levels) >= shape.mean - 1e-3


@given(any_shape)
def test_the_pieces_of_a_shape_fill_the_window(shape):
    keeps_its_promises(shape)


STORED = [
    # what runs hold that were measured before shapes had a class each
    ([], None),
    ([[1.0, 1000.0, 20000.0]], Ramp(1_000, 20_000)),
    ([[0.5, 1.0, 1.0], [0.5, 8.0, 8.0]], Steps((1, 8))),
    ([[1 / 3, level, level] for level in (1.0, 8.0, 64.0)], Steps((1, 8, 64))),
]


@pytest.mark.parametrize(("stored", "shape"), STORED)
def test_profiles_of_earlier_runs_are_read_and_written_as_they_were(stored, shape):
    assert shape_from_json(stored) == shape
    assert shape is None or shape.to_json() == stored


@pytest.mark.parametrize(
    ("value", "says"),
    [
        (3, "not a list of pieces"),
        ([1, 2], "not a list of pieces"),
        ([[1, 2]], "not a list of pieces"),
        ([["all", 1, 2]], "not a list of pieces"),
        (None, "not a list of pieces"),
        # pieces that no text describes
        ([[0.5, 1, 2]], "neither a ramp"),
        ([[0.2, 1, 1], [0.8, 2, 2]], "neither a ramp"),
        ([[0.5, 1, 2], [0.5, 2, 1]], "neither a ramp"),
        ("fast", "is not a number"),
    ],
)
def test_json_that_is_no_shape_is_refused(value, says):
    with pytest.raises(GrammarError, match=says):
        shape_from_json(value)


# ---- a shape of one's own


@dataclass(frozen=True, slots=True)
class Sine(Shape):
    """`sine:100..900:2`: two periods between two levels, from the middle upwards."""

    low: float
    high: float
    periods: int

    @classmethod
    def parse(cls, text, level):
        if not text.startswith("sine:"):
            return None
        ends, _, periods = text.removeprefix("sine:").rpartition(":")
        low, _, high = ends.partition("..")
        if not (count := parse_whole(periods)):
            raise GrammarError(f"{text!r} has no period")
        return cls(level(low), level(high), count)

    def text(self):
        return f"sine:{write_number(self.low)}..{write_number(self.high)}:{self.periods}"

    def pieces(self):
        middle, amplitude, count = (self.low + self.high) / 2, (self.high - self.low) / 2, 256 * self.periods
        angles = [2 * math.pi * self.periods * step / count for step in range(count + 1)]
        heights = [middle + amplitude * math.sin(angle) for angle in angles]
        return tuple(Piece(1 / count, start, end) for start, end in pairwise(heights))


@pytest.fixture
def sine(monkeypatch):
    """The text of a shape that this file adds to those that there are."""
    monkeypatch.setattr(shapes, "SHAPES", (Sine, *shapes.SHAPES))
    return "sine:100..900:2"


def test_a_new_shape_is_read_written_and_stored_by_its_text(sine):
    workload = workload_of({"rate_per_s": sine})
    assert workload.rate_profile == Sine(100, 900, 2)
    assert workload.rate_per_s == pytest.approx(500)
    assert texts_of(workload)["rate_per_s"] == sine
    assert workload.to_json()["rate_profile"] == sine
    assert Workload.from_json(json.loads(json.dumps(workload.to_json()))) == workload
    keeps_its_promises(workload.rate_profile)


def test_a_new_shape_is_an_option_of_the_load_generator(sine):
    workload = workload_asked(parser().parse_args(["127.0.0.1:7", "--rate", sine]))
    assert workload.rate_profile == Sine(100, 900, 2)
    for wrong in ("sine:-1..9:1", "sine:1..9:0", "sine:1..9:2.5"):
        with pytest.raises(ValueError, match=f"--rate is '{re.escape(wrong)}', and must be"):
            workload_asked(parser().parse_args(["127.0.0.1:7", "--rate", wrong]))


@pytest.mark.parametrize("warmup_s", [0.0, 0.5])
def test_a_new_shape_paces_requests(sine, warmup_s):
    """Request n is due when the integral, in closed form, reaches n."""
    workload = workload_of({"rate_per_s": sine, "duration_s": "4s"}).replace(warmup_s=warmup_s)
    angular = 2 * math.pi * 2 / 4
    for number, due_ns in enumerate(islice(due_times_ns(workload), 0, 2_000, 7)):
        time_s = due_ns / 1e9 - warmup_s
        within = 500 * time_s + (400 / angular * (1 - math.cos(angular * time_s)) if time_s > 0 else 0.0)
        assert within + 500 * warmup_s == pytest.approx(7 * number, abs=0.05)
