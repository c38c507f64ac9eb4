"""`echobench export` writes the files of a run where it is told, and says where."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from bench.analysis.export import formats
from bench.cli.export import export
from bench.errors import UsageError


def invoke(*arguments):
    return CliRunner().invoke(export, [str(argument) for argument in arguments], catch_exceptions=False)


def test_files_go_beside_the_run_and_are_named(builder):
    folder = builder.run(rounds=2, connections=(1,))
    result = invoke(folder, "--format", "pyperf")
    assert result.output == f"{folder / 'export' / 'pyperf.json'}\n"
    assert json.loads((folder / "export" / "pyperf.json").read_text())["version"] == "1.0"


def test_a_dash_is_stdout(builder, tmp_path):
    folder = builder.run(rounds=2, connections=(1,))
    assert json.loads(invoke(folder, "--format", "json", "--out", "-").output)["run"] == "a-run"
    assert not (folder / "export").exists()
    assert sorted(tmp_path.iterdir()) == [folder]


def test_a_baseline_adds_ratios_to_it(builder):
    folder = builder.run(rounds=3, connections=(1,))
    result = invoke(folder, "--format", "bencher", "--baseline", "coroutines", "--out", "-")
    assert "throughput-ratio" in json.loads(result.output)["threads/c1 / coroutines"]


def test_a_comparison_has_its_baseline_already(tmp_path):
    (tmp_path / "regress.json").write_text("{}")
    with pytest.raises(UsageError, match="leave out --baseline"):
        invoke(tmp_path / "regress.json", "--format", "bencher", "--baseline", "threads")


def test_what_is_no_run_is_refused(tmp_path):
    with pytest.raises(UsageError, match="is not a run"):
        invoke(tmp_path, "--format", "csv")


def test_help_names_every_format():
    assert set(formats()) <= set(invoke("--help").output.split())
