"""The titles of figures: each states what it alone shows, and claims no rank that the ratios do not tell."""

import pytest
from helpers.block_run import BlockRun
from helpers.run_folders import saturated

from bench import units
from bench.analysis.estimates.ranking import rank
from bench.analysis.figures import titles
from bench.analysis.runs import run_folder
from bench.metrics import CPU, MEMORY, P99, THROUGHPUT

SPEEDS = {"asyncio-protocol": 30_000, "uvloop-protocol": 50_000, "threads": 20_000, "trio": 10_000}


@pytest.fixture
def ranked(tmp_path):
    """Return a function that ranks a run of blocks."""

    def make(**how):
        return rank(run_folder.load(BlockRun(**({"speeds": SPEEDS} | how)).write(tmp_path / "run")), "asyncio-protocol")

    return make


def test_no_two_of_the_figures_that_rank_say_the_same(ranked):
    found = ranked(connections=(16, 128))
    said = [
        titles.of_forest(found, THROUGHPUT),
        *(titles.of_ratios(found, metric) for metric in (THROUGHPUT, CPU)),
        *(titles.of_values(found, metric) for metric in (THROUGHPUT, CPU, P99, MEMORY)),
    ]
    assert len(set(said)) == len(said)


def test_a_forest_says_who_is_ahead_of_the_baseline_and_who_behind(ranked):
    found = ranked()
    expected = "uvloop-protocol is ahead of asyncio-protocol at 16 connections; threads and trio are behind"
    assert titles.of_forest(found, THROUGHPUT) == titles.of_ratios(found, THROUGHPUT) == expected


def test_servers_as_fast_as_the_baseline_are_not_told_from_it(ranked):
    found = ranked(speeds=dict.fromkeys(SPEEDS, 30_000), blocks=6)
    expected = "No server is ahead of asyncio-protocol at 16 connections; 3 servers are not told from it"
    assert titles.of_forest(found, THROUGHPUT) == expected


def test_a_baseline_that_the_generator_held_down_has_nobody_ahead(builder):
    def change(record):
        if record["trial"]["server"]["name"] == "threads":
            saturated(record)

    run = run_folder.load(builder.run(("coroutines", "threads"), (16,), 6, change=change))
    assert titles.of_forest(rank(run, "threads"), THROUGHPUT).startswith("No server is ahead of threads")


def test_ratios_along_loads_say_who_leads_where(ranked):
    found = ranked(connections=(1, 16, 128))
    assert titles.of_ratios(found, THROUGHPUT) == "uvloop-protocol echoes fastest at every load, 1 to 128 connections"


def test_leaders_that_change_with_the_load_are_each_named(builder):
    speeds = {("threads", 1): 3.0, ("threads", 16): 1.0, ("coroutines", 1): 1.0, ("coroutines", 16): 3.0}

    def change(record):
        trial, noise = record["trial"], record["trial"]["round"] % 3
        speed = speeds.get((trial["server"]["name"], trial["workload"]["connections"]), (2.0, 1.0)[noise % 2])
        record["metrics"]["replies_per_s"] = 10_000 * speed * (1 + noise / 100)

    run = run_folder.load(builder.run(("coroutines", "threads"), (1, 16, 128), 6, change=change))
    said = titles.of_ratios(rank(run), THROUGHPUT)
    assert said == "threads echoes fastest at 1; coroutines at 16; none alone at 128 connections"


def test_values_say_how_far_apart_servers_lie(ranked):
    found = ranked()
    cells = {cell.server: units.rate(cell.estimate.value) for cell in found.cells[THROUGHPUT.column]}
    assert titles.of_values(found, THROUGHPUT) == (
        f"Throughput at 16 connections: from {cells['uvloop-protocol']} (uvloop-protocol) to {cells['trio']} (trio)"
    )


def test_a_metric_that_no_other_figure_ranks_keeps_its_winner(ranked):
    assert titles.of_values(ranked(), P99).startswith("uvloop-protocol has the lowest p99: ")
