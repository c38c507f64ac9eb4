"""Two stored runs: what they may say of each other, and what forbids it."""

from __future__ import annotations

import pytest
from helpers.run_folders import Builder, saturated

from bench.analysis.comparing.two_runs import MUST_MATCH, Impression, compare_runs, differences
from bench.analysis.runs.run_folder import load
from bench.errors import NoBaselineError
from bench.experiment.host import machine, network
from bench.experiment.planning.plan_file import PlanFile


def impressions(a, b):
    return {one.metric: one.impression for one in compare_runs(load(a), load(b)).impressions}


def test_two_runs_that_are_alike_look_alike(stored):
    found = compare_runs(load(stored("a")), load(stored("b", seed=2)))
    assert {one.impression for one in found.impressions} == {Impression.LOOKS_ALIKE}
    assert found.exit_code == 0
    assert found.impressions[0].trials == (8, 8)


def test_slower_and_faster_are_words_weaker_than_a_verdict(stored):
    a, b = stored("a"), stored("b", slower=0.2, seed=2)
    assert set(impressions(a, b).values()) == {Impression.LOOKS_SLOWER}
    assert set(impressions(b, a).values()) == {Impression.LOOKS_FASTER}
    assert compare_runs(load(a), load(b)).exit_code == 3
    assert not {word.value for word in Impression} & {"REGRESSED", "OK", "IMPROVED"}


def test_unequal_numbers_of_trials_are_fine_and_single_trials_cannot_tell(stored):
    a, one = stored("a"), stored("one", rounds=1, seed=2)
    assert set(impressions(a, stored("b", rounds=5, seed=3)).values()) == {Impression.LOOKS_ALIKE}
    assert set(impressions(a, one).values()) == {Impression.CANNOT_TELL}


def test_a_cell_of_one_run_only_is_missing(stored):
    found = compare_runs(load(stored("a")), load(stored("b", servers=("threads", "coroutines"), seed=2)))
    assert {(one.server, one.impression) for one in found.impressions} >= {("coroutines", Impression.MISSING)}
    assert found.exit_code == 5


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("interpreter__version", "3.11.10"),
        ("libraries__uvloop", "0.22.0"),
        ("libraries__uvloop", None),
        ("machine__cpu_model", "Another CPU"),
        ("machine__kernel", "6.8"),
        ("machine__usable_cpus", [0, 1, 2, 3]),
        ("load__agents", 3),
        ("load__over_network", True),
    ],
)
def test_another_environment_is_refused_and_the_field_named(stored, path, value):
    a, b = stored("a"), stored("b", **{path: value})
    with pytest.raises(NoBaselineError, match=path.replace("__", ".")) as caught:
        compare_runs(load(a), load(b))
    assert caught.value.exit_code == 5


def test_two_runs_of_machines_that_are_not_known_are_refused(stored):
    """A torn run.json says nothing of its machine: two such are equal only in what they lack."""
    a, b = stored("a"), stored("b", seed=2)
    for run in (a, b):
        (run / "run.json").write_text("{")
    with pytest.raises(NoBaselineError, match="the machine of neither is known"):
        compare_runs(load(a), load(b))


def test_every_field_that_differs_is_named_and_no_other(stored):
    a, b = load(stored("a")), load(stored("b", machine__kernel="6.8", interpreter__version="3.13.0"))
    assert [text.split(" is ")[0] for text in differences(a.info, b.info)] == ["machine.kernel", "interpreter.version"]
    same = load(stored("c", machine__host="two", libraries__echobench="0.2.0"))
    assert differences(a.info, same.info) == []


def test_the_fingerprint_is_made_of_facts_that_a_run_records():
    recorded = {
        "machine": machine.facts(machine.cores()),
        "interpreter": machine.interpreter_facts(),
        "plan": PlanFile.__struct_fields__,
        "load": network.load_facts([]),
    }
    assert [field for group, fields in MUST_MATCH.items() for field in fields if field not in recorded[group]] == []


def test_another_workload_of_the_same_name_is_missing_with_its_field(stored):
    a = stored("a")
    b = stored("b", workloads=[{"name": "c16", "connections": 16, "duration_s": 9.0}])
    (first, *_) = compare_runs(load(a), load(b)).impressions
    assert (first.impression, first.reason) == (Impression.MISSING, "the workload differs in duration_s")


def test_a_throughput_that_is_a_lower_bound_cannot_tell(tmp_path):
    runs = [
        Builder(tmp_path / name, seed=seed).run(("threads",), (16,), 6, change=saturated)
        for name, seed in (("a", 1), ("b", 2))
    ]
    found = {one.metric: one for one in compare_runs(*map(load, runs)).impressions}
    assert found["replies_per_s"].impression is Impression.CANNOT_TELL
    assert "the load generator was the limit" in found["replies_per_s"].reason


def test_in_an_open_loop_the_median_response_is_compared(tmp_path):
    open_loop = {"rate_per_s": 500.0, "arrivals": "poisson"}
    runs = [
        Builder(tmp_path / name, seed=seed).run(("threads",), (16,), 6, workload=open_loop)
        for name, seed in (("a", 1), ("b", 2))
    ]
    assert [one.metric for one in compare_runs(*map(load, runs)).impressions] == [
        "server_cpu_us_per_reply",
        "response_p50_ns",
    ]
