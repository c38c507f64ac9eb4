"""`echobench compare` of stored runs: what it prints, and its exit status."""

from __future__ import annotations

import json

import click
import pytest

from bench.cli.compare import compare
from bench.errors import BenchError


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


@pytest.mark.parametrize("runs", [2, 3])
def test_a_comparison_fits_a_narrow_terminal(stored, run, monkeypatch, runs):
    folders = [stored(f"{n}", seed=n, rounds=2) for n in range(runs)]
    wide = run(*folders)[1]
    for place in ("bench.cli.terminal", "bench.cli.compare"):
        monkeypatch.setattr(f"{place}.columns", lambda: 40)
    narrow = run(*folders)[1]
    assert max(map(len, narrow.splitlines())) <= 40
    assert narrow.split() == wide.split()


def test_the_command_may_be_told_to_allow_it(stored, run):
    a, b = stored("a"), stored("b", slower=0.2, seed=2)
    code, said = run(a, b, "--allow-inconclusive")
    assert (code, said.splitlines()[-1]) == (0, "exit status 0")
    code, out = run(a, b, "--json")
    assert (code, json.loads(out)["exit_code"]) == (3, 3)


@pytest.mark.parametrize(
    ("slower", "code", "said"),
    [
        ([0.0] * 8, 0, "LOOKS-ALIKE   threads c16 server_cpu_us_per_reply, 8 runs: no change of level is seen"),
        ([0.0] * 5 + [0.77] * 5, 3, "LOOKS-SLOWER  threads c16 server_cpu_us_per_reply, 10 runs"),
        ([0.0] * 3, 3, "3 runs can be joined, and a change is seen in 8 or more"),
    ],
)
def test_several_runs_exit_with_the_same_words_as_two(stored, run, slower, code, said):
    runs = [stored(f"{n:02}", seed=n, rounds=2, slower=slow) for n, slow in enumerate(slower)]
    got, text = run(*runs)
    assert got == code
    assert said in text
    assert text.endswith(f"exit status {code}\n")


def test_why_several_runs_are_not_joined_is_said_once(stored, run):
    _, said = run(stored("a", rounds=2), stored("b", rounds=2), stored("c", rounds=2, machine__cpu_model="another"))
    assert said.count("not joined with earlier runs at c") == 2  # of either metric
    assert said.count("machine.cpu_model is") == 1


def test_the_json_of_several_runs_has_their_exit_status(stored, run):
    code, text = run(stored("a", rounds=2), stored("b", rounds=2), stored("c", rounds=2), "--json")
    document = json.loads(text)
    assert (code, document["exit_code"]) == (3, 3)
    assert {cell["look"] for cell in document["cells"]} == {"CANNOT-TELL"}


@pytest.mark.parametrize("names", [["a"], ["a", "a"], ["a", "nowhere"]])
def test_what_cannot_be_compared_is_wrong_use(stored, run, tmp_path, names):
    stored("a")
    code, said = run(*(tmp_path / name for name in names))
    assert code == 2
    assert "Traceback" not in said
