"""Who leads, by how much, and what is claimed of it."""

import numpy as np
import pytest
from helpers.run_folders import failed, saturated
from scipy import stats

from bench.analysis.estimates.ranking import claim, lead, rank, sentence
from bench.analysis.runs import run_folder
from bench.metrics import CPU, THROUGHPUT


def rates(**of):
    """Return a change that gives a server's trials these throughputs, round by round."""

    def change(record):
        server, round_ = record["trial"]["server"]["name"].replace("-", "_"), record["trial"]["round"]
        if server in of:
            record["metrics"]["replies_per_s"] = of[server][round_ - 1]

    return change


def digested(builder, **how):
    return rank(run_folder.load(builder.run(**{"connections": (16,), **how})).trials)


def test_the_lead_is_the_paired_ratio_of_rounds(article_run, article_ranking):
    raw = article_run.measured
    for standing in article_ranking.standings[THROUGHPUT.column]:
        here = raw[raw["workload"] == standing.best.workload].set_index("round")
        ours, theirs = (
            here[here["server"] == cell.server]["replies_per_s"].astype(float)
            for cell in (standing.best, standing.runner_up)
        )
        d = np.log(ours / theirs).dropna()
        low, high = stats.t.interval(0.95, len(d) - 1, d.mean(), stats.sem(d))
        assert standing.lead.value == pytest.approx(np.exp(d.mean()))
        assert (standing.lead.low, standing.lead.high) == pytest.approx((np.exp(low), np.exp(high)))
        assert standing.best.estimate.value == max(cell.estimate.value for cell in standing.cells)


def test_a_drift_of_the_machine_does_not_hide_a_lead(builder):
    found = digested(builder, change=rates(coroutines=[10_000, 20_000, 40_000], threads=[9_000, 18_100, 35_900]))
    (standing,) = found.standings[THROUGHPUT.column]
    assert standing.level_with == ()
    assert standing.lead.low > 1.09
    assert sentence(standing, found.sweep) == "coroutines echoes fastest: 23,300/s at 16 connections"


def test_servers_that_swap_places_are_not_told_apart(builder):
    found = digested(builder, change=rates(coroutines=[10_000, 12_000, 11_000], threads=[11_000, 10_000, 11_500]))
    (standing,) = found.standings[THROUGHPUT.column]
    assert standing.level_with == ("threads",)
    assert claim(standing, found.sweep) == "Throughput tells no server from another"


def test_two_of_several_that_are_level_are_both_named(builder):
    change = rates(
        coroutines=[10_000, 12_000, 11_000], threads=[11_000, 10_000, 11_500], generators=[5_000, 5_100, 5_050]
    )
    found = digested(builder, servers=("coroutines", "threads", "generators"), change=change)
    (standing,) = found.standings[THROUGHPUT.column]
    assert claim(standing, found.sweep) == "coroutines or threads, not told apart, echoes fastest"


def test_more_than_two_that_are_level_are_counted(builder):
    level = [10_000, 12_000, 11_000]
    change = rates(coroutines=level, threads=level[::-1], generators=[11_000, 10_000, 12_000], trio=[1, 1, 1.1])
    found = digested(builder, servers=("coroutines", "threads", "generators", "trio"), change=change)
    (standing,) = found.standings[THROUGHPUT.column]
    assert claim(standing, found.sweep) == "coroutines, or one of 2 not told apart from it, echoes fastest"


def test_who_was_held_back_by_the_generator_may_be_faster(builder):
    slow = rates(coroutines=[10_100, 10_140, 10_120], threads=[8_000, 8_010, 8_005])

    def change(record):
        slow(record)
        if record["trial"]["server"]["name"] == "threads":
            saturated(record)

    found = digested(builder, change=change)
    (standing,) = found.standings[THROUGHPUT.column]
    assert standing.level_with == ("threads",)
    assert "at least" not in sentence(standing, found.sweep)


def test_a_leader_that_was_held_back_leads_by_at_least_that(builder):
    fast = rates(coroutines=[10_100, 10_140, 10_120], threads=[8_000, 8_010, 8_005])

    def change(record):
        fast(record)
        if record["trial"]["server"]["name"] == "coroutines":
            saturated(record)

    found = digested(builder, change=change)
    (standing,) = found.standings[THROUGHPUT.column]
    assert sentence(standing, found.sweep) == "coroutines echoes fastest: at least 10,100/s at 16 connections"


def test_a_single_trial_claims_no_more_than_that(builder):
    found = digested(builder, rounds=1)
    (standing,) = found.standings[THROUGHPUT.column]
    assert claim(standing, found.sweep) == "coroutines echoes fastest in a single trial"
    assert not standing.lead.bounded


def test_a_server_alone_is_compared_with_nobody(builder):
    found = digested(builder, servers=("threads",))
    (standing,) = found.standings[THROUGHPUT.column]
    assert standing.lead is None
    assert sentence(standing, found.sweep).startswith("threads, throughput: ")


def test_less_is_better_but_for_throughput(article_ranking):
    standing = article_ranking.headline(CPU)
    values = [cell.estimate.value for cell in standing.cells]
    assert values == sorted(values)
    assert standing.lead.value > 1


def test_all_titles_speak_of_the_load_with_the_highest_throughput(article_ranking):
    best = max(
        (cell for cell in article_ranking.cells[THROUGHPUT.column] if not cell.missing),
        key=lambda cell: cell.estimate.value,
    )
    assert {article_ranking.headline(metric).best.workload for metric in (THROUGHPUT, CPU)} == {best.workload}


def test_rounds_that_only_one_of_two_saw_do_not_count(builder):
    def change(record):
        if (record["trial"]["server"]["name"], record["trial"]["round"]) == ("threads", 2):
            failed(record)

    found = digested(builder, rounds=4, change=change)
    (standing,) = found.standings[THROUGHPUT.column]
    best, other = standing.cells
    assert (len(best.by_round), len(other.by_round)) == (4, 3)
    kept = {number: best.by_round[number] for number in other.by_round}
    assert lead(best, other, THROUGHPUT).value == pytest.approx(
        stats.gmean(list(kept.values())) / stats.gmean(list(other.by_round.values()))
    )


def test_a_run_without_any_number_has_no_headline(builder):
    found = digested(builder, change=failed)
    assert found.headline(THROUGHPUT) is None
    assert found.standings[CPU.column] == ()
    assert found.servers == ["coroutines", "threads"]
