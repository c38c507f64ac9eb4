"""What a comparison promises of pairs in blocks, on a simulated host, by its defaults: rules, duration and warm-up.

Every case prints its figure (`pytest -rP`); docs/verdict.md repeats them. Seeds are fixed, so a case that passes once
passes always. The cases marked `live` are the published figures; a part of their sessions is enough for every commit.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from helpers import fake_host as fakes
from helpers import fake_slices
from helpers.fake_host import most
from helpers.fake_slices import Neighbour

from bench.cli.regress import DEFAULTS, MINUTES_A_CELL
from bench.experiment.model import Status
from bench.stats import signed_rank_p
from bench.verdict.judge import ALPHA
from bench.verdict.rules import RULES
from bench.verdict.words import Word

pytestmark = pytest.mark.usefixtures("coverage_paused")

MINUTE_S = 60 * MINUTES_A_CELL


def cell(**workload):
    times = {name: float(DEFAULTS[name].removesuffix("s")) for name in ("duration_s", "warmup_s")}
    return fakes.cell(connections=64, **{**times, **workload})


def check(seed, *, slower=0.0, seconds=MINUTE_S, neighbour=None, **workload):
    """Run one check by the defaults; return its word and the seconds that it took."""
    slices = fake_slices.QUIET if neighbour is None else replace(fake_slices.QUIET, neighbour=neighbour)
    host = fakes.FakeHost(replace(fakes.SLICED, slices=slices), seed=seed, slower=slower)
    asked = fakes.ask(cells=(cell(**workload),), rules=RULES, seed=seed, seconds=seconds)
    return fakes.run(host, asked).comparison.word, host.now_s


def words(sessions, **asked):
    found = fakes.over_seeds(lambda seed: check(seed, **asked), sessions)
    return Counter(word for word, _ in found), float(np.mean([seconds for _, seconds in found]))


@pytest.mark.timeout(300)
@pytest.mark.parametrize("sessions", [100, pytest.param(1000, marks=pytest.mark.live)])
def test_equal_code_is_fine_and_hardly_ever_regressed(sessions):
    found, seconds = words(sessions)
    print(f"A/A, {seconds:.0f} s: {dict(found)} of {sessions}")
    assert found[Word.REGRESSED] <= min(most(sessions, ALPHA), 0.01 * sessions)
    assert found[Word.IMPROVED] <= most(sessions, ALPHA)
    assert found[Word.OK] >= 0.95 * sessions


@pytest.mark.parametrize(
    ("slower", "seconds", "least"),
    [
        (0.05, 30.0, 95),
        (0.03, MINUTE_S, 95),
        (0.02, MINUTE_S, 80),
        pytest.param(0.01, 240.0, 50, marks=pytest.mark.live),
    ],
)
def test_a_slowdown_is_found_in_time(slower, seconds, least):
    found, spent_s = words(100, slower=slower, seconds=seconds)
    print(
        f"+{slower:.0%} within {seconds:.0f} s: {found[Word.REGRESSED]} of 100 found, after {spent_s:.0f} s on average"
    )
    assert found[Word.REGRESSED] >= least
    assert spent_s <= seconds


@pytest.mark.live
def test_half_a_second_is_the_best_length_of_a_trial():
    found = {length: words(100, slower=0.015, duration_s=length)[0][Word.REGRESSED] for length in (0.25, 0.5, 1.0, 2.0)}
    print(f"+1.5 % within {MINUTE_S:.0f} s, found of 100 by the seconds of a trial: {found}")
    assert found[float(DEFAULTS["duration_s"].removesuffix("s"))] == max(found.values())


NEIGHBOURS = {
    "72 % of the time": Neighbour(0.72),
    "nine tenths of the time": Neighbour(0.9),
    "half of each second": Neighbour(0.5, period_s=1.0),
    "in step with the passes": Neighbour(0.5, period_s=2 * fake_slices.SLICE_S),
    "half of the time stolen": Neighbour(0.5, left=0.02, dearer=0.3),
    "nine tenths stolen": Neighbour(0.9, left=0.02, dearer=0.3),
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("sessions", [40, pytest.param(120, marks=pytest.mark.live)])
@pytest.mark.parametrize("name", NEIGHBOURS)
def test_a_neighbour_makes_no_word_false(name, sessions):
    """Equal code is not called changed more often than chance allows, and is not called INVALID."""
    found, _ = words(sessions, neighbour=NEIGHBOURS[name])
    dearer, _ = words(sessions // 6, neighbour=NEIGHBOURS[name], slower=1.52)
    print(f"neighbour, {name}: A/A {dict(found)} of {sessions}; +152 % {dict(dearer)} of {sessions // 6}")
    assert found[Word.REGRESSED] + found[Word.IMPROVED] <= most(sessions, 2 * ALPHA)
    assert found[Word.INVALID] <= most(sessions, 0.003)
    assert dearer[Word.REGRESSED] == sessions // 6


def test_a_much_slower_candidate_is_regressed_on_a_busy_machine():
    slices = replace(fake_slices.QUIET, neighbour=Neighbour(0.72))
    crowd = {"machine_foreign_cpu_share": 0.72}
    host = fakes.FakeHost(replace(fakes.SLICED, slices=slices), slower=1.52)
    host.change = lambda result, *_: fakes.with_metrics(result, **crowd)
    compared = fakes.run(host, fakes.ask(cells=(cell(),), rules=RULES, seconds=MINUTE_S))
    change = compared.comparison.cells[0].metrics[0].change
    print(f"+152 % while others use 72 %: {compared.comparison.word}, {change.value:+.0%}")
    assert compared.comparison.word is Word.REGRESSED
    assert change.low < 1.52 < change.high


def batches(d):
    """Means of four neighbouring pairs: what was tested before, where neighbours were alike."""
    return d.reshape(-1, 4).mean(axis=1)


@pytest.mark.parametrize("sessions", [400, pytest.param(1000, marks=pytest.mark.live)])
def test_pairs_in_a_random_order_need_no_batches(sessions):
    """The drift of a host gets a random sign from the order, so neighbouring pairs are not alike. 40 solo pairs."""

    def fired(seed, slower):
        host = fakes.FakeHost(fakes.Host(drift_sd=0.15, drift_tau_s=60.0), seed=seed, slower=slower)
        pairs = fakes.run(host, fakes.ask(pairs=40, seed=seed)).pairs["threads"]
        rates = np.array([[pair[arm].metrics["replies_per_s"] for arm in fakes.Arm] for pair in pairs.whole])
        d = np.log(rates[:, 0] / rates[:, 1])
        return [signed_rank_p(one) <= alpha for one in (d, batches(d)) for alpha in (0.01, ALPHA)]

    alarms = np.sum(fakes.over_seeds(lambda seed: fired(seed, 0.0), sessions), axis=0)
    found = np.sum(fakes.over_seeds(lambda seed: fired(seed, 0.10), sessions // 5), axis=0)
    print(f"drift of 15 %, A/A: {alarms[0]} of {sessions} at 1 %, in batches {alarms[2]}")
    print(f"+10 %: {found[1]} of {sessions // 5} found, in batches {found[3]}")
    assert alarms[0] <= most(sessions, 0.01)
    assert found[1] >= found[3]


def test_a_baseline_that_dies_in_a_block_is_no_baseline():
    """The other arm of the block was skipped with it, which is no fault of its own."""

    def change(result, arm, _count):
        if arm is fakes.Arm.BASELINE:
            return fakes.failed(result, Status.NOT_READY, "no module named x")
        return fakes.failed(result, Status.SKIPPED, "the other server of the block was not ready")

    host = fakes.FakeHost(fakes.SLICED, change=change)
    compared = fakes.run(host, fakes.ask(pairs=12))
    assert compared.comparison.word is Word.NO_BASELINE
    assert "no module named x" in compared.comparison.cells[0].reason
