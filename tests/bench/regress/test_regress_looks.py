"""What the planned looks of a comparison save, and what they cost: the whole of it, on pairs whose noise is known.

A pair varies by 1 % in server CPU per reply and by 2.5 % in median response time, which shows 70 % of a change of the
former. Every case prints its figure (`pytest -rP`), and docs/verdict.md has those of 1,000 checks.
"""

from __future__ import annotations

import math
from collections import Counter

import numpy as np
import pytest
from helpers import fake_host as fakes

from bench.verdict.rules import RULES
from bench.verdict.words import Word

pytestmark = pytest.mark.usefixtures("coverage_paused")

NOISE = {"server_cpu_us_per_reply": 0.01, "response_p50_ns": 0.025}
SHOWN = {"server_cpu_us_per_reply": 1.0, "response_p50_ns": 0.7}
HALF_A_MINUTE, MINUTE, FOUR_MINUTES = 17, 33, 137
"""So many pairs of about 1.75 s are measured in that time."""


def check(seed, pairs, slower):
    """Run one check with the default gates; return its word and the pairs that it took."""
    draw = np.random.default_rng(seed)

    def change(result, arm, _count):
        if arm is fakes.Arm.BASELINE:
            return result
        logs = {name: math.log1p(SHOWN[name] * slower) + draw.normal(0, sd) for name, sd in NOISE.items()}
        return fakes.with_metrics(result, **{name: result.metrics[name] * math.exp(log) for name, log in logs.items()})

    host = fakes.FakeHost(fakes.STILL, change=change, trials=2 * pairs)
    gates = tuple(rule for rule in RULES if rule.gating)
    (cell,) = fakes.run(host, fakes.ask(rules=gates, pairs=pairs, looks=None, seed=seed)).comparison.cells
    return cell.word, cell.metrics[0].pairs


def checks(number, pairs, slower):
    found = fakes.over_seeds(lambda seed: check(seed, pairs, slower), number)
    words, taken = Counter(word for word, _ in found), float(np.mean([pairs for _, pairs in found]))
    print(f"+{slower:.0%}, {pairs} pairs: {dict(words)} of {number}, after {taken:.1f} pairs on average")
    return words, taken


@pytest.mark.parametrize("number", [100, pytest.param(1000, marks=pytest.mark.live)])
@pytest.mark.parametrize(
    ("pairs", "saved"),
    [(HALF_A_MINUTE, 0.15), (MINUTE, 0.2), pytest.param(FOUR_MINUTES, 0.25, marks=pytest.mark.live)],
)
def test_equal_code_is_fine_and_ends_early(number, pairs, saved):
    words, taken = checks(number, pairs, 0.0)
    assert words[Word.OK] >= 0.98 * number
    assert words[Word.REGRESSED] <= fakes.most(number, 0.002)
    assert taken <= (1 - saved) * pairs


@pytest.mark.parametrize("number", [100, pytest.param(1000, marks=pytest.mark.live)])
@pytest.mark.parametrize(
    ("slower", "pairs", "least", "most"),
    [
        (0.02, HALF_A_MINUTE, 0.98, 14.0),
        pytest.param(0.05, HALF_A_MINUTE, 0.99, 11.5, marks=pytest.mark.live),
        pytest.param(0.02, MINUTE, 0.99, 18.0, marks=pytest.mark.live),
        pytest.param(0.01, MINUTE, 0.9, 28.0, marks=pytest.mark.live),
        pytest.param(0.01, FOUR_MINUTES, 0.99, 45.0, marks=pytest.mark.live),
    ],
)
def test_a_slowdown_is_found_at_an_early_look(number, slower, pairs, least, most):
    words, taken = checks(number, pairs, slower)
    assert words[Word.REGRESSED] >= least * number
    assert taken <= most
