"""The session `cluster -- --cost`: rows from made-up turns with a known cost, a load without numbers, and the page."""

from __future__ import annotations

import pytest
from sharpness import agents

from bench.errors import MeasurementError

WITHOUT = dict.fromkeys(agents.SHOWN, 2.0)


def test_a_known_cost_is_seen_as_such():
    pairs = [(WITHOUT, {**WITHOUT, "trial_s": 2.5})] * 3
    row = [cell.strip() for cell in agents.cost_row(3, 1.25, pairs).strip("|").split("|")]
    assert row == ["3", "3", "1.2", "2.00", "2.50", "1.250 [1.250, 1.250]"]


def test_every_turn_has_both_ways_with_one_seed_in_either_order(monkeypatch):
    made = []
    monkeypatch.setattr(agents, "by_workers", lambda _a, _n, load: made.append((0, load)) or WITHOUT)
    monkeypatch.setattr(agents, "by_agents", lambda _a, _s, load: made.append((1, load)) or {**WITHOUT, "trial_s": 3.0})
    crew = type("Crew", (), {"agents": ["a", "b"]})()
    loads = list(agents.LOADS.values())
    for seed in range(8):
        pairs = agents.turn("here:1", crew, loads, seed)
        assert [(before["trial_s"], after["trial_s"]) for before, after in pairs] == [(2.0, 3.0)] * 2
    for seed in range(8):
        mine = made[seed * 4 : seed * 4 + 4]
        expected = [(way, load.replace(seed=seed)) for load in loads for way in (0, 1)]
        assert sorted(map(repr, mine)) == sorted(map(repr, expected))
    assert {way for way, _ in made[::4]} == {0, 1}, "neither way is always first"


def test_loads_are_compared_until_the_time_is_up_but_twice(monkeypatch):
    monkeypatch.setattr(agents, "turn", lambda *_: [(WITHOUT, {**WITHOUT, "replies_per_s": 2.2})] * 2)
    lines = agents.compared("here:1", None, until_s=0.0)
    assert len(lines) == 2 + len(agents.LOADS)
    assert "| 2 | 1.100 [1.100, 1.100] | 1.000 [1.000, 1.000] |" in lines[-1]


def test_a_load_without_its_numbers_ends_the_session():
    with pytest.raises(MeasurementError, match="gave no response_p99_ns"):
        agents.numbers({"replies_per_s": 1.0, "response_p50_ns": 1, "response_p99_ns": None}, 1.0)


def test_the_page_has_one_place_for_what_was_measured():
    page = agents.PAGE.read_text(encoding="utf-8")
    once = agents.write("a table\n", page)
    assert agents.write("a table\n", once) == once
    assert f"{agents.BEGIN}\na table\n\n{agents.END}" in once
    with pytest.raises(ValueError, match="the page has no"):
        agents.write("a table", "a page")
