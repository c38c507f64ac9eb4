"""`echobench show` of stored runs, and the table of estimates at every width of a terminal."""

from __future__ import annotations

import io
import json
import re

import pytest
from helpers.agent_rows import shared_by
from helpers.run_folders import ARTICLE, mishaps, saturated
from rich.console import Console

from bench.analysis.estimates.ranking import rank
from bench.analysis.report.words import scope
from bench.analysis.runs import run_folder
from bench.cli import summary
from bench.cli.estimates_table import print_estimates
from bench.cli.output import PLAINLY
from bench.cli.show import machine, show
from bench.errors import BenchError

HEADERS = {"Throughput", "Server", "CPU", "per", "reply", "Median", "response", "p99", "Memory"}
LONG = "asyncio-protocol@python3.13"


@pytest.fixture
def run(capsys):
    def invoke(*arguments):
        try:
            code = show.main([str(argument) for argument in arguments], prog_name="show", standalone_mode=False)
        except BenchError as error:
            print(error)
            code = error.exit_code
        return int(code or 0), capsys.readouterr().out

    return invoke


def test_a_run_is_shown_with_its_ranking_doubts_and_machine(builder, run):
    code, said = run(builder.run(ARTICLE[:3], (1, 1000), change=mishaps))
    assert code == 0
    assert "Ratios are to sequential" in said
    assert "not-steady: 3 of" in said
    assert "generators c1000: server-died: exit status 1" in said
    assert "Machine: Test CPU, 2 CPUs, 8 GiB, Linux 6.1." in said
    assert "Code: 0123abcd." in said


def test_a_virtual_machine_is_called_one():
    assert list(machine({"machine": {"hypervisor": True}})) == ["Machine: a virtual machine."]
    assert list(machine({"machine": {"hypervisor": False}})) == []


@pytest.mark.parametrize(
    ("load", "made"),
    [
        ({"agents": 2, "over_network": True}, "2 agents shared each load, which passed a network."),
        ({"agents": 1, "over_network": False}, "1 agent made each load."),
        ({"agents": 0, "over_network": True}, "The load passed a network."),
        (None, "2 agents shared each load."),  # as agents.parquet of a run without this field has it
    ],
)
def test_who_made_the_load_is_said(builder, run, load, made):
    change = shared_by(("0@a", "1@b")) if load is None else lambda record: None
    folder = builder.run(connections=(16,), rounds=1, change=change, info={"load": load} if load else {})
    assert made in run(folder)[1].splitlines()
    assert json.loads(run(folder, "--json")[1])["load"] == load
    read = run_folder.load(folder)
    assert scope(read, rank(read)).endswith(made)


def test_a_load_of_one_generator_here_is_no_news(builder, run):
    folder = builder.run(connections=(16,), rounds=1, info={"load": {"agents": 0, "over_network": False}})
    assert not re.search("agent|network|each load", run(folder)[1])


def test_programs_get_the_same_numbers_as_json(builder, run):
    folder = builder.run(ARTICLE[:3], (1, 1000), change=mishaps)
    code, said = run(folder, "--json")
    found, expected = json.loads(said), rank(run_folder.load(folder))
    assert (code, found["baseline"]) == (0, expected.baseline)
    cells = {(one["server"], one["workload"]): one for one in found["cells"]}
    for (column, workload, server), ratio in expected.ratios.items():
        assert cells[server, workload]["metrics"][column]["ratio"]["value"] == ratio.estimate.value
    dead = cells["generators", "c1000"]
    assert (dead["measured"], dead["metrics"]["replies_per_s"]["value"]) == (0, None)
    assert {(one["server"], one["status"]) for one in found["failures"]} >= {("generators", "server-died")}
    assert found["doubts"][0]["trials"] == 3
    assert found["machine"]["cpu_model"] == "Test CPU"


@pytest.mark.parametrize(("rule", "code"), [("1us", 1), ("10s", 0)])
def test_the_exit_status_is_that_of_the_thresholds(builder, run, rule, code):
    plan = {"threshold": [{"metric": "p99", "comparison": ">", "value": rule}]}
    got, said = run(builder.run(connections=(16,), rounds=8, info={"plan": plan}))
    assert got == code
    assert "p99 is " in said


def test_a_folder_that_is_no_run_is_wrong_use(tmp_path, run):
    code, said = run(tmp_path)
    assert code == 2
    assert "give the folder of one run" in said


@pytest.fixture
def printed(builder):
    """Return a function that prints the table of one run, some of whose names are long, at a width."""
    found = rank(run_folder.load(builder.run(("threads", LONG), (1, 1000))))

    def at(width):
        console = Console(file=io.StringIO(), width=width, highlight=False)
        print_estimates(found, console)
        return console.file.getvalue()

    return at


def words_of(text):
    """Return names, ratios, values and intervals of a table, which must stay whole."""
    quantity = r"[\d.,]+(?:/s| [µmKM]?i?[sB])?"
    return set(re.findall(rf"\[{quantity}, {quantity}\]|{re.escape(LONG)}|threads|c1000-?\w*|[\d.,]+/s|baseline", text))


def test_no_width_breaks_a_number_or_a_name(printed):
    whole = words_of(printed(200))
    assert {LONG, "threads", "baseline"} < whole
    for width in (160, 120, 80, 60, 40):
        said = printed(width)
        assert max(map(len, said.splitlines())) <= width
        assert words_of(said) == whole
        assert set(said.split()) >= HEADERS


@pytest.mark.parametrize("width", [40, 53, 80])
def test_sentences_fit_and_keep_numbers_with_their_units(builder, width):
    found = run_folder.load(builder.run(ARTICLE[:3], (1, 1000), change=mishaps))
    console = Console(file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    summary.show(found, rank(found), console)
    lines = console.file.getvalue().splitlines()
    assert max(map(len, lines)) <= width
    assert " % " in " ".join(lines)
    assert not [line for line in lines if line.startswith("%")]


def test_a_table_fits_where_a_sign_must_be_written_in_two(builder, monkeypatch):
    """In ASCII, ≥ is >=."""
    found = rank(run_folder.load(builder.run(("threads", "trio"), (16,), change=saturated)))
    stdout = io.TextIOWrapper(io.BytesIO(), "ascii", PLAINLY)
    monkeypatch.setattr("sys.stdout", stdout)
    for width in range(25, 90, 5):
        print_estimates(found, Console(width=width, highlight=False))
        stdout.flush()
        lines = stdout.buffer.getvalue().decode().splitlines()
        assert max(map(len, lines)) <= width
        assert any(">= " in line for line in lines)
        stdout.buffer.truncate(0)
        stdout.buffer.seek(0)
