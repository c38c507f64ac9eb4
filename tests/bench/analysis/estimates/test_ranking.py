"""Who leads, by how much, and what is claimed of it."""

import numpy as np
import pytest
from helpers.run_folders import failed, saturated
from scipy import stats

from bench import units
from bench.analysis.estimates.ranking import rank
from bench.analysis.estimates.remarks import comparison
from bench.analysis.estimates.sentences import claim, sentence
from bench.analysis.report.tables import load_tables
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
    return rank(run_folder.load(builder.run(**{"connections": (16,), **how})))


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
        assert standing.lead.estimate.value == pytest.approx(np.exp(d.mean()))
        assert (standing.lead.estimate.low, standing.lead.estimate.high) == pytest.approx((np.exp(low), np.exp(high)))
        assert standing.best.estimate.value == max(cell.estimate.value for cell in standing.cells)


def test_a_drift_of_the_machine_does_not_hide_a_lead(builder):
    found = digested(builder, change=rates(coroutines=[10_000, 20_000, 40_000], threads=[9_000, 18_100, 35_900]))
    (standing,) = found.standings[THROUGHPUT.column]
    assert standing.level_with == ()
    assert standing.lead.estimate.low > 1.09
    assert sentence(standing, found.sweep) == "coroutines echoes fastest: 20,000/s at 16 connections"


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
    assert not standing.lead.estimate.bounded


def test_a_server_alone_is_compared_with_nobody(builder):
    found = digested(builder, servers=("threads",))
    (standing,) = found.standings[THROUGHPUT.column]
    assert standing.lead is None
    rate = units.rate(standing.best.estimate.value)
    assert sentence(standing, found.sweep) == f"threads answers {rate} at 16 connections"


def test_a_mean_out_of_the_order_of_ratios_is_told(builder):
    speeds = rates(coroutines=[10_000, 10_000, 40_000], threads=[11_000, 11_000, 0])

    def change(record):
        speeds(record)
        if (record["trial"]["server"]["name"], record["trial"]["round"]) == ("threads", 3):
            failed(record)

    run = run_folder.load(builder.run(connections=(16,), change=change))
    found = rank(run)
    (standing,) = found.standings[THROUGHPUT.column]
    assert [cell.server for cell in standing.cells] == ["threads", "coroutines"]
    assert [cell.server for cell in standing.out_of_order] == ["coroutines"]
    said = "So the row above has a worse mean, but a better ratio: coroutines at 16 connections."
    assert said in " ".join(comparison(found))
    (table,) = load_tables(run, found)
    assert ["placed by its ratio" in row.entries[0].below for row in table.rows] == [False, True]


def test_less_is_better_but_for_throughput(article_ranking):
    standing = article_ranking.headline(CPU)
    values = [cell.estimate.value for cell in standing.cells]
    assert values == sorted(values)
    assert standing.lead.estimate.value > 1


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
    assert (len(best.values), len(other.values), len(standing.lead.values)) == (4, 3, 3)
    kept = [value for round_, value in enumerate(best.values, start=1) if round_ != 2]
    assert standing.lead.estimate.value == pytest.approx(stats.gmean(kept) / stats.gmean(other.values))


def test_a_run_without_any_number_has_no_headline(builder):
    found = digested(builder, change=failed)
    assert found.headline(THROUGHPUT) is None
    assert found.standings[CPU.column] == ()
    assert found.servers == ["coroutines", "threads"]


def ours(*names):
    """Return run.json's servers as they are when `python -m servers` started them."""
    return {"servers": [{"name": name, "command": ["python", "-m", "servers", name]} for name in names]}


@pytest.fixture
def taught(builder):
    """Return the ranking of a run in which a server that teaches is the fastest, and one is the baseline."""
    servers = ("coroutines", "asyncio-protocol", "threads", "generators")
    info = ours(*servers) | {"plan": {"servers": list(servers), "baseline": "coroutines"}}
    return rank(run_folder.load(builder.run(servers, connections=(1, 16), rounds=6, info=info)))


def test_titles_and_choices_never_praise_a_server_that_teaches(taught):
    assert taught.teaching == {"coroutines", "generators"}
    for column, standings in taught.choices.items():
        assert {cell.server for one in standings for cell in one.cells} == {"asyncio-protocol", "threads"}
        assert len(standings) == len(taught.standings[column]) == 2
    best = taught.standing(THROUGHPUT, taught.headline(THROUGHPUT).best.workload).best
    assert best.server in taught.teaching
    assert taught.headline(THROUGHPUT).best.server == "asyncio-protocol"


def test_a_baseline_that_teaches_stays_the_baseline_of_choices(taught):
    (standing, *_) = taught.choices[THROUGHPUT.column]
    assert standing.baseline == taught.baseline == "coroutines"
    for cell, ratio in zip(standing.cells, standing.ratios, strict=True):
        assert ratio == taught.ratios[THROUGHPUT.column, standing.best.workload, cell.server]


def test_prices_are_ratios_to_the_best_of_the_load(taught):
    for standing in taught.choices[THROUGHPUT.column]:
        assert set(standing.prices) == {cell.server for cell in standing.cells[1:]}
        (prices,) = standing.prices.values()
        mean = {
            cell.server: cell.estimate.value
            for cell in taught.cells[CPU.column]
            if cell.workload == standing.best.workload
        }
        expected = mean[standing.runner_up.server] / mean[standing.best.server]
        assert prices[CPU.column].estimate.value == pytest.approx(expected)


def test_a_run_of_servers_that_teach_still_has_a_title(builder):
    servers = ("coroutines", "generators")
    found = rank(run_folder.load(builder.run(servers, connections=(1,), rounds=3, info=ours(*servers))))
    assert found.choices[THROUGHPUT.column] == ()
    assert found.headline(THROUGHPUT).best.server in servers
