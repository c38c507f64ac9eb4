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
