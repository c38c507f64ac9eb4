"""Which server ratios are to, and how servers are ranked by them."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from helpers.block_run import BlockRun
from helpers.run_folders import failed

from bench import units
from bench.analysis.estimates import remarks
from bench.analysis.estimates.ranking import rank
from bench.analysis.estimates.sentences import claim, sentence
from bench.analysis.runs import run_folder
from bench.errors import UsageError
from bench.metrics import CPU, THROUGHPUT

OF_SCHEMA_1 = Path(__file__).parents[1] / "schema_1"
"""What a run of version 0.1 wrote before there were blocks, without its page and its logs."""
SPEEDS = {"threads": 40_000.0, "generators": 52_000.0, "coroutines": 51_900.0, "trio": 20_000.0}


@pytest.fixture
def blocks(tmp_path):
    """Return a function that makes a run of the model, and loads it."""
    return lambda **how: run_folder.load(BlockRun(**{"speeds": SPEEDS, **how}).write(tmp_path / "run"))


def test_the_first_server_with_every_workload_is_the_baseline(builder):
    run = run_folder.load(
        builder.run(
            ("sequential", "threads", "coroutines"),
            (1, 16),
            skip=lambda server, connections: server == "sequential" and connections > 1,
        )
    )
    assert rank(run).baseline == "threads"


def test_a_server_in_blocks_goes_before_one_that_was_alone(blocks):
    assert rank(blocks(solo=("threads",))).baseline == "generators"


def test_the_baseline_can_be_named_and_is_kept_with_the_run(blocks):
    run = blocks(info={"plan": {"baseline": "coroutines"}})
    assert rank(run).baseline == "coroutines"
    assert rank(run, "trio").baseline == "trio"
    with pytest.raises(UsageError, match="did you mean 'trio'"):
        rank(run, "tri")


def test_a_run_whose_baseline_failed_falls_back_on_the_first(blocks):
    run = blocks(info={"plan": {"baseline": "trio"}}, missing=dict.fromkeys(range(1, 9), ("trio",)))
    assert rank(run).baseline == "threads"


def test_a_run_in_which_all_failed_has_no_baseline(builder):
    found = rank(run_folder.load(builder.run(connections=(1,), change=failed)))
    assert found.baseline is None
    assert remarks.comparison(found) == []


def test_servers_are_ranked_by_their_ratio_to_the_baseline(blocks):
    found = rank(blocks())
    (standing,) = found.standings[THROUGHPUT.column]
    values = [ratio.estimate.value for ratio in standing.ratios]
    assert values == sorted(values, reverse=True)
    assert {cell.server for cell in standing.cells[:2]} == {"generators", "coroutines"}
    assert [cell.server for cell in standing.cells[2:]] == ["threads", "trio"]
    (by_cpu,) = found.standings[CPU.column]
    assert by_cpu.ratios[0].estimate.value == min(ratio.estimate.value for ratio in by_cpu.ratios)


def test_neighbours_are_told_apart_by_the_interval_of_their_own_ratio(blocks):
    found = rank(blocks())
    (standing,) = found.standings[THROUGHPUT.column]
    assert standing.told_apart == (False, True, True)
    assert standing.level_with == (standing.cells[1].server,)
    assert claim(standing, found.sweep).endswith("not told apart, echoes fastest")
    assert [row.is_level for row in found.rows("c16")] == [False, True, False, False]


def test_the_title_says_how_many_times_the_baseline(blocks):
    found = rank(blocks(speeds={"threads": 40_000.0, "coroutines": 60_000.0}))
    (standing,) = found.standings[THROUGHPUT.column]
    value = f"{standing.ratios[0].estimate.value:.2f} \N{MULTIPLICATION SIGN} threads, "
    assert sentence(standing, found.sweep).startswith(f"coroutines echoes fastest: {value}")


def test_a_baseline_that_is_best_is_not_said_to_be_once_itself(blocks):
    found = rank(blocks(speeds={"threads": 40_000.0, "coroutines": 30_000.0}))
    (standing,) = found.standings[THROUGHPUT.column]
    assert "\N{MULTIPLICATION SIGN}" not in sentence(standing, found.sweep)


def test_the_next_server_stands_in_for_a_baseline_without_a_number(builder):
    run = run_folder.load(
        builder.run(
            ("sequential", "threads", "coroutines"),
            (1, 16),
            skip=lambda server, connections: server == "sequential" and connections > 1,
        )
    )
    found = rank(run, "sequential")
    assert [standing.baseline for standing in found.standings[THROUGHPUT.column]] == ["sequential", "threads"]
    assert {workload for _, workload, _ in found.ratios} == {"c1"}
    assert "Where sequential has no number, servers are ranked by their ratio to threads." in remarks.comparison(found)


def test_what_was_divided_is_said_and_who_was_alone(blocks):
    said = remarks.comparison(rank(blocks(solo=("trio",))))
    assert said[0] == (
        "Ratios are to threads, with 95 % intervals: by slices of the same pass over 8 blocks, "
        "else by trials of the same block over 8 blocks, else by trials of the same round over 8 rounds."
    )
    assert said[-1].startswith("trio was measured solo")


def test_a_run_of_solo_trials_says_so(builder):
    found = rank(run_folder.load(builder.run()))
    said = remarks.comparison(found)
    assert said[0].endswith("by trials of the same round over 3 rounds.")
    assert said[-1].startswith("All trials were measured solo")
    assert {cell.solo for cell in found.cells[THROUGHPUT.column]} == {3}


def test_a_run_of_the_first_schema_is_ranked_by_rounds():
    found = rank(run_folder.load(OF_SCHEMA_1))
    assert {ratio.pairing.name for ratio in found.ratios.values()} == {"ROUNDS"}
    assert all(cell.solo == cell.measured for cells in found.cells.values() for cell in cells)
    assert all(cell.estimate.low > 0 for cells in found.cells.values() for cell in cells if cell.estimate.bounded)


@pytest.mark.parametrize(
    ("held", "said"),
    [
        ({"coroutines"}, "at least 1.5"),
        ({"coroutines", "threads"}, "Throughput tells no server from another: at least "),
    ],
)
def test_a_ratio_is_a_lower_bound_unless_the_baseline_is_too(blocks, held, said):
    run = blocks(speeds={"threads": 40_000.0, "coroutines": 61_000.0})
    run.trials["throughput_is_lower_bound"] = run.trials["server"].isin(held)
    found = rank(run)
    (standing,) = found.standings[THROUGHPUT.column]
    assert said in sentence(standing, found.sweep)
    assert sentence(standing, found.sweep).count("at least") == 1


def test_the_sharpness_is_half_of_each_interval_over_servers(blocks):
    found = rank(blocks())
    throughputs = [ratio.estimate for (column, *_), ratio in found.ratios.items() if column == THROUGHPUT.column]
    halves = sorted((math.log(one.high) - math.log(one.low)) / 2 for one in throughputs)
    (line,) = remarks.sharpness(found)
    assert f"throughput {units.share(halves[1])} (widest {units.share(halves[2])})" in line
