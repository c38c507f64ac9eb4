"""How a comparison runs: order, looks, lost trials, time, gates, plans; on the fake host."""

from __future__ import annotations

import dataclasses
import itertools
import json
import math
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from helpers import fake_host as fakes
from helpers.tracing import paused

from bench.errors import ExitCode, UsageError
from bench.experiment.doubts import Doubt
from bench.experiment.model import Server, Status, StopReason
from bench.regress import session as sessions
from bench.regress.conclude import sensitivity
from bench.regress.ledger import Ledger, entries
from bench.regress.planner import Knowledge, make_plan
from bench.regress.session import Question, session
from bench.regress.validity import cell_doubts, not_steady
from bench.verdict.judge import judge
from bench.verdict.pairs import Arm
from bench.verdict.words import Word


def only(compared):
    return compared.comparison.cells[0]


def arms_in_order(host):
    return [trial.server.name.partition("@")[2] for trial in host.calls]


def test_each_round_visits_every_cell_in_another_order():
    cells = tuple(fakes.cell(name) for name in "abcdef")
    host = fakes.FakeHost(fakes.QUIET, trials=400)
    fakes.run(host, fakes.ask(cells=cells, pairs=20))
    rounds = defaultdict(list)
    for trial in host.calls[::2]:
        rounds[trial.round].append(trial.server.name[0])
    assert all(sorted(names) == list("abcdef") for names in rounds.values())
    assert len({tuple(names) for names in rounds.values()}) > 10


def test_the_same_seed_gives_the_same_plan():
    asked = fakes.ask(cells=tuple(fakes.cell(name) for name in "abc"), pairs=15, seed=5)
    one, two = fakes.FakeHost(), fakes.FakeHost()
    fakes.run(one, asked)
    fakes.run(two, asked)
    assert one.calls == two.calls


def test_both_trials_of_a_pair_share_a_seed_and_pairs_do_not():
    host = fakes.FakeHost()
    fakes.run(host, fakes.ask(pairs=12))
    seeds = [trial.workload.seed for trial in host.calls]
    assert seeds[::2] == seeds[1::2]
    assert len(set(seeds)) == 12


def test_a_look_asks_only_the_rules_that_decide(monkeypatch):
    """The other metrics are judged at the end, when they are shown."""
    asked = []

    def listening(rows, **terms):
        asked.append([rule.gating for rule in terms["rules"]])
        return judge(rows, **terms)

    monkeypatch.setattr(sessions, "judge", listening)
    rules = (fakes.RPS, dataclasses.replace(fakes.CPU, gating=False))
    outcome = fakes.run(fakes.FakeHost(fakes.NOISY), fakes.ask(rules=rules, pairs=40, looks=(20, 30, 40)))
    assert asked == [[True], [True], [True, False]]
    assert [metric.pairs for metric in only(outcome).metrics] == [40, 40]


def with_noise(host, sd):
    """Let the candidate vary by so much from pair to pair, by turns up and down."""
    factors = itertools.cycle(np.exp([sd, -sd, -sd, sd]))

    def change(result, arm, _count):
        rate = result.metrics["replies_per_s"] * (next(factors) if arm is Arm.CANDIDATE else 1.0)
        return fakes.with_metrics(result, replies_per_s=rate)

    host.change = change
    return host


def test_a_changed_cell_ends_and_a_noisy_one_goes_on():
    """Of the noisy one, more pairs may yet find a smaller slowdown than those that were excluded."""
    host = with_noise(fakes.FakeHost(fakes.STILL, slower={"a": 0.5}, trials=400), 0.04)
    compared = fakes.run(host, fakes.ask(cells=(fakes.cell("a"), fakes.cell("b")), pairs=80, looks=(20, 80)))
    found = {cell.cell: (cell.word, cell.metrics[0].pairs) for cell in compared.comparison.cells}
    assert found == {"a": (Word.REGRESSED, 20), "b": (Word.OK, 80)}


@pytest.mark.parametrize(
    ("slower", "sd", "pairs"), [(0.0, 0.0, 20), (0.0, 0.01, 20), (0.004, 0.01, 40), (-0.004, 0.01, 40)]
)
def test_a_fine_cell_ends_where_its_word_would_stay(slower, sd, pairs):
    host = with_noise(fakes.FakeHost(fakes.STILL, slower=slower), sd)
    found = only(fakes.run(host, fakes.ask(pairs=40, looks=(20, 40))))
    assert (found.word, found.metrics[0].pairs) == (Word.OK, pairs)


def test_a_server_that_works_in_one_arm_only():
    def broken(arm):
        def change(result, which, _count):
            return fakes.failed(result, Status.NOT_READY, "ImportError: no module named x") if which is arm else result

        return fakes.run(fakes.FakeHost(change=change), fakes.ask(pairs=12)).comparison

    baseline, candidate = broken(Arm.BASELINE), broken(Arm.CANDIDATE)
    assert baseline.exit_code() is ExitCode.NO_BASELINE
    assert candidate.exit_code() is ExitCode.INVALID
    for found in (baseline, candidate):
        assert "works in one arm only" in found.cells[0].reason
        assert "no module named x" in found.cells[0].reason


def test_an_arm_that_never_works_is_tried_twice_and_no_more():
    host = fakes.FakeHost(change=lambda result, *_: fakes.failed(result, Status.NOT_READY, "no such file"))
    assert fakes.run(host, fakes.ask(pairs=100)).comparison.exit_code() is ExitCode.INVALID
    assert len(host.calls) == 4


def test_a_server_that_is_known_not_to_run_is_not_tried():
    cell = fakes.cell()
    gone = dataclasses.replace(cell, servers={**cell.servers, Arm.BASELINE: Server(name="x", gap="it is not in base")})
    host = fakes.FakeHost()
    compared = fakes.run(host, fakes.ask(cells=(gone,), pairs=12))
    assert compared.comparison.exit_code() is ExitCode.NO_BASELINE
    assert "it is not in base" in only(compared).reason
    assert host.calls == []


def test_a_lost_trial_is_measured_again_with_its_partner():
    def change(result, arm, count):
        return fakes.failed(result, Status.SERVER_DIED, "ended") if (arm, count) == (Arm.BASELINE, 4) else result

    host = fakes.FakeHost(change=change)
    compared = fakes.run(host, fakes.ask(pairs=12))
    assert only(compared).metrics[0].pairs == 12
    assert len(host.calls) == 26
    assert compared.comparison.exit_code() is not ExitCode.INVALID


def test_more_than_five_percent_lost_is_invalid():
    def change(result, arm, count):
        return (
            fakes.failed(result, Status.SERVER_DIED, "segfault") if arm is Arm.CANDIDATE and count % 3 == 2 else result
        )

    compared = fakes.run(fakes.FakeHost(change=change), fakes.ask(pairs=20))
    assert compared.comparison.exit_code() is ExitCode.INVALID
    assert "segfault" in only(compared).reason


def test_wrong_bytes_are_invalid_at_once():
    def change(result, arm, count):
        return fakes.failed(result, Status.WRONG_ECHO, "byte 7") if (arm, count) == (Arm.CANDIDATE, 2) else result

    compared = fakes.run(fakes.FakeHost(change=change), fakes.ask(pairs=20))
    assert compared.comparison.exit_code() is ExitCode.INVALID
    assert "wrong bytes" in only(compared).reason


GATES = {
    "errors": ({"errors": 11, "sent": 1000}, "failed"),
    "mismatch": ({"errors_mismatch": 1}, "wrong bytes"),
    "ports": ({"errors_no_local_port": 11, "sent": 1000}, "Ours, not the server's: no local port was left."),
    "descriptors": ({"errors_no_descriptor": 1, "sent": 0}, "Ours, not the server's: no descriptor was left."),
    "unsent": ({"errors": 3000, "errors_unsent": 3000, "sent": 1000}, "75 % of the requests of the baseline failed"),
    "saturated": ({"client_cpu_share": 0.99, "server_cpu_share": 0.5}, "load generator used 99 %"),
    "late": ({"lateness_p99_ns": 5e5, "response_p50_ns": 1e6}, "sent late"),
}


@pytest.mark.parametrize("gate", GATES)
def test_a_cell_that_was_not_measured_is_invalid(gate):
    metrics, said = GATES[gate]
    host = fakes.FakeHost(change=lambda result, *_: fakes.with_metrics(result, **metrics))
    compared = fakes.run(host, fakes.ask(pairs=12))
    assert compared.comparison.exit_code() is ExitCode.INVALID
    assert said in only(compared).reason


def test_a_server_that_closes_after_each_reply_is_told_the_option():
    def change(result, *_):
        doubts = (Doubt.ERRORS, Doubt.CLOSES_AFTER_REPLY)
        return dataclasses.replace(fakes.with_metrics(result, errors=500, sent=1000), doubts=doubts)

    compared = fakes.run(fakes.FakeHost(change=change), fakes.ask(pairs=12))
    assert compared.comparison.exit_code() is ExitCode.INVALID
    assert "load it with --requests-per-connection 1" in only(compared).reason


@pytest.mark.parametrize(
    ("arms", "said"), [((Arm.CANDIDATE,), "candidate"), (tuple(Arm), "baseline and candidate"), ((), "")]
)
def test_a_delayed_ack_is_said_of_the_arms_that_have_it(arms, said):
    def change(result, arm, _count):
        return dataclasses.replace(result, doubts=(Doubt.DELAYED_ACK,)) if arm in arms else result

    compared = fakes.run(fakes.FakeHost(change=change), fakes.ask(pairs=12))
    (pairs,) = compared.pairs.values()
    expected = (f"delayed-ack, {said}: {Doubt.DELAYED_ACK.advice}",) if said else ()
    assert cell_doubts(pairs) == expected


def test_a_busy_generator_is_valid_where_server_cpu_decides():
    for rules, server_share in (((fakes.CPU,), 0.5), ((fakes.RPS,), 0.98)):
        shares = {"client_cpu_share": 0.99, "server_cpu_share": server_share}
        host = fakes.FakeHost(
            fakes.STILL, change=lambda result, *_, shares=shares: fakes.with_metrics(result, **shares)
        )
        assert fakes.run(host, fakes.ask(pairs=12, rules=rules)).comparison.word is Word.OK


def test_past_a_busy_generator_server_cpu_decides_alone():
    """The median response time waits for the generator then. It is shown, and it stays a test of the family."""

    def change(result, arm, _count):
        shares = {"client_cpu_share": 0.9, "server_cpu_share": 0.6}
        response = {"response_p50_ns": 2e6 if arm is Arm.CANDIDATE else 1e6}
        return fakes.with_metrics(result, **shares, **response)

    compared = fakes.run(fakes.FakeHost(fakes.STILL, change=change), fakes.ask(pairs=20, rules=(fakes.CPU, fakes.P50)))
    cpu, response = only(compared).metrics
    assert (only(compared).word, cpu.word, response.word) == (Word.OK, Word.OK, Word.REGRESSED)
    assert (cpu.rule.gating, response.rule.gating, cpu.family) == (True, False, 2)


def test_a_load_that_was_not_offered_is_invalid():
    cell = fakes.cell(rate_per_s=1000.0, arrivals="poisson")
    host = fakes.FakeHost(change=lambda result, *_: fakes.with_metrics(result, offered_per_s=900.0))
    compared = fakes.run(host, fakes.ask(cells=(cell,), rules=(fakes.P50,), pairs=12))
    assert "only 90 % of the asked load was offered" in only(compared).reason


def test_the_chance_in_poisson_arrivals_is_let_be():
    cell = fakes.cell(rate_per_s=1000.0, arrivals="poisson", duration_s=0.5)
    draw = np.random.default_rng(1)
    host = fakes.FakeHost(change=lambda result, *_: fakes.with_metrics(result, offered_per_s=draw.poisson(500) / 0.5))
    compared = fakes.run(host, fakes.ask(cells=(cell,), rules=(fakes.P50,), pairs=12))
    assert compared.comparison.exit_code() is not ExitCode.INVALID


@pytest.mark.parametrize("column", ["interpreter", "server_cpus"])
def test_arms_that_ran_elsewhere_are_invalid(column):
    def change(result, arm, _count):
        return fakes.with_metrics(result, **{column: "0" if arm is Arm.BASELINE else "1"})

    compared = fakes.run(fakes.FakeHost(change=change), fakes.ask(pairs=12))
    assert compared.comparison.exit_code() is ExitCode.INVALID
    assert "not the same in all trials: 0 / 1" in only(compared).reason


@pytest.mark.parametrize(
    ("metric", "said"),
    [
        ("machine_steal_share", "hypervisor"),
        ("machine_foreign_cpu_share", "stop them"),
        ("machine_throttled_share", "stopped 95 % of a core (limit 10 %): allow the job 2 CPUs or more"),
    ],
)
def test_a_host_that_others_use_is_invalid_whatever_was_found(metric, said):
    host = fakes.FakeHost(
        fakes.STILL, slower=0.5, change=lambda result, *_: fakes.with_metrics(result, **{metric: 0.95})
    )
    compared = fakes.run(host, fakes.ask(pairs=12))
    assert compared.comparison.exit_code() is ExitCode.INVALID
    assert only(compared).word is Word.REGRESSED
    assert said in compared.comparison.host_problem


def with_slices(result, rates):
    timeline = tuple({"at_s": i / 10, "slice_s": 0.1, "replies": rate} for i, rate in enumerate(rates))
    return dataclasses.replace(result, timeline=timeline)


def test_a_rate_that_never_becomes_steady_is_invalid():
    host = fakes.FakeHost(change=lambda result, *_: with_slices(result, [70, 80, 90, 100, 110, 120]))
    compared = fakes.run(host, fakes.ask(pairs=12))
    assert compared.comparison.exit_code() is ExitCode.INVALID
    assert "not steady" in only(compared).reason


def test_arms_that_move_apart_within_the_window_are_invalid():
    def change(result, arm, _count):
        return with_slices(
            result, [100, 100, 100, 101.5, 101.5, 101.5] if arm is Arm.BASELINE else [100, 100, 100, 98.8, 98.8, 98.8]
        )

    compared = fakes.run(fakes.FakeHost(change=change), fakes.ask(pairs=12))
    assert "moved apart" in only(compared).reason


@paused()
def test_noise_within_the_window_hardly_ever_refuses_a_cell():
    refused = 0
    for seed in range(300):
        draw = np.random.default_rng(seed)
        host = fakes.FakeHost(fakes.QUIET, seed=seed)
        host.change = lambda result, *_, draw=draw: with_slices(result, 100 * np.exp(draw.normal(0, 0.2, size=6)))
        refused += fakes.run(host, fakes.ask(pairs=12, seed=seed)).comparison.word is Word.INVALID
    print(f"slices with a noise of 20 %: {refused} of 300 cells refused")
    assert refused <= 3


def test_without_slices_nothing_is_said_about_steadiness():
    compared = fakes.run(fakes.FakeHost(), fakes.ask(pairs=12))
    assert not_steady(compared.pairs["threads"]) == ""


def test_too_few_pairs_are_refused_before_a_trial():
    host = fakes.FakeHost()
    compared = fakes.run(host, fakes.ask(pairs=5))
    assert compared.comparison.exit_code() is ExitCode.INCONCLUSIVE
    assert "5 pairs cannot decide anything among 1 test, at least 9 are needed" in only(compared).reason
    assert host.calls == []


def test_what_cannot_run_is_said_also_where_the_pairs_are_too_few():
    cell = fakes.cell()
    gone = dataclasses.replace(cell, servers={**cell.servers, Arm.BASELINE: Server(name="x", gap="it is not in base")})
    compared = fakes.run(fakes.FakeHost(), fakes.ask(cells=(gone,), pairs=5))
    assert compared.comparison.exit_code() is ExitCode.NO_BASELINE


def test_time_becomes_pairs_at_the_remembered_pace():
    host = fakes.FakeHost(fakes.QUIET, trials=400)
    known = Knowledge(pair_sd={}, trial_s={"threads": fakes.SLOT_S})
    compared = fakes.run(host, fakes.ask(seconds=360.0), known)
    assert compared.plan.pairs == 60, "360 s of pairs of 6 s"
    assert host.now_s <= 360
    assert compared.stopped is None


def test_when_time_runs_out_it_judges_what_there_is():
    host = fakes.FakeHost(fakes.NOISY, trials=400)
    known = Knowledge(pair_sd={}, trial_s={"threads": fakes.SLOT_S / 3})
    compared = fakes.run(host, fakes.ask(seconds=300.0), known)
    assert compared.stopped is StopReason.TIME_IS_UP
    assert only(compared).metrics[0].pairs == 50 < compared.plan.pairs, "300 s of pairs of 6 s"
    assert len(host.calls) == 100, "no pair is left without its second trial"


def test_an_interrupted_comparison_judges_what_there_is():
    def interrupt(result, _arm, count):
        if count == 15:
            raise KeyboardInterrupt
        return result

    host = fakes.FakeHost(fakes.STILL, slower=0.5, change=interrupt)
    compared = fakes.run(host, fakes.ask(pairs=30))
    assert compared.stopped is StopReason.INTERRUPTED
    assert only(compared).metrics[0].pairs == 15
    assert compared.comparison.word is Word.REGRESSED


def test_a_remembered_noise_says_before_the_start_what_will_not_be_seen(tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    first = fakes.run(fakes.FakeHost(fakes.NOISY), fakes.ask(pairs=12))
    ledger.append(entries(first.comparison, first.plan.cells, at="now", machine="fake", same=True, trial_s=3.0))
    question = fakes.ask(pairs=12)
    known = ledger.knowledge(question.cells, question.rules, "fake")
    told = next(session(question, known))
    assert "the budget of 5 % is not: that takes" in "\n".join(told.lines)


def test_cells_are_left_out_only_if_that_is_allowed():
    cells = tuple(fakes.cell(name) for name in "abcd")
    known = Knowledge(
        pair_sd={(cell.name, "replies_per_s"): 0.05 for cell in cells}, trial_s={cell.name: 3.0 for cell in cells}
    )
    terms = {"knowledge": known, "seed": 0, "seconds": 300.0}
    few = make_plan(cells, (fakes.RPS,), may_leave_out=True, **terms)
    assert [cell.name for cell in few.cells] == ["a", "b"]
    assert few.left_out == ("c", "d")
    assert len(make_plan(cells, (fakes.RPS,), **terms).cells) == 4
    assert "left out for lack of time: c, d" in few.lines


def test_the_ledger_remembers_noise_per_machine_and_counts_false_alarms(tmp_path):
    path = tmp_path / "cache" / "ledger.jsonl"
    for seed in range(3):
        compared = fakes.run(
            fakes.FakeHost(fakes.QUIET, seed=seed, slower=0.5 if seed == 2 else 0.0), fakes.ask(pairs=12)
        )
        cells = compared.plan.cells
        Ledger(path).append(entries(compared.comparison, cells, at="now", machine="m", same=True, trial_s=2.0))
    ledger = Ledger(path)
    known = ledger.knowledge([fakes.cell()], (fakes.RPS,), "m")
    assert 0.02 < known.pair_sd["threads", "replies_per_s"] < 0.2
    assert known.trial_s == {"threads": 2.0}
    assert ledger.knowledge([fakes.cell()], (fakes.RPS,), "another machine") == Knowledge(pair_sd={}, trial_s={})
    alarms = ledger.false_alarms()
    assert (alarms.regressed, alarms.comparisons) == (1, 3)
    assert alarms.rate.low < 1 / 3 < alarms.rate.high


def test_a_torn_line_of_the_ledger_is_counted_and_the_rest_read(tmp_path):
    path = tmp_path / "ledger"
    compared = fakes.run(fakes.FakeHost(), fakes.ask(pairs=12))
    entry = entries(compared.comparison, compared.plan.cells, at="now", machine="m", same=False, trial_s=2.0)
    Ledger(path).append(entry)
    path.write_text(path.read_text() + '{"schema": 2, "at"')
    Ledger(path).append(entry)
    ledger = Ledger(path)
    assert (len(ledger.entries), ledger.unreadable) == (2, 1)
    assert json.loads(path.read_text().splitlines()[0])["pairs"] == 12


def test_a_ledger_that_cannot_be_is_wrong_use(tmp_path):
    (tmp_path / "file").write_text("")
    os.mkfifo(tmp_path / "fifo")
    for path in (tmp_path / "file" / "ledger", tmp_path / "fifo", tmp_path):
        with pytest.raises(UsageError, match="--ledger"):
            Ledger(path)


@pytest.mark.timeout(10)
def test_a_device_without_end_is_no_ledger_to_read():
    assert Ledger(Path("/dev/zero")).entries == []


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *(("pair_sd", value) for value in (5, None, {"replies_per_s": "x"}, {"replies_per_s": -1.0})),
        *(("trial_s", value) for value in ("2", None, -1.0, math.inf, math.nan)),
    ],
)
def test_a_line_of_the_ledger_with_a_wrong_value_is_not_used(tmp_path, field, value):
    path = tmp_path / "ledger"
    compared = fakes.run(fakes.FakeHost(), fakes.ask(pairs=12))
    cells = compared.plan.cells
    Ledger(path).append(entries(compared.comparison, cells, at="now", machine="m", same=False, trial_s=2.0))
    path.write_text(json.dumps({**json.loads(path.read_text()), field: value}) + "\n")
    ledger = Ledger(path)
    assert (ledger.entries, ledger.unreadable) == ([], 1)


def test_a_metric_that_was_not_seen_is_not_a_noise_of_zero():
    compared = fakes.run(fakes.FakeHost(fakes.STILL), fakes.ask(pairs=12))
    (entry,) = entries(compared.comparison, compared.plan.cells, at="now", machine="m", same=True, trial_s=2.0)
    assert entry.pair_sd == {"replies_per_s": 0.0}
    assert not any(isinstance(value, float) and math.isnan(value) for value in dataclasses.asdict(entry).values())


def test_the_sensitivity_is_what_a_closed_loop_shows_of_the_servers_cpu():
    """X = 1 / (server + client): the client is twice as dear, so a third of a small change is seen."""
    server_us, client_us, more = 10.0, 20.0, 1.001

    def rate(cpu_us):
        return 1e6 / (cpu_us + client_us)

    share = server_us * rate(server_us) / 1e6
    host = fakes.FakeHost(fakes.QUIET, change=lambda r, *_: fakes.with_metrics(r, server_cpu_share=share))
    results = fakes.run(host, fakes.ask(pairs=12)).pairs["threads"].measured(Arm.BASELINE)
    true = -math.log(rate(more * server_us) / rate(server_us)) / math.log(more)
    assert sensitivity(results).value == pytest.approx(true, rel=1e-3)
    assert sensitivity(results).value == pytest.approx(1 / 3)


def test_bounds_of_a_sensitivity_that_are_not_known_stay_so():
    """Too few trials support no interval; a share above one core counts as one."""
    host = fakes.FakeHost(change=lambda r, *_: fakes.with_metrics(r, server_cpu_share=1.5))
    results = fakes.run(host, fakes.ask(pairs=12)).pairs["threads"].measured(Arm.BASELINE)
    found = sensitivity(results[:3])
    assert found.value == 1.0
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_no_sensitivity_is_stated_where_throughput_is_given_or_nothing_was_seen():
    open_loop = fakes.cell(rate_per_s=1000.0, arrivals="poisson")
    host = fakes.FakeHost(change=lambda r, *_: fakes.with_metrics(r, server_cpu_share=0.5, offered_per_s=1000.0))
    compared = fakes.run(host, fakes.ask(cells=(open_loop,), rules=(fakes.P50,), pairs=12))
    assert sensitivity(compared.pairs["threads"].measured(Arm.BASELINE)) is None
    blind = fakes.run(fakes.FakeHost(), fakes.ask(pairs=12))
    assert sensitivity(blind.pairs["threads"].measured(Arm.BASELINE)) is None
    assert sensitivity([]) is None


def test_a_server_of_several_cores_shows_all_there_is_to_see():
    host = fakes.FakeHost(change=lambda r, *_: fakes.with_metrics(r, server_cpu_share=1.8))
    assert sensitivity(fakes.run(host, fakes.ask(pairs=12)).pairs["threads"].measured(Arm.BASELINE)).value == 1.0


def test_a_question_names_no_default_amount():
    with pytest.raises(AssertionError):
        fakes.run(fakes.FakeHost(), Question(cells=(fakes.cell(),), rules=(fakes.RPS,), seed=0, machine="m"))
