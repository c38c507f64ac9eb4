"""How a comparison runs: order, looks, lost trials, time, gates, plans; on the fake host."""

from __future__ import annotations

import dataclasses
import json
import math
from collections import defaultdict
from itertools import pairwise

import numpy as np
import pytest

from bench.errors import ExitCode, UsageError
from bench.experiment.model import Server, Status
from bench.regress.conclude import sensitivity
from bench.regress.ledger import Ledger, entries
from bench.regress.planner import Knowledge, make_plan
from bench.regress.session import Question
from bench.regress.validity import not_steady
from bench.verdict.pairs import Arm
from bench.verdict.words import Word


def only(outcome):
    return outcome.comparison.cells[0]


def arms_in_order(host):
    return [trial.server.name.partition("@")[2] for trial in host.calls]


def test_pairs_are_adjacent_and_alternate_from_a_random_start(hosts):
    starts = set()
    for seed in range(20):
        host = hosts.FakeHost(hosts.QUIET)
        hosts.run(host, hosts.ask(pairs=12, seed=seed))
        order = arms_in_order(host)
        assert [sorted(order[i : i + 2]) for i in range(0, 24, 2)] == [["base", "head"]] * 12
        firsts = order[::2]
        assert all(a != b for a, b in pairwise(firsts)), "AB and BA in turn"
        starts.add(firsts[0])
    assert starts == {"base", "head"}


def test_each_round_visits_every_cell_in_another_order(hosts):
    cells = tuple(hosts.cell(name) for name in "abcdef")
    host = hosts.FakeHost(hosts.QUIET, trials=400)
    hosts.run(host, hosts.ask(cells=cells, pairs=20))
    rounds = defaultdict(list)
    for trial in host.calls[::2]:
        rounds[trial.round].append(trial.server.name[0])
    assert all(sorted(names) == list("abcdef") for names in rounds.values())
    assert len({tuple(names) for names in rounds.values()}) > 10


def test_the_same_seed_gives_the_same_plan(hosts):
    asked = hosts.ask(cells=tuple(hosts.cell(name) for name in "abc"), pairs=15, seed=5)
    one, two = hosts.FakeHost(), hosts.FakeHost()
    hosts.run(one, asked)
    hosts.run(two, asked)
    assert one.calls == two.calls


def test_both_trials_of_a_pair_share_a_seed_and_pairs_do_not(hosts):
    host = hosts.FakeHost()
    hosts.run(host, hosts.ask(pairs=12))
    seeds = [trial.workload.seed for trial in host.calls]
    assert seeds[::2] == seeds[1::2]
    assert len(set(seeds)) == 12


def test_a_settled_cell_is_left_alone_at_the_next_look(hosts):
    host = hosts.FakeHost(hosts.STILL, slower={"a": 0.5, "b": 0.02}, trials=400)
    outcome = hosts.run(host, hosts.ask(cells=(hosts.cell("a"), hosts.cell("b")), pairs=40, looks=(10, 20, 40)))
    pairs = {cell.cell: cell.metrics[0].pairs for cell in outcome.comparison.cells}
    assert pairs["a"] == 10


def test_a_server_that_works_in_one_arm_only(hosts):
    def broken(arm):
        def change(result, which, _count):
            return hosts.failed(result, Status.NOT_READY, "ImportError: no module named x") if which is arm else result

        return hosts.run(hosts.FakeHost(change=change), hosts.ask(pairs=12)).comparison

    baseline, candidate = broken(Arm.BASELINE), broken(Arm.CANDIDATE)
    assert baseline.exit_code() is ExitCode.NO_BASELINE
    assert candidate.exit_code() is ExitCode.INVALID
    for found in (baseline, candidate):
        assert "works in one arm only" in found.cells[0].reason
        assert "no module named x" in found.cells[0].reason


def test_a_server_that_is_known_not_to_run_is_not_tried(hosts):
    cell = hosts.cell()
    gone = dataclasses.replace(cell, servers={**cell.servers, Arm.BASELINE: Server(name="x", gap="it is not in base")})
    host = hosts.FakeHost()
    outcome = hosts.run(host, hosts.ask(cells=(gone,), pairs=12))
    assert outcome.comparison.exit_code() is ExitCode.NO_BASELINE
    assert "it is not in base" in only(outcome).reason
    assert host.calls == []


def test_a_lost_trial_is_measured_again_with_its_partner(hosts):
    def change(result, arm, count):
        return hosts.failed(result, Status.SERVER_DIED, "ended") if (arm, count) == (Arm.BASELINE, 4) else result

    host = hosts.FakeHost(change=change)
    outcome = hosts.run(host, hosts.ask(pairs=12))
    assert only(outcome).metrics[0].pairs == 12
    assert len(host.calls) == 26
    assert outcome.comparison.exit_code() is not ExitCode.INVALID


def test_more_than_five_percent_lost_is_invalid(hosts):
    def change(result, arm, count):
        return (
            hosts.failed(result, Status.SERVER_DIED, "segfault") if arm is Arm.CANDIDATE and count % 3 == 2 else result
        )

    outcome = hosts.run(hosts.FakeHost(change=change), hosts.ask(pairs=20))
    assert outcome.comparison.exit_code() is ExitCode.INVALID
    assert "segfault" in only(outcome).reason


def test_wrong_bytes_are_invalid_at_once(hosts):
    def change(result, arm, count):
        return hosts.failed(result, Status.WRONG_ECHO, "byte 7") if (arm, count) == (Arm.CANDIDATE, 2) else result

    outcome = hosts.run(hosts.FakeHost(change=change), hosts.ask(pairs=20))
    assert outcome.comparison.exit_code() is ExitCode.INVALID
    assert "wrong bytes" in only(outcome).reason


GATES = {
    "errors": ({"errors": 11, "sent": 1000}, "failed"),
    "mismatch": ({"errors_mismatch": 1}, "wrong bytes"),
    "saturated": ({"client_cpu_share": 0.99, "server_cpu_share": 0.5}, "load generator used 99 %"),
    "late": ({"lateness_p99_ns": 5e5, "response_p50_ns": 1e6}, "left late"),
}


@pytest.mark.parametrize("gate", GATES)
def test_a_cell_that_was_not_measured_is_invalid(hosts, gate):
    metrics, said = GATES[gate]
    host = hosts.FakeHost(change=lambda result, *_: hosts.with_metrics(result, **metrics))
    outcome = hosts.run(host, hosts.ask(pairs=12))
    assert outcome.comparison.exit_code() is ExitCode.INVALID
    assert said in only(outcome).reason


def test_a_busy_generator_is_no_problem_if_only_server_cpu_decides_or_the_server_is_busy_too(hosts):
    for rules, server_share in (((hosts.CPU,), 0.5), ((hosts.RPS,), 0.98)):
        shares = {"client_cpu_share": 0.99, "server_cpu_share": server_share}
        host = hosts.FakeHost(
            hosts.STILL, change=lambda result, *_, shares=shares: hosts.with_metrics(result, **shares)
        )
        assert hosts.run(host, hosts.ask(pairs=12, rules=rules)).comparison.word is Word.OK


def test_a_load_that_was_not_offered_is_invalid(hosts):
    cell = hosts.cell(rate_per_s=1000.0, arrivals="poisson")
    host = hosts.FakeHost(change=lambda result, *_: hosts.with_metrics(result, offered_per_s=900.0))
    outcome = hosts.run(host, hosts.ask(cells=(cell,), rules=(hosts.P50,), pairs=12))
    assert "only 90 % of the asked load was offered" in only(outcome).reason


def test_the_chance_in_poisson_arrivals_is_let_be(hosts):
    cell = hosts.cell(rate_per_s=1000.0, arrivals="poisson", duration_s=0.5)
    draw = np.random.default_rng(1)
    host = hosts.FakeHost(change=lambda result, *_: hosts.with_metrics(result, offered_per_s=draw.poisson(500) / 0.5))
    outcome = hosts.run(host, hosts.ask(cells=(cell,), rules=(hosts.P50,), pairs=12))
    assert outcome.comparison.exit_code() is not ExitCode.INVALID


@pytest.mark.parametrize("column", ["interpreter", "server_cpus"])
def test_arms_that_ran_elsewhere_are_invalid(hosts, column):
    def change(result, arm, _count):
        return hosts.with_metrics(result, **{column: "0" if arm is Arm.BASELINE else "1"})

    outcome = hosts.run(hosts.FakeHost(change=change), hosts.ask(pairs=12))
    assert outcome.comparison.exit_code() is ExitCode.INVALID
    assert "was not the same in all trials: 0 / 1" in only(outcome).reason


@pytest.mark.parametrize(
    ("metric", "said"), [("machine_steal_share", "hypervisor"), ("machine_foreign_cpu_share", "stop them")]
)
def test_a_host_that_others_use_is_invalid_whatever_was_found(hosts, metric, said):
    host = hosts.FakeHost(
        hosts.STILL, slower=0.5, change=lambda result, *_: hosts.with_metrics(result, **{metric: 0.4})
    )
    outcome = hosts.run(host, hosts.ask(pairs=12))
    assert outcome.comparison.exit_code() is ExitCode.INVALID
    assert only(outcome).word is Word.REGRESSED
    assert said in outcome.comparison.host_problem


def with_slices(result, rates):
    timeline = tuple({"at_s": i / 10, "slice_s": 0.1, "replies": rate} for i, rate in enumerate(rates))
    return dataclasses.replace(result, timeline=timeline)


def test_a_warm_up_that_is_too_short_is_lengthened_once(hosts):
    def change(result, _arm, _count):
        ramp = [70, 80, 90, 100, 100, 100] if result.trial.workload.warmup_s < 1 else [100] * 6
        return with_slices(result, ramp)

    host = hosts.FakeHost(change=change)
    outcome = hosts.run(host, hosts.ask(pairs=12))
    assert [trial.workload.warmup_s for trial in host.calls] == [0.5] * 8 + [1.5] * 24
    assert outcome.comparison.exit_code() is not ExitCode.INVALID


def test_a_rate_that_never_becomes_steady_is_invalid(hosts):
    host = hosts.FakeHost(change=lambda result, *_: with_slices(result, [70, 80, 90, 100, 110, 120]))
    outcome = hosts.run(host, hosts.ask(pairs=12))
    assert outcome.comparison.exit_code() is ExitCode.INVALID
    assert "not steady" in only(outcome).reason


def test_arms_that_move_apart_within_the_window_are_invalid(hosts):
    def change(result, arm, _count):
        return with_slices(
            result, [100, 100, 100, 101.5, 101.5, 101.5] if arm is Arm.BASELINE else [100, 100, 100, 98.8, 98.8, 98.8]
        )

    outcome = hosts.run(hosts.FakeHost(change=change), hosts.ask(pairs=12))
    assert "moved apart" in only(outcome).reason


def test_noise_within_the_window_hardly_ever_refuses_a_cell(hosts):
    refused = 0
    for seed in range(300):
        draw = np.random.default_rng(seed)
        host = hosts.FakeHost(hosts.QUIET, seed=seed)
        host.change = lambda result, *_, draw=draw: with_slices(result, 100 * np.exp(draw.normal(0, 0.2, size=6)))
        refused += hosts.run(host, hosts.ask(pairs=12, seed=seed)).comparison.word is Word.INVALID
    print(f"slices with a noise of 20 %: {refused} of 300 cells refused")
    assert refused <= 3


def test_without_slices_nothing_is_said_about_steadiness(hosts):
    outcome = hosts.run(hosts.FakeHost(), hosts.ask(pairs=12))
    assert not_steady(outcome.logs["threads"], 0.98) == ""


def test_too_few_pairs_are_refused_before_a_trial(hosts):
    host = hosts.FakeHost()
    outcome = hosts.run(host, hosts.ask(pairs=5))
    assert outcome.comparison.exit_code() is ExitCode.INCONCLUSIVE
    assert "5 pairs cannot decide anything among 1 test: at least 7 are needed" in only(outcome).reason
    assert host.calls == []


def test_pairs_that_turn_out_to_be_too_few_end_the_check_there(hosts):
    host = hosts.FakeHost(hosts.QUIET)
    quick = hosts.cell(warmup_s=0.4, duration_s=0.5)
    outcome = hosts.run(host, hosts.ask(cells=(quick,), seconds=40.0))
    assert outcome.comparison.exit_code() is ExitCode.INCONCLUSIVE
    assert "6 pairs cannot decide anything among 1 test" in only(outcome).reason
    assert len(host.calls) == 8, "a trial was found to take three seconds in the first four pairs"


def test_what_cannot_run_is_said_also_where_the_pairs_are_too_few(hosts):
    cell = hosts.cell()
    gone = dataclasses.replace(cell, servers={**cell.servers, Arm.BASELINE: Server(name="x", gap="it is not in base")})
    outcome = hosts.run(hosts.FakeHost(), hosts.ask(cells=(gone,), pairs=5))
    assert outcome.comparison.exit_code() is ExitCode.NO_BASELINE


def test_time_becomes_pairs_from_the_pace_and_noise_of_the_first(hosts):
    host = hosts.FakeHost(hosts.QUIET, trials=400)
    outcome = hosts.run(host, hosts.ask(seconds=360.0))
    assert outcome.plan.pairs == 60, "360 s of pairs of 6 s"
    assert outcome.seconds <= 360
    assert outcome.plan.sights[0].minimal_effect > 0


def test_when_time_runs_out_it_judges_what_there_is(hosts):
    host = hosts.FakeHost(hosts.NOISY, trials=400)
    slow = {"now": 0.0}

    def clock():
        slow["now"] = 0.0 if not host.calls else host.now_s * (1.0 if len(host.calls) < 10 else 3.0)
        return slow["now"]

    host.clock = clock
    outcome = hosts.run(host, hosts.ask(seconds=300.0))
    assert 4 <= only(outcome).metrics[0].pairs < outcome.plan.pairs
    assert outcome.seconds <= 300 + 3 * 2 * hosts.SLOT_S


def test_a_remembered_noise_says_before_the_start_what_will_not_be_seen(hosts, tmp_path):
    ledger = Ledger(tmp_path / "ledger")
    first = hosts.run(hosts.FakeHost(hosts.NOISY), hosts.ask(pairs=12))
    ledger.append(entries(first.comparison, at="now", machine="fake", same=True, trial_s=3.0))
    heard = []

    class Ear:
        def planned(self, plan):
            heard.append(plan)

        def measured(self, *_):
            heard.append("trial")

    hosts.run(hosts.FakeHost(hosts.NOISY), hosts.ask(pairs=12), ledger=ledger, watcher=Ear())
    assert heard[1] == "trial"
    assert "the budget of 5 % is not: that takes" in "\n".join(heard[0].sentences())


def test_cells_are_left_out_only_if_that_is_allowed(hosts):
    cells = tuple(hosts.cell(name) for name in "abcd")
    known = Knowledge(
        pair_sd={(cell.name, "replies_per_s"): 0.05 for cell in cells}, trial_s={cell.name: 3.0 for cell in cells}
    )
    terms = {"knowledge": known, "seed": 0, "seconds": 300.0}
    few = make_plan(cells, (hosts.RPS,), may_leave_out=True, **terms)
    assert [cell.name for cell in few.cells] == ["a", "b"]
    assert few.left_out == ("c", "d")
    assert len(make_plan(cells, (hosts.RPS,), **terms).cells) == 4
    assert "left out for lack of time: c, d" in few.sentences()


TWELVE = [f"s{number:02}" for number in range(12)]


def test_many_cells_are_screened_if_the_time_buys_more_pairs_for_some(hosts):
    cells = tuple(hosts.cell(name, warmup_s=0.5, duration_s=2.1) for name in TWELVE)
    terms = {"knowledge": Knowledge(pair_sd={}, trial_s={}), "seed": 0}
    plan = make_plan(cells, (hosts.RPS,), seconds=1800.0, **terms)
    assert (plan.screen, plan.looks[0]) == (15, 15)
    assert plan.trials <= 1800 / hosts.SLOT_S
    assert plan.sentences()[0].startswith(
        f"plan: 12 cells x 15 pairs, 18 min; up to {plan.pairs} of what looks slower then, and of the rest while there"
    )
    assert make_plan(cells, (hosts.RPS,), seconds=1100.0, **terms).screen == 0, "the time is up after a screen"
    assert make_plan(cells[:9], (hosts.RPS,), seconds=1800.0, **terms).screen == 0
    assert make_plan(cells, (hosts.RPS,), pairs=40, **terms).screen == 0, "so many pairs of each were asked for"


def test_after_a_screen_what_looks_slower_comes_first(hosts):
    cells = tuple(hosts.cell(name, warmup_s=0.5, duration_s=2.1) for name in TWELVE)
    host = hosts.FakeHost(hosts.NOISY, slower={"s07": 0.12}, trials=1000)
    outcome = hosts.run(host, hosts.ask(cells=cells, seconds=2400.0))
    names = [trial.server.name.partition("@")[0] for trial in host.calls]
    screened, after = names[: 2 * 15 * 12], names[2 * 15 * 12 :]
    assert all(screened.count(name) == 30 for name in TWELVE)
    assert "s07" in after
    last_of_it = len(after) - after[::-1].index("s07")
    followed = set(after[:last_of_it])
    assert len(followed) <= 4, "the others wait"
    assert set(after[last_of_it:]) - followed, "and go on while there is time"
    verdicts = {cell.cell: cell.word for cell in outcome.comparison.cells}
    assert verdicts["s07"] is Word.REGRESSED
    assert list(verdicts.values()).count(Word.REGRESSED) == 1


def test_the_ledger_remembers_noise_per_machine_and_counts_false_alarms(hosts, tmp_path):
    path = tmp_path / "cache" / "ledger.jsonl"
    for seed in range(3):
        outcome = hosts.run(
            hosts.FakeHost(hosts.QUIET, seed=seed, slower=0.5 if seed == 2 else 0.0), hosts.ask(pairs=12)
        )
        Ledger(path).append(entries(outcome.comparison, at="now", machine="m", same=True, trial_s=2.0))
    ledger = Ledger(path)
    assert 0.02 < ledger.pair_sd("threads", "replies_per_s", "m") < 0.2
    assert ledger.trial_s("threads", "m") == 2.0
    assert ledger.pair_sd("threads", "replies_per_s", "another machine") is None
    alarms = ledger.false_alarms()
    assert (alarms.regressed, alarms.comparisons) == (1, 3)
    assert alarms.rate.low < 1 / 3 < alarms.rate.high


def test_a_torn_line_of_the_ledger_is_counted_and_the_rest_read(hosts, tmp_path):
    path = tmp_path / "ledger"
    outcome = hosts.run(hosts.FakeHost(), hosts.ask(pairs=12))
    entry = entries(outcome.comparison, at="now", machine="m", same=False, trial_s=2.0)
    Ledger(path).append(entry)
    path.write_text(path.read_text() + '{"schema": 1, "at"')
    Ledger(path).append(entry)
    ledger = Ledger(path)
    assert (len(ledger.entries), ledger.unreadable) == (2, 1)
    assert json.loads(path.read_text().splitlines()[0])["pairs"] == 12


def test_a_ledger_that_cannot_be_is_wrong_use(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="--ledger"):
        Ledger(tmp_path / "file" / "ledger")


def test_a_metric_that_was_not_seen_is_not_a_noise_of_zero(hosts):
    outcome = hosts.run(hosts.FakeHost(hosts.STILL), hosts.ask(pairs=12))
    (entry,) = entries(outcome.comparison, at="now", machine="m", same=True, trial_s=2.0)
    assert entry.noise["replies_per_s"].lag1 is None
    assert not any(isinstance(value, float) and math.isnan(value) for value in dataclasses.asdict(entry).values())


def test_the_sensitivity_is_what_a_closed_loop_shows_of_the_servers_cpu(hosts):
    """X = 1 / (server + client): the client is twice as dear, so a third of a small change is seen."""
    server_us, client_us, more = 10.0, 20.0, 1.001

    def rate(cpu_us):
        return 1e6 / (cpu_us + client_us)

    share = server_us * rate(server_us) / 1e6
    host = hosts.FakeHost(hosts.QUIET, change=lambda r, *_: hosts.with_metrics(r, server_cpu_share=share))
    results = hosts.run(host, hosts.ask(pairs=12)).logs["threads"].measured(Arm.BASELINE)
    true = -math.log(rate(more * server_us) / rate(server_us)) / math.log(more)
    assert sensitivity(results).value == pytest.approx(true, rel=1e-3)
    assert sensitivity(results).value == pytest.approx(1 / 3)


def test_no_sensitivity_is_stated_where_throughput_is_given_or_nothing_was_seen(hosts):
    open_loop = hosts.cell(rate_per_s=1000.0, arrivals="poisson")
    host = hosts.FakeHost(change=lambda r, *_: hosts.with_metrics(r, server_cpu_share=0.5, offered_per_s=1000.0))
    outcome = hosts.run(host, hosts.ask(cells=(open_loop,), rules=(hosts.P50,), pairs=12))
    assert sensitivity(outcome.logs["threads"].measured(Arm.BASELINE)) is None
    blind = hosts.run(hosts.FakeHost(), hosts.ask(pairs=12))
    assert sensitivity(blind.logs["threads"].measured(Arm.BASELINE)) is None
    assert sensitivity([]) is None


def test_a_server_of_several_cores_shows_all_there_is_to_see(hosts):
    host = hosts.FakeHost(change=lambda r, *_: hosts.with_metrics(r, server_cpu_share=1.8))
    assert sensitivity(hosts.run(host, hosts.ask(pairs=12)).logs["threads"].measured(Arm.BASELINE)).value == 1.0


def test_a_question_names_no_default_amount(hosts):
    with pytest.raises(AssertionError):
        hosts.run(hosts.FakeHost(), Question(cells=(hosts.cell(),), rules=(hosts.RPS,), seed=0, machine="m"))
