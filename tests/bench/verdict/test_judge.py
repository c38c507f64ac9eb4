"""The verdict on pairs: the traps that other checkers fall into, every word, every exit status, and JSON."""

from __future__ import annotations

import itertools
import json
import math

import pytest

from bench.errors import ExitCode
from bench.verdict.foresight import has_ended
from bench.verdict.judge import Problem, judge
from bench.verdict.pairs import Arm, Observation
from bench.verdict.rules import Rule
from bench.verdict.values import CellVerdict, Comparison
from bench.verdict.words import Word

RPS = Rule(metric="rate", title="throughput", larger_is_better=True)
LATENCY = Rule(metric="rate", title="latency")
SHOWN = Rule(metric="p99", title="p99", gating=False)


def rows(baseline, candidate, *, cell="c", metric="rate"):
    """Pair up two lists of values."""
    return [
        Observation(cell=cell, pair=pair, arm=arm, values={metric: value})
        for arm, values in ((Arm.BASELINE, baseline), (Arm.CANDIDATE, candidate))
        for pair, value in enumerate(values)
    ]


def verdict(baseline, candidate, rule=RPS, **terms):
    terms = {"cells": ["c"], "looks": (max(len(baseline), 1),), "rules": (rule,), "alpha": 0.01, **terms}
    return judge(rows(baseline, candidate), **terms)


def word(*arguments, **terms):
    return verdict(*arguments, **terms).word


def test_a_lost_trial_makes_the_cell_invalid():
    found = verdict([100.0] * 12, [100.0] * 11)
    assert found.exit_code() is ExitCode.INVALID
    assert "unequal numbers of trials" in found.cells[0].reason


def test_no_spread_at_all_is_no_excuse():
    assert word([100.0] * 10, [100.0] * 10) is Word.OK
    assert word([100.0] * 7, [90.0] * 7) is Word.REGRESSED


@pytest.mark.parametrize(
    ("pairs", "expected"), [(5, Word.INCONCLUSIVE), (6, Word.INCONCLUSIVE), (7, Word.REGRESSED), (8, Word.REGRESSED)]
)
def test_half_the_speed_is_seen_from_seven_pairs_on(pairs, expected):
    found = verdict([100.0 + i for i in range(pairs)], [50.0 + i for i in range(pairs)])
    assert found.word is expected
    if expected is Word.INCONCLUSIVE:
        assert "at least 7 are needed" in found.cells[0].reason


@pytest.mark.parametrize("arms", [([100.0] * 10, []), ([], [100.0] * 10), ([], [])])
def test_an_empty_arm_leaves_nothing_to_compare_with(arms):
    found = judge(rows(*arms), cells=["c"], looks=(10,), rules=(RPS,))
    assert found.exit_code() is ExitCode.NO_BASELINE


@pytest.mark.parametrize(
    ("bad", "said"), [(math.nan, "not seen"), (math.inf, "is inf"), (0.0, "is 0"), (-1.0, "is -1"), (None, "not seen")]
)
@pytest.mark.parametrize("arm", list(Arm))
def test_a_number_without_a_logarithm_is_invalid(bad, said, arm):
    good, broken = [100.0] * 10, [100.0] * 4 + [bad] + [100.0] * 5
    found = verdict(good, broken) if arm is Arm.CANDIDATE else verdict(broken, good)
    assert found.exit_code() is ExitCode.INVALID
    assert said in found.cells[0].reason
    assert f"{arm}" in found.cells[0].reason
    assert "pair 5" in found.cells[0].reason


def test_a_cell_that_the_baseline_does_not_have_is_not_fine():
    found = judge(rows([100.0] * 10, [100.0] * 10), cells=["c", "new"], looks=(10,), rules=(RPS,))
    assert [cell.word for cell in found.cells] == [Word.OK, Word.NO_BASELINE]
    assert found.exit_code() is ExitCode.NO_BASELINE


def test_the_direction_of_the_metric_decides():
    slow, fast = [90.0 + i % 2 for i in range(10)], [100.0 + i % 2 for i in range(10)]
    assert word(fast, slow, RPS) is Word.REGRESSED
    assert word(fast, slow, LATENCY) is Word.IMPROVED
    assert word(slow, fast, LATENCY) is Word.REGRESSED


def test_exchanging_the_arms_negates_the_interval_and_turns_the_word():
    a, b = [100.0, 103.0, 99.0, 107.0, 101.0, 98.0, 100.0, 104.0], [92.0, 96.0, 90.0, 97.0, 94.0, 91.0, 95.0, 93.0]
    one, other = (verdict(*arms).cells[0].metrics[0] for arms in ((a, b), (b, a)))
    assert (one.word, other.word) == (Word.REGRESSED, Word.IMPROVED)
    assert math.log1p(one.slowdown.low) == pytest.approx(-math.log1p(other.slowdown.high), abs=1e-15)
    assert one.p == other.p


def test_less_than_the_tolerance_is_let_be():
    """A slowdown of 1 % beyond any doubt is OK by a tolerance of 2 % and REGRESSED by one of half a percent."""
    a, b = [100.0 + 0.1 * (i % 2) for i in range(20)], [99.0] * 20
    assert word(a, b, Rule(metric="rate", title="t", larger_is_better=True, tolerance=0.02)) is Word.OK
    assert word(a, b, Rule(metric="rate", title="t", larger_is_better=True, tolerance=0.005)) is Word.REGRESSED


def test_what_chance_gives_among_many_tests_is_not_called_regressed():
    """Eight pairs, all slower, are rare enough for one test and not for ten."""
    pair = ([100.0 + i for i in range(8)], [80.0 + i for i in range(8)])
    many = judge(rows(*pair), cells=["c", *"defghijkl"], looks=(8,), rules=(RPS,), alpha=0.01)
    assert word(*pair) is Word.REGRESSED
    assert many.cells[0].word is Word.INCONCLUSIVE
    assert "10 tests give that by chance" in many.cells[0].reason


def test_a_metric_that_is_only_shown_never_gates():
    both = [
        Observation(cell="c", pair=row.pair, arm=row.arm, values={**row.values, "p99": p99})
        for row in rows([100.0] * 10, [100.0] * 10)
        for p99 in [9.0 if row.arm is Arm.CANDIDATE else 1.0]
    ]
    found = judge(both, cells=["c"], looks=(10,), rules=(RPS, SHOWN))
    assert found.cells[0].metrics[1].word is Word.REGRESSED
    assert found.word is Word.OK


def faster_but(dearer, looks):
    """Compare arms of which the candidate has a better rate, and so much more CPU in each pair."""
    both = [
        Observation(
            cell="c",
            pair=pair,
            arm=arm,
            values={"rate": 100.0, "cpu": 10.0}
            if arm is Arm.BASELINE
            else {"rate": 120.0 + pair % 3, "cpu": 10.0 * (1 + more)},
        )
        for pair, more in enumerate(dearer)
        for arm in Arm
    ]
    return judge(both, cells=["c"], looks=looks, rules=(RPS, Rule(metric="cpu", title="CPU")))


def test_better_in_one_way_and_worse_in_another_is_no_improvement():
    found = faster_but([0.003] * 20, looks=(20,))
    assert [metric.word for metric in found.cells[0].metrics] == [Word.IMPROVED, Word.OK]
    assert found.word is Word.OK
    assert found.cells[0].reason.startswith("CPU changed by +0.3 %")
    assert faster_but([0.0] * 20, looks=(20,)).word is Word.IMPROVED


@pytest.mark.parametrize(("dearer", "ends"), [([0.0] * 12, True), ([0.02, -0.001] * 6, False)])
def test_a_better_metric_ends_no_cell_in_which_another_may_be_worse(dearer, ends):
    found = faster_but(dearer, looks=(12, 34))
    assert found.cells[0].metrics[0].word is Word.IMPROVED
    assert found.cells[0].metrics[1].word is Word.OK
    assert has_ended(found.cells[0], found) is ends


def test_a_refused_cell_keeps_its_reason_and_its_place_in_the_family():
    pair = rows([100.0] * 10, [80.0] * 10)
    found = judge(pair, cells=["c", "d"], looks=(10,), rules=(RPS,), problems={"d": Problem(Word.INVALID, "burnt")})
    assert found.cells[0].metrics[0].family == 2
    assert (found.cells[1].word, found.cells[1].reason) == (Word.INVALID, "burnt")


@pytest.mark.parametrize("words", [words for size in (1, 2, 3) for words in itertools.combinations(Word, size)])
def test_exit_status_of_every_mixture(words):
    """Regressed before invalid before no baseline before inconclusive; an invalid host before them all."""
    cells = tuple(CellVerdict(cell=str(word), word=word, reason="") for word in words)
    found = Comparison(cells=cells, looks=(10,), alpha=0.01)
    codes = {"REGRESSED": 1, "INVALID": 4, "NO-BASELINE": 5, "INCONCLUSIVE": 3, "IMPROVED": 0, "OK": 0}
    expected = next(code for word, code in codes.items() if word in words)
    assert found.exit_code() == expected
    assert found.exit_code(allow_inconclusive=True) == (0 if expected == 3 else expected)
    assert Comparison(cells=cells, looks=(10,), alpha=0.01, host_problem="steal").exit_code() == 4


def test_no_cells_at_all_are_not_fine():
    assert Comparison(cells=(), looks=(10,), alpha=0.01).exit_code() is ExitCode.INCONCLUSIVE


def test_json_has_null_for_what_is_not_known():
    plain = verdict([100.0] * 3, [100.0] * 3).to_json()
    assert plain["cells"][0]["metrics"][0]["slowdown"]["low"] is None
    assert json.loads(json.dumps(plain, allow_nan=False))["exit_code"] == 3
