"""A run of blocks as people see it: the last words of `run`, the page, `compare`, and the example in results/README."""

from __future__ import annotations

import io
import json
import re

import pytest
from click.testing import CliRunner
from helpers import run_folders
from helpers.block_run import BlockRun
from helpers.checkout import CHECKOUT
from helpers.tracing import paused
from rich.console import Console

from bench.analysis.estimates.ranking import rank
from bench.analysis.report import page
from bench.analysis.runs import run_folder
from bench.cli import summary
from bench.cli.compare import compare
from bench.cli.report import report
from bench.cli.run import run as run_command
from bench.errors import UsageError
from bench.metrics import THROUGHPUT

SPEEDS = {"threads": 40_000.0, "coroutines": 52_000.0, "alone": 20_000.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return the folder of a run of blocks in which one server was solo; its tables are assembled."""
    made = BlockRun(speeds=SPEEDS, connections=(1, 16), solo=("alone",)).write(
        tmp_path_factory.mktemp("blocks") / "run"
    )
    run_folders.assemble(made)
    return made


@pytest.fixture(scope="module")
def said(folder):
    """Return what is printed of the run when it has ended."""
    written, run = io.StringIO(), run_folder.load(folder)
    summary.show(run, rank(run), Console(file=written, width=160))
    return written.getvalue()


def test_the_table_ranks_by_ratios_and_shows_the_values_below(folder, said):
    found = rank(run_folder.load(folder))
    rows = [line.split()[0] for line in said.splitlines() if re.search(r" c\d+ ", line)]
    assert rows == ["coroutines", "threads", "alone"] * 2
    ratio = found.ratios[THROUGHPUT.column, "c16", "coroutines"].estimate
    assert f"{ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]" in said
    value = next(cell.estimate for cell in found.cells[THROUGHPUT.column] if cell.server == "coroutines")
    assert THROUGHPUT.words(value.value) in said


def test_solo_trials_are_marked_and_their_precision_is_said(said):
    assert re.search(r"alone +c1 +8 solo", said)
    assert re.search(r"threads +c1 +8 +baseline", said)
    assert "alone was measured solo" in said


def test_the_last_words_and_the_page_say_how_the_machine_wandered(folder, said):
    line = r"The machine wandered: the throughput of threads varied \d\.\d\d times within a block, and \d\.\d\d times"
    assert re.search(line, said)
    run = run_folder.load(folder)
    assert re.search(line, page.render(run, rank(run), []))


def test_the_page_can_be_built_against_another_server(folder, tmp_path):
    with paused():
        done = CliRunner().invoke(report, [str(folder), "--baseline", "coroutines", "--out", str(tmp_path / "out")])
    assert done.exit_code == 0
    assert "Ratios are to coroutines" in (tmp_path / "out" / "report.html").read_text()
    with pytest.raises(UsageError, match="did you mean 'coroutines'"):
        report.main([str(folder), "--baseline", "coroutine"], standalone_mode=False)


def test_compare_says_what_was_divided(folder, capsys):
    compare.main([str(folder), "--baseline", "threads"], standalone_mode=False)
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith("run: ratio to threads [95 % interval], by slices of the same pass over 8 blocks")
    compare.main([str(folder), "--baseline", "threads", "--json"], standalone_mode=False)
    cells = json.loads(capsys.readouterr().out)["cells"]
    assert {(cell["workload"], cell["server"]) for cell in cells} == {
        (workload, server) for workload in ("c1", "c16") for server in ("alone", "coroutines")
    }


def test_a_baseline_outside_the_plan_is_refused_before_measuring():
    with pytest.raises(UsageError, match="did you mean 'threads'"):
        run_command.main(["--server", "threads", "--baseline", "thread", "--dry-run"], standalone_mode=False)


def test_the_example_recomputes_a_ratio_of_the_table(folder, capsys):
    readme = (CHECKOUT / "results" / "README.md").read_text(encoding="utf-8")
    (code,) = (part for part in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "slices.parquet" in part)
    exec(code.replace("results/RUN/", f"{folder}/"), {})
    printed = dict(line.split() for line in capsys.readouterr().out.splitlines())
    found = rank(run_folder.load(folder), "threads")
    assert printed.keys() == {"c1", "c16"}
    for workload, number in printed.items():
        assert float(number) == pytest.approx(found.ratios[THROUGHPUT.column, workload, "coroutines"].estimate.value)
