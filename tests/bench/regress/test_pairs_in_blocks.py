"""Pairs become blocks, and slices become log ratios: what is asked for, what is computed, and what is said of it."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import replace

import pytest
from helpers import fake_host as fakes
from helpers.tracing import paused

from bench.errors import ExitCode
from bench.experiment.doubts import Doubt
from bench.experiment.model import Block, Status, Stop, StopReason
from bench.metrics import CPU
from bench.regress import conclude
from bench.regress.ledger import Ledger, entries
from bench.regress.planner import SOLO, Knowledge
from bench.regress.render import markdown, text
from bench.regress.request import Prepared
from bench.regress.session import session
from bench.verdict.judge import judge
from bench.verdict.pairs import Arm, Observation, paired_values
from bench.verdict.words import Word

ORDERS = {("base", "head"): "AB", ("head", "base"): "BA"}


def orders(host):
    """Return AB or BA for each pair that was asked for."""
    folders = [trial.server.name.partition("@")[2] for trial in host.calls]
    return [ORDERS[pair] for pair in zip(folders[::2], folders[1::2], strict=True)]


@pytest.mark.parametrize("port", [None, 8000])
def test_orders_are_balanced_in_fours_and_have_no_period(port):
    seen = set()
    for seed in range(20):
        host = fakes.FakeHost(seed=seed)
        fakes.run(host, fakes.ask(cells=(fakes.cell(port=port),), pairs=24, seed=seed))
        fours = [tuple(orders(host)[i : i + 4]) for i in range(0, 24, 4)]
        assert [four.count("AB") for four in fours] == [2] * 6
        assert len(set(fours)) > 1, "four pairs are not like the next four"
        seen |= set(fours)
    assert len(seen) == 6, "all the ways to order two AB and two BA are drawn"


@paused()
def test_a_disturbance_with_a_period_of_four_trials_convicts_nobody():
    """In the order AB BA AB BA the first and the last of four trials are one arm's, and it would be convicted."""

    def word(seed):
        slow = iter(itertools.cycle([0.3, 0.0, 0.0, 0.3]))
        host = fakes.FakeHost(fakes.STILL, seed=seed, disturb=lambda _: next(slow))
        return fakes.run(host, fakes.ask(cells=(fakes.cell(port=8000),), pairs=24, seed=seed)).comparison.word

    found = Counter(word(seed) for seed in range(200))
    print(f"a period of four trials: {dict(found)} of 200")
    assert found[Word.REGRESSED] + found[Word.IMPROVED] <= 3


def test_a_pair_is_one_block_but_two_on_one_port():
    together, alone = fakes.FakeHost(), fakes.FakeHost()
    fakes.run(together, fakes.ask(pairs=12))
    fakes.run(alone, fakes.ask(cells=(fakes.cell(port=8000),), pairs=12))
    assert [len(block.trials) for block in together.blocks] == [2] * 12
    assert not any(block.continues for block in together.blocks)
    assert [trial.block for trial in together.calls] == [number for number in range(1, 13) for _ in "ab"]
    assert [len(block.trials) for block in alone.blocks] == [1] * 24
    assert [block.continues for block in alone.blocks] == [False, True] * 12
    assert [trial.block for trial in alone.calls] == list(range(1, 25))


def test_a_pair_that_is_lost_is_measured_again_in_its_order():
    def change(result, arm, count):
        return fakes.failed(result, Status.SERVER_DIED, "x") if (arm, count) == (Arm.CANDIDATE, 5) else result

    whole, broken = fakes.FakeHost(), fakes.FakeHost(change=change)
    fakes.run(whole, fakes.ask(pairs=12))
    fakes.run(broken, fakes.ask(pairs=12))
    again = orders(broken)
    assert len(again) == 13
    assert again[5] == again[6]
    assert Counter(again[:6] + again[7:]) == Counter(orders(whole)) == {"AB": 6, "BA": 6}


def one(number, rate, cpu_us=10.0, p50_ns=1e6):
    slice_s = 0.02
    return {
        "pass": number,
        "replies": rate * slice_s,
        "slice_s": slice_s,
        "server_cpu_s": cpu_us * 1e-6 * rate * slice_s,
        "response_p50_ns": p50_ns,
    }


def verdict(rule, slices, values, pairs=12):
    rows = [
        Observation(cell="c", pair=pair, arm=arm, values={rule.metric: values[arm]}, slices=slices[arm])
        for pair in range(pairs)
        for arm in Arm
    ]
    return judge(rows, cells=["c"], looks=(pairs,), rules=(rule,)).cells[0].metrics[0]


MOODS = [1.0, 1.5, 0.7, 1.2, 0.4]
SLICES = {
    Arm.BASELINE: [one(i, 1000 * mood) for i, mood in enumerate(MOODS)],
    Arm.CANDIDATE: [one(i, 800 * mood, cpu_us=12.0, p50_ns=1.3e6) for i, mood in enumerate(MOODS)],
}


@pytest.mark.parametrize(("rule", "ratio"), [(fakes.RPS, 0.8), (fakes.CPU, 1.2), (fakes.P50, 1.3)])
def test_a_pair_is_the_median_over_its_passes(rule, ratio):
    """The trials' own numbers are equal here, so the change can only come from the slices."""
    metric = verdict(rule, SLICES, dict.fromkeys(Arm, 100.0))
    assert metric.change.value == pytest.approx(ratio - 1)
    assert metric.word is Word.REGRESSED
    assert (metric.baseline.value, metric.candidate.value) == (100.0, 100.0)


def test_exchanging_the_arms_negates_a_ratio_of_slices():
    exchanged = {Arm.BASELINE: SLICES[Arm.CANDIDATE], Arm.CANDIDATE: SLICES[Arm.BASELINE]}
    there, back = (verdict(fakes.CPU, slices, dict.fromkeys(Arm, 1.0)) for slices in (SLICES, exchanged))
    assert math.log1p(there.slowdown.value) == pytest.approx(-math.log1p(back.slowdown.value), abs=1e-15)


def test_what_slices_cannot_tell_and_what_has_none_comes_from_the_trials():
    p99 = fakes.Rule(metric="response_p99_ns", title="p99")
    values = {Arm.BASELINE: 100.0, Arm.CANDIDATE: 150.0}
    assert verdict(p99, SLICES, values).change.value == pytest.approx(0.5)
    assert verdict(fakes.CPU, {**SLICES, Arm.CANDIDATE: []}, values).change.value == pytest.approx(0.5)


@pytest.mark.parametrize("bad", [math.nan, None, 0.0, -1.0, math.inf])
def test_a_trial_without_a_number_is_invalid_whatever_its_slices_say(bad):
    metric = verdict(fakes.CPU, SLICES, {Arm.BASELINE: 1.0, Arm.CANDIDATE: bad})
    assert metric.word is Word.INVALID
    assert "of the candidate" in metric.reason


def test_a_pair_without_a_pass_that_both_arms_have_is_invalid():
    shifted = [{**piece, "pass": piece["pass"] + 100} for piece in SLICES[Arm.CANDIDATE]]
    metric = verdict(fakes.CPU, {**SLICES, Arm.CANDIDATE: shifted}, dict.fromkeys(Arm, 1.0))
    assert metric.word is Word.INVALID
    assert "in no pass of pair 1" in metric.reason


@pytest.mark.parametrize("arm", list(Arm))
@pytest.mark.parametrize(("idle", "expected"), [(0.03, Word.INVALID), (0.005, Word.OK), (None, Word.OK)])
def test_a_server_that_works_out_of_its_turn_is_invalid(arm, idle, expected):
    def change(result, which, _count):
        return fakes.with_metrics(result, server_idle_cpu_share=idle if which is arm else 0.0)

    found = fakes.run(fakes.FakeHost(fakes.STILL, change=change), fakes.ask(pairs=12)).comparison.cells[0]
    assert found.word is expected
    if expected is Word.INVALID:
        assert f"the {arm} used 3 % of a core while it was not its turn" in found.reason


def stopped(after):
    """Interrupt a comparison of two cells after some blocks, and return what it found."""
    experiment = session(
        fakes.ask(cells=(fakes.cell("a"), fakes.cell("b")), pairs=40), Knowledge(pair_sd={}, trial_s={})
    )
    host, step = fakes.FakeHost(fakes.STILL, slower=0.5), next(experiment)
    while len(host.blocks) < after or not isinstance(step, Block):
        step = experiment.send(host(step) if isinstance(step, Block) else ())
    try:
        experiment.throw(Stop(StopReason.INTERRUPTED))
    except StopIteration as end:
        return end.value
    raise AssertionError("it went on")


def test_what_was_interrupted_says_what_its_pairs_show():
    compared = stopped(after=30)
    assert compared.stopped is StopReason.INTERRUPTED
    assert [cell.metrics[0].pairs for cell in compared.comparison.cells] == [15, 15]
    assert compared.comparison.exit_code() is ExitCode.REGRESSED


def test_a_cell_that_was_not_reached_is_inconclusive_and_says_why():
    cells = stopped(after=1).comparison.cells
    assert {cell.word for cell in cells} == {Word.INCONCLUSIVE}
    assert [cell.reason for cell in cells].count("the check was stopped before it had a pair") == 1


def test_what_was_interrupted_before_its_first_pair_has_nothing_to_say():
    with pytest.raises(Stop):
        stopped(after=0)


def presentation(compared, tmp_path, **fields):
    question = fakes.ask(cells=compared.plan.cells, pairs=12)
    arms = Prepared(cells=question.cells, baseline="old", candidate="new", same=False, same_interpreter=True)
    ledger = Ledger(tmp_path / "ledger")
    made = conclude.presentation(compared, question, arms, ledger, ["echobench"], seconds=60.0, allow=False)
    return replace(made, **fields)


def test_the_report_and_the_plan_say_what_was_measured_solo(tmp_path):
    cells = (fakes.cell("a"), fakes.cell("b", port=8000))
    compared = fakes.run(fakes.FakeHost(fakes.STILL), fakes.ask(cells=cells, pairs=12))
    made = presentation(compared, tmp_path)
    assert f"b: {SOLO}" in compared.plan.lines
    assert text(made).count(SOLO) == markdown(made).count(SOLO) == 1
    assert {cell["cell"]: cell["design"] for cell in made.comparison.to_json()["cells"]} == {"a": "block", "b": "solo"}


def test_the_report_says_what_hides_the_speed_of_the_arms(tmp_path):
    def change(result, arm, _count):
        return replace(result, doubts=(Doubt.DELAYED_ACK,)) if arm is Arm.CANDIDATE else result

    made = presentation(fakes.run(fakes.FakeHost(fakes.STILL, change=change), fakes.ask(pairs=12)), tmp_path)
    said = f"doubt: delayed-ack, candidate: {Doubt.DELAYED_ACK.advice}"
    assert text(made).count(said) == markdown(made).count(said) == 1
    assert [said.removeprefix("doubt: ")] == made.comparison.to_json()["cells"][0]["doubts"]


def test_an_interrupted_report_says_so_and_keeps_its_exit_status(tmp_path):
    lines = text(presentation(stopped(after=30), tmp_path)).splitlines()
    assert "interrupted: this is what the pairs until then show" in lines
    assert lines[-1] == "exit status 1"


@pytest.mark.parametrize(("used", "said"), [(0.05, False), (0.5, True)])
def test_a_host_that_others_use_is_a_doubt_and_no_refusal(tmp_path, used, said):
    crowd = {"machine_foreign_cpu_share": used}
    host = fakes.FakeHost(fakes.STILL, change=lambda result, *_: fakes.with_metrics(result, **crowd))
    compared = fakes.run(host, fakes.ask(pairs=12))
    assert compared.comparison.word is Word.OK
    assert ("doubt: other processes took 50 % of the machine" in text(presentation(compared, tmp_path))) is said


def test_noise_is_remembered_for_the_very_same_measurement_only(tmp_path):
    cell = fakes.cell(duration_s=0.5)
    compared = fakes.run(fakes.FakeHost(fakes.QUIET), fakes.ask(cells=(cell,), pairs=12))
    ledger = Ledger(tmp_path / "ledger")
    ledger.append(entries(compared.comparison, (cell,), at="now", machine="m", same=True, trial_s=2.0))
    others = [
        fakes.cell(duration_s=0.05),
        fakes.cell(duration_s=0.5, warmup_s=3.0),
        fakes.cell(duration_s=0.5, connections=7),
        fakes.cell(duration_s=0.5, port=8000),
        fakes.cell("another", duration_s=0.5),
    ]
    assert ledger.knowledge([fakes.cell(duration_s=0.5, seed=9)], (fakes.RPS,), "m").pair_sd
    assert [ledger.knowledge([other], (fakes.RPS,), "m").pair_sd for other in others] == [{}] * len(others)


def test_lines_of_an_earlier_version_are_left_alone(tmp_path):
    path = tmp_path / "ledger"
    path.write_text('{"schema": 1, "cell": "threads", "word": "OK"}\n{"schema": 3}\n')
    ledger = Ledger(path)
    assert (ledger.entries, ledger.unreadable) == ([], 1), "one of a later version cannot be read"


def test_slices_that_tell_no_cpu_leave_the_ratio_to_the_trials():
    blind = [{"pass": 1, "slice_s": 0.1, "replies": 10, "server_cpu_s": None, "response_p50_ns": 5.0}]
    rows = [
        Observation(cell="c", pair=0, arm=arm, values={CPU.column: cpu}, slices=blind)
        for arm, cpu in ((Arm.BASELINE, 10.0), (Arm.CANDIDATE, 20.0))
    ]
    assert paired_values(rows, CPU.column).log_ratios == pytest.approx([math.log(2)])


@pytest.mark.parametrize("names", ["a", "ab"])
def test_the_pair_after_is_foreseen_between_two_looks(names):
    """At a look the numbers decide what comes next."""
    host = fakes.FakeHost(fakes.NOISY)
    fakes.run(host, fakes.ask(cells=tuple(map(fakes.cell, names)), pairs=12, looks=(9, 12)))
    after = [block.trials for block in host.blocks[1:]]
    foreseen = [block.following for block in host.blocks]
    assert [trials for trials in foreseen if trials] == [t for t, f in zip(after, foreseen, strict=False) if f]
    assert [number for number, trials in enumerate(foreseen, 1) if not trials] == [9 * len(names), 12 * len(names)]


def test_a_lost_pair_is_asked_for_again_in_its_order():
    """What was foreseen does not come then, and the numbers of the trials have no gap."""

    def change(result, arm, count):
        return fakes.failed(result, Status.SERVER_DIED, "ended") if (arm, count) == (Arm.BASELINE, 2) else result

    host = fakes.FakeHost(change=change)
    fakes.run(host, fakes.ask(pairs=10))
    assert len(host.blocks) == 11
    lost, again = (tuple(trial.server.name for trial in block.trials) for block in host.blocks[2:4])
    assert lost == again
    assert [trial.number for block in host.blocks for trial in block.trials] == list(range(1, 23))


def test_no_server_is_foreseen_beside_one_that_must_be_alone():
    host = fakes.FakeHost()
    fakes.run(host, fakes.ask(cells=(fakes.cell("a"), fakes.cell("b", port=4000)), pairs=12))
    alone = [block for block in host.blocks if len(block.trials) == 1]
    assert len(alone) == 24
    assert not any(block.following for block in alone)
    assert all(len(block.following) in {0, 2} for block in host.blocks)
