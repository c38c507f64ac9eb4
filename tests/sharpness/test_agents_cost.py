"""The session `cluster -- --cost`: a row from made-up turns with a known cost, and a load without numbers."""

from __future__ import annotations

import pytest
from sharpness import agents

from bench.errors import MeasurementError


def test_a_known_cost_is_seen_as_such():
    without = dict.fromkeys(agents.SHOWN, 2.0)
    pairs = [(without, {**without, "trial_s": 2.5})] * 3
    row = [cell.strip() for cell in agents.row(3, 1.25, pairs).strip("|").split("|")]
    assert row[:5] == ["3", "3", "1.2", "2.00", "2.50"]
    assert row[5:] == ["1.250 [1.250, 1.250]", *["1.000 [1.000, 1.000]"] * 3]
    assert [line.count("|") for line in agents.head().splitlines()] == [len(row) + 1] * 2


def test_a_load_without_its_numbers_ends_the_session():
    with pytest.raises(MeasurementError, match="gave no response_p99_ns"):
        agents.numbers({"replies_per_s": 1.0, "response_p50_ns": 1, "response_p99_ns": None}, 1.0)
