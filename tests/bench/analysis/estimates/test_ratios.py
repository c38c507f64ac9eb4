"""One server over another: held against the raw slices and trials, and against a model whose truth is known."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from helpers import block_run
from helpers.block_run import BlockRun
from helpers.tracing import paused
from scipy import stats

from bench.analysis.estimates.ratios import Pairing, Ratios
from bench.analysis.runs import run_folder
from bench.errors import UsageError
from bench.metrics import CPU, MEMORY, P50, P99, THROUGHPUT

TRUTH = 1.25
SPEEDS = {"threads": 40_000.0, "coroutines": TRUTH * 40_000.0}


@pytest.fixture(scope="module")
def blocks(tmp_path_factory):
    """Return a function that makes a run of the model, and loads it; the same run if it is asked for again."""
    made = {}

    def make(**how):
        asked = repr((sorted(how.items()), block_run.WANDER))
        if asked not in made:
            made[asked] = run_folder.load(
                BlockRun(**{"speeds": SPEEDS, **how}).write(tmp_path_factory.mktemp("runs") / "a-run")
            )
        return made[asked]

    return make


def of(run, metric=THROUGHPUT, server="coroutines", baseline="threads", workload="c16"):
    return Ratios(run).of(metric, workload, server, baseline)


def inverted_by_enumeration(logs, level=0.95):
    """Return the bounds of the signed-rank interval from all 2^n ways to give the ranks signs."""
    n = len(logs)
    sums = sorted(
        sum(rank for rank, sign in enumerate(signs, 1) if sign) for signs in itertools.product((0, 1), repeat=n)
    )
    cut = next(w for w in range(n * (n + 1) // 2 + 2) if sum(s >= w for s in sums) / 2**n <= (1 - level) / 2)
    walsh = sorted((logs[i] + logs[j]) / 2 for i in range(n) for j in range(i, n))
    return walsh[len(walsh) - cut], walsh[cut - 1]


VALUES = {
    THROUGHPUT: lambda rows: rows["replies"] / rows["slice_s"],
    CPU: lambda rows: rows["server_cpu_s"] / rows["replies"],
    P50: lambda rows: rows["response_p50_ns"],
}


@pytest.mark.parametrize("metric", VALUES, ids=lambda metric: metric.column)
def test_servers_of_a_block_are_divided_slice_by_slice(blocks, metric):
    run = blocks()
    found = of(run, metric)
    rows = run.slices.assign(value=VALUES[metric](run.slices).astype(float))
    wide = rows.pivot_table(index=["block", "pass"], columns="server", values="value")
    logs = np.log(wide["coroutines"] / wide["threads"]).groupby("block").agg(stats.trim_mean, 0.2).to_numpy()
    assert found.pairing is Pairing.SLICES
    assert found.values == pytest.approx(np.exp(logs))
    low, high = inverted_by_enumeration(list(logs))
    assert (found.estimate.low, found.estimate.high) == pytest.approx((math.exp(low), math.exp(high)))
    assert found.estimate.level == 0.95


def test_what_slices_cannot_tell_is_divided_by_trials_of_the_block(blocks):
    run = blocks()
    for metric in (P99, MEMORY):
        found = of(run, metric)
        wide = run.measured.pivot_table(index="block", columns="server", values=metric.column, aggfunc="first")
        logs = np.log((wide["coroutines"] / wide["threads"]).astype(float))
        assert found.pairing is Pairing.BLOCKS
        assert found.values == pytest.approx(np.exp(logs))
        assert found.estimate.value == pytest.approx(stats.gmean(np.exp(logs)))


def test_who_was_alone_is_divided_by_trials_of_the_round(blocks):
    run = blocks(speeds={**SPEEDS, "alone": 20_000.0, "also": 10_000.0}, solo=("alone", "also"))
    trials = run.measured.pivot_table(index="round", columns="server", values="replies_per_s")
    for server, baseline in (("alone", "threads"), ("threads", "alone"), ("alone", "also")):
        found = of(run, server=server, baseline=baseline)
        assert found.pairing is Pairing.ROUNDS
        assert found.values == pytest.approx(tuple((trials[server] / trials[baseline]).astype(float)))
    assert of(run).pairing is Pairing.SLICES


def test_a_block_that_only_one_of_two_survived_does_not_count(blocks):
    whole, broken = blocks(), blocks(missing={3: ("threads",)})
    assert of(broken).values == pytest.approx([value for n, value in enumerate(of(whole).values, 1) if n != 3])


def test_fewer_than_six_blocks_have_a_point_and_no_interval(blocks):
    five, six = (of(blocks(blocks=number)).estimate for number in (5, 6))
    assert not five.bounded
    assert five.value == pytest.approx(TRUTH, rel=0.1)
    assert six.low < six.value < six.high


def test_the_other_way_round_is_exactly_the_inverse(blocks):
    run = blocks()
    for metric in (THROUGHPUT, P99):
        there, back = of(run, metric).estimate, of(run, metric, "threads", "coroutines").estimate
        assert (1 / back.value, 1 / back.high, 1 / back.low) == pytest.approx((there.value, there.low, there.high))


def test_what_the_machine_does_in_a_pass_changes_no_ratio(blocks, monkeypatch):
    calm = blocks()
    monkeypatch.setattr(block_run, "WANDER", 4.0)
    wild = blocks()
    rate = wild.slices["replies"] / wild.slices["slice_s"]
    assert rate.max() / rate.min() > 2 * (calm.slices["replies"] / calm.slices["slice_s"]).pipe(
        lambda r: r.max() / r.min()
    )
    assert of(wild).values == pytest.approx(of(calm).values)


def test_a_pair_that_never_met_has_no_ratio(blocks):
    found = of(blocks(), workload="c17")
    assert found.values == ()
    assert math.isnan(found.estimate.value)


def test_a_server_that_was_never_measured_is_refused_with_the_nearest_name(blocks):
    with pytest.raises(UsageError, match="did you mean 'coroutines'"):
        Ratios(blocks(blocks=1)).require("coroutine")


CELLS = 120


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """Return the ratios of 120 independent runs of 8 blocks of 25 passes: a workload of one run each."""
    model = BlockRun(speeds=SPEEDS, connections=tuple(range(1, CELLS + 1)), seed=11)
    with paused():
        run = run_folder.load(model.write(tmp_path_factory.mktemp("many") / "run"))
        ratios = Ratios(run)
        return run, [
            ratios.of(THROUGHPUT, f"c{number}", "coroutines", "threads").estimate for number in range(1, CELLS + 1)
        ]


def test_the_interval_holds_the_truth_as_often_as_it_says(many):
    _, found = many
    missed = sum(not one.low <= TRUTH <= one.high for one in found)
    assert 0 < missed <= stats.binom.ppf(0.999, CELLS, 0.05)


@paused()
def test_the_interval_is_narrow_though_slices_vary_by_a_quarter(many):
    run, found = many
    logs = np.log((run.slices["replies"] / run.slices["slice_s"]).astype(float))
    within = logs.groupby(run.slices["trial"]).std()
    assert within.mean() == pytest.approx(0.25, abs=0.05)
    half_widths = [(one.high / one.low) ** 0.5 - 1 for one in found]
    assert np.median(half_widths) <= 0.03
    solo = [(high / low) ** 0.5 - 1 for _, cell in run.measured.groupby("workload") for low, high in [_by_trials(cell)]]
    assert np.median(half_widths) < np.median(solo)


def _by_trials(cell):
    """Return the interval that whole trials of the same block give."""
    wide = cell.pivot_table(index="block", columns="server", values="replies_per_s").astype(float)
    logs = np.log(wide["coroutines"] / wide["threads"])
    return np.exp(stats.t.interval(0.95, len(logs) - 1, logs.mean(), stats.sem(logs)))
