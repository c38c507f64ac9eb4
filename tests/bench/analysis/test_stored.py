"""`echobench compare`: what stored runs may say of each other, what forbids it, and the history of several."""

from __future__ import annotations

import json

import click
import numpy as np
import pytest

from bench.analysis.comparing.many_runs import change_points, history
from bench.analysis.comparing.two_runs import MUST_MATCH, Impression, compare_runs, differences
from bench.analysis.runs.run_folder import load
from bench.cli.compare import compare
from bench.errors import BenchError, NoBaselineError, UsageError
from bench.experiment.host import machine
from bench.experiment.planning.plan_file import PlanFile

FACTS = {
    "machine": {"cpu_model": "Test CPU", "usable_cpus": [0, 1], "kernel": "6.1", "server_cpus": [0], "host": "one"},
    "interpreter": {"implementation": "CPython", "version": "3.11.9", "build": "main", "compiler": "GCC"},
    "libraries": {"uvloop": "0.21.0", "numpy": "2.4.6", "echobench": "0.1.0"},
    "workloads": [{"name": "c16", "connections": 16, "duration_s": 1.0}],
}


@pytest.fixture
def stored(Builder, tmp_path):  # noqa: N803 - the fixture is a class
    """Return a function that writes a run: slower by `slower` in every metric, with facts changed."""

    def write(name, *, slower=0.0, seed=1, rounds=8, servers=("threads",), **changed):
        def change(record):
            metrics = record["metrics"]
            metrics["replies_per_s"] /= 1 + slower
            metrics["server_cpu_us_per_reply"] *= 1 + slower

        info = {group: {**facts} if isinstance(facts, dict) else facts for group, facts in FACTS.items()}
        for path, value in changed.items():
            group, _, field = path.partition("__")
            if field:
                info[group][field] = value
            else:
                info[group] = value
        builder = Builder(tmp_path / name, seed=seed)
        return builder.run(
            servers=servers,
            connections=(16,),
            rounds=rounds,
            spread=0.01,
            change=change,
            info={"started_at": name, **info},
        )

    return write


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
    ],
)
def test_another_environment_is_refused_and_the_field_named(stored, path, value):
    a, b = stored("a"), stored("b", **{path: value})
    with pytest.raises(NoBaselineError, match=path.replace("__", ".")) as caught:
        compare_runs(load(a), load(b))
    assert caught.value.exit_code == 5


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
    }
    assert [field for group, fields in MUST_MATCH.items() for field in fields if field not in recorded[group]] == []


def test_another_workload_of_the_same_name_is_missing_with_its_field(stored):
    a = stored("a")
    b = stored("b", workloads=[{"name": "c16", "connections": 16, "duration_s": 9.0}])
    (first, *_) = compare_runs(load(a), load(b)).impressions
    assert (first.impression, first.reason) == (Impression.MISSING, "the workload differs in duration_s")


def test_a_throughput_that_is_a_lower_bound_cannot_tell(Builder, tmp_path, saturated):  # noqa: N803 - the fixture is a class
    runs = [
        Builder(tmp_path / name, seed=seed).run(("threads",), (16,), 6, change=saturated)
        for name, seed in (("a", 1), ("b", 2))
    ]
    found = {one.metric: one for one in compare_runs(*map(load, runs)).impressions}
    assert found["replies_per_s"].impression is Impression.CANNOT_TELL
    assert "the load generator was the limit" in found["replies_per_s"].reason


def test_in_an_open_loop_the_median_response_is_compared(Builder, tmp_path):  # noqa: N803 - the fixture is a class
    open_loop = {"rate_per_s": 500.0, "arrivals": "poisson"}
    runs = [
        Builder(tmp_path / name, seed=seed).run(("threads",), (16,), 6, workload=open_loop)
        for name, seed in (("a", 1), ("b", 2))
    ]
    assert [one.metric for one in compare_runs(*map(load, runs)).impressions] == [
        "server_cpu_us_per_reply",
        "response_p50_ns",
    ]


@pytest.mark.parametrize("n", [8, 20, 60])
def test_a_series_without_change_rarely_shows_one(n):
    draw = np.random.default_rng(3)
    shown = sum(bool(change_points(draw.normal(size=n))) for _ in range(300))
    print(f"{n} equal runs: {shown} of 300 series with a change point")
    assert shown <= 9


def test_a_step_is_found_where_it_is():
    draw = np.random.default_rng(4)
    values = draw.normal(0, 0.02, size=30) + 0.1 * (np.arange(30) >= 18)
    ((at, p),) = change_points(values)
    assert at == 18
    assert p <= 0.001


def test_two_steps_are_found_in_order():
    draw = np.random.default_rng(5)
    values = draw.normal(0, 0.01, size=60) + 0.1 * (np.arange(60) >= 20) + 0.1 * (np.arange(60) >= 40)
    assert [at for at, _ in change_points(values)] == [20, 40]


def test_too_few_runs_show_nothing():
    assert change_points(np.array([1.0, 1.0, 1.0, 9.0, 9.0, 9.0, 9.0])) == []


def test_a_history_names_the_run_from_which_it_is_slower(stored):
    runs = [load(stored(f"{n:02}", seed=n, slower=0.2 if n >= 8 else 0.0, rounds=4)) for n in range(14)]
    cell = next(cell for cell in history(runs) if cell.metric == "server_cpu_us_per_reply")
    (change,) = cell.changes
    assert change.run == "08"
    assert change.ratio == pytest.approx(1.2, abs=0.03)
    assert len(cell.points) == 14
    assert json.loads(json.dumps(cell.to_json(), allow_nan=False))["changes"][0]["run"] == "08"


def test_runs_of_another_machine_are_not_joined(stored):
    runs = [
        load(stored(f"{n:02}", seed=n, slower=0.5 * (n >= 8), rounds=3, machine__cpu_model="new" if n >= 8 else "old"))
        for n in range(16)
    ]
    cell = history(runs)[0]
    assert cell.changes == ()
    ((run, field),) = cell.breaks
    assert run == "08"
    assert "machine.cpu_model is 'old' in one and 'new' in the other" in field


def test_runs_that_are_alike_in_a_row_are_said_to_be(stored):
    runs = [load(stored(f"{n:02}", seed=n, slower=0.3 * np.sin(n / 5) + 0.5, rounds=3)) for n in range(24)]
    assert history(runs)[0].alike


@pytest.fixture
def run(capsys):
    def invoke(*arguments):
        try:
            code = compare.main([str(argument) for argument in arguments], prog_name="compare", standalone_mode=False)
        except (BenchError, click.UsageError) as error:
            print(error)
            code = error.exit_code
        return int(code or 0), capsys.readouterr().out

    return invoke


def test_the_command_compares_two(stored, run):
    code, said = run(stored("a"), stored("b", slower=0.2, seed=2))
    assert code == 3
    assert "LOOKS-SLOWER" in said
    assert "echobench regress" in said
    assert "exit status 3" in said


def test_the_command_may_be_told_to_allow_it(stored, run):
    a, b = stored("a"), stored("b", slower=0.2, seed=2)
    assert run(a, b, "--allow-inconclusive")[0] == 0
    code, out = run(a, b, "--json")
    assert (code, json.loads(out)["exit_code"]) == (3, 3)


def test_the_command_follows_several(stored, run):
    runs = [stored(f"{n:02}", seed=n, rounds=3) for n in range(3)]
    code, said = run(*runs)
    assert code == 0
    assert "no change of level is seen" in said
    assert len(json.loads(run(*runs, "--json")[1])["cells"]) == 2


@pytest.mark.parametrize("names", [["a"], ["a", "a"], ["a", "nowhere"]])
def test_what_cannot_be_compared_is_wrong_use(stored, run, tmp_path, names):
    stored("a")
    code, said = run(*(tmp_path / name for name in names))
    assert code == 2
    assert "Traceback" not in said


def test_a_history_of_one_run_is_wrong_use(stored):
    with pytest.raises(UsageError, match="two or more"):
        history([load(stored("a"))])
