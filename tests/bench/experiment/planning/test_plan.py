"""The order of a plan, and the run of it against a fake that answers at once: no process, no clock."""

from __future__ import annotations

import dataclasses
from collections import Counter

import pytest

from bench.errors import UsageError
from bench.experiment.model import Server, Status
from bench.experiment.planning.plan import NamedWorkload, Plan
from bench.experiment.planning.server_table import ServerTable
from clients.shapes import parse_shape
from clients.workload import Workload

RAMP = Workload(connections=4, connections_profile=parse_shape("1..4"))


def workload(connections, only=None):
    return NamedWorkload(name=f"c{connections}", workload=Workload(connections=connections), only=only)


def plan(**changes):
    fields = {
        "name": "test",
        "servers": (Server(name="a"), Server(name="b"), Server(name="one", connections_max=1)),
        "workloads": (workload(1), workload(16)),
        "rounds": 4,
        "seed": 7,
    }
    return Plan(**{**fields, **changes})


def cells(trials):
    return [trial.cell for trial in trials]


def test_every_round_visits_every_cell_once():
    trials = list(plan().trials())
    for number in (1, 2, 3, 4):
        visited = cells(trial for trial in trials if trial.round == number)
        assert Counter(visited) == Counter([("a", "c1"), ("b", "c1"), ("one", "c1"), ("a", "c16"), ("b", "c16")])
    assert [trial.round for trial in trials] == sorted(trial.round for trial in trials)


def test_rounds_are_shuffled_and_the_seed_decides_how():
    assert cells(plan().trials()) == cells(plan().trials())
    assert cells(plan().trials()) != cells(plan(seed=8).trials())
    trials = cells(plan().trials())
    assert trials[:5] != trials[5:10]


def test_the_plans_seed_decides_the_seed_of_every_solo_trial():
    seeds = [trial.workload.seed for trial in plan(design="solo").trials()]
    assert len(set(seeds)) == len(seeds)
    assert seeds == [trial.workload.seed for trial in plan(design="solo").trials()]


def test_what_cannot_be_measured_comes_first_as_a_gap_with_its_reason():
    found = plan(
        servers=(Server(name="a"), Server(name="one", connections_max=1), Server(name="no", gap="x is not installed")),
        refused={"a": "it is no echo server"},
    )
    gaps = [(gap.trial.number, gap.trial.cell, gap.status, gap.detail) for gap in found.gaps()]
    assert gaps == [
        (1, ("a", "c1"), Status.NONCONFORMING, "it is no echo server"),
        (2, ("no", "c1"), Status.SKIPPED, "x is not installed"),
        (3, ("a", "c16"), Status.NONCONFORMING, "it is no echo server"),
        (4, ("one", "c16"), Status.SKIPPED, "one serves 1 at a time, at most"),
        (5, ("no", "c16"), Status.SKIPPED, "x is not installed"),
    ]
    assert [trial.number for trial in found.trials()] == [6, 7, 8, 9]
    assert {trial.round for trial in plan().trials()} == {1, 2, 3, 4}


def test_a_workload_can_be_for_some_servers_only():
    found = plan(workloads=(workload(1), workload(16, only={"b"})))
    assert set(cells(found.trials())) == {("a", "c1"), ("b", "c1"), ("one", "c1"), ("b", "c16")}
    assert found.gaps() == []


def test_servers_of_a_workload_share_a_block_and_a_seed():
    blocks = list(plan().blocks())
    assert {(block.trials[0].workload_name, len(block.trials)) for block in blocks} == {("c1", 3), ("c16", 2)}
    assert all(len({trial.workload for trial in block.trials}) == 1 for block in blocks)
    assert all({trial.block for trial in block.trials} == {n} for n, block in enumerate(blocks, start=1))
    assert len({block.trials[0].workload.seed for block in blocks}) == len(blocks)


@pytest.mark.parametrize(
    "changes",
    [
        {"design": "solo"},
        {"workers": 2},
        {"servers": (Server(name="a"),)},
        {"servers": (Server(name="a"), Server(name="b", port=7))},
        {"servers": (Server(name="a"), ServerTable(name="b", target="127.0.0.1:7").server())},
        {"workloads": (NamedWorkload(name="ramp", workload=RAMP),)},
    ],
)
def test_servers_that_cannot_share_a_block_are_measured_alone(changes):
    assert {len(block.trials) for block in plan(**changes).blocks()} == {1}


def test_more_rounds_only_add_to_the_blocks():
    few, many = list(plan(rounds=3).blocks()), list(plan(rounds=5).blocks())
    assert many[: len(few)] == few
    assert len(many) == 10


def test_groups_are_the_servers_that_are_alive_together():
    def alive(**changes):
        return [(len(servers), named.workload.connections) for servers, named in plan(**changes).groups]

    assert alive() == [(3, 1), (2, 16)]
    assert alive(design="solo") == [(1, 1)] * 3 + [(1, 16)] * 2
    assert alive(servers=(Server(name="one", connections_max=1),)) == [(1, 1)]
    assert alive(servers=(Server(name="no", gap="why"),)) == []


def test_a_round_has_as_many_blocks_as_its_workload_says():
    often = tuple(dataclasses.replace(one, blocks_per_round=2) for one in plan().workloads)
    blocks = list(plan(rounds=2, workloads=often).blocks())
    assert Counter(block.trials[0].round for block in blocks) == {1: 4, 2: 4}
    assert len({block.trials[0].workload.seed for block in blocks}) == 8
    assert [block.trials[0].block for block in blocks] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert len(list(plan(rounds=2, workloads=often, design="solo").blocks())) == 10  # once in a round, solo


def test_size_is_the_number_of_trials():
    often = tuple(dataclasses.replace(one, blocks_per_round=3) for one in plan().workloads)
    refused = {"a": "it is no echo server"}
    for one in (plan(), plan(design="solo"), plan(refused=refused), plan(workloads=often)):
        assert one.size == len(list(one.trials()))


def test_a_baseline_that_nobody_named_has_every_workload():
    assert plan().with_baseline(None).baseline == "a"
    assert plan(servers=(Server(name="one", connections_max=1), Server(name="b"))).with_baseline(None).baseline == "b"
    assert plan(servers=(Server(name="one", connections_max=1),)).with_baseline(None).baseline is None


def test_a_baseline_is_a_server_of_the_plan():
    assert plan().with_baseline("one").baseline == "one"
    with pytest.raises(UsageError, match="unknown server of this plan 'onee': did you mean 'one'"):
        plan().with_baseline("onee")
