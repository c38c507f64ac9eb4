"""The reference: every command, option, plan key, column, doubt and word of the code is on a page of it."""

from __future__ import annotations

import re
from functools import cache

import click
import pytest
from helpers.checkout import CHECKOUT, module_of

from bench import metrics
from bench.cli import COMMANDS, cli
from bench.errors import ExitCode
from bench.experiment import schema
from bench.experiment.doubts import Doubt
from bench.experiment.planning.plan_file import PlanFile
from bench.experiment.planning.server_table import ServerTable
from bench.experiment.planning.threshold_table import ThresholdTable
from bench.experiment.planning.workload_table import OTHER_KEYS
from bench.verdict.words import Word
from clients.keys import KEYS
from clients.result import Result
from clients.workload import Workload

reference = module_of(CHECKOUT / "docs" / "reference_pages.py")
INDEX = (CHECKOUT / "docs" / "reference" / "index.md").read_text(encoding="utf-8")


@cache
def pages():
    return reference.pages()


def rows(text):
    """Return what stands in code in the first cell of each row."""
    return re.findall(r"^\| `([^`]+)` \|", text, re.MULTILINE)


def test_the_index_has_every_page_and_no_other():
    tree = re.search(r"```\{toctree\}\n.*?\n\n(.*?)```", INDEX, re.DOTALL)[1]
    assert tree.split() == list(pages())


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_there_with_every_option(name):
    (section,) = re.findall(rf"^## echobench {name}\n(.*?)(?=^## |\Z)", pages()["commands"], re.MULTILINE | re.DOTALL)
    options = [option for option in cli.get_command(None, name).params if isinstance(option, click.Option)]
    shown = " ".join(rows(section))
    assert [option.name for option in options if not set(option.opts) <= set(re.findall(r"--?[\w-]+", shown))] == []


def test_help_reads_as_prose_and_not_as_code():
    prose = re.sub(r"^```.*?^```", "", pages()["commands"], flags=re.MULTILINE | re.DOTALL)
    assert re.findall(r"^ {4}.*\S.*$", prose, re.MULTILINE) == []


@pytest.mark.parametrize(("room", "option"), [("servers", "--burn-us"), ("clients", "--requests-per-connection")])
def test_both_halves_are_there(room, option):
    section = pages()["programs"].partition(f"## python -m {room}\n")[2]
    assert option in section


@pytest.mark.parametrize(
    ("table", "keys"),
    [
        ("server", ServerTable.__struct_fields__),
        ("threshold", ThresholdTable.__struct_fields__),
        ("workload", (*OTHER_KEYS, *KEYS)),
    ],
)
def test_every_key_of_a_table_is_there(table, keys):
    section = pages()["plan-keys"].partition(f"## Of a table `[[{table}]]`\n")[2].partition("\n## ")[0]
    assert set(rows(section)) == set(keys)


def test_every_key_at_the_top_of_a_plan_is_there():
    top = pages()["plan-keys"].partition("## At the top\n")[2].partition("\n## ")[0]
    assert {*rows(top), "server", "threshold", "workload"} == set(PlanFile.__struct_fields__)


@pytest.mark.parametrize("name", schema.TABLES)
def test_every_column_is_there(name):
    section = pages()["run-folder"].partition(f"## {name}.parquet\n")[2].partition("\n## ")[0]
    assert rows(section) == [column.name for column in schema.TABLES[name]]


def test_every_key_of_a_load_is_a_column_or_explained():
    """Others rely on these keys, so no key may be met that no page explains."""
    text = (CHECKOUT / "docs" / "load-models.md").read_text(encoding="utf-8")
    section = text.partition("\n## The keys of `--json`\n")[2].partition("\n## ")[0]
    explained = set(re.findall(r"`(\w+)`", " ".join(re.findall(r"^\|([^|]*)\|", section, re.MULTILINE))))
    columns = {column.name for column in schema.TRIALS}
    given = set(Result(workload=Workload()).to_json())
    assert given - columns <= explained
    assert explained - given == {"address", "thresholds", "agents", "agent_doubts", "start_lead_ns"}, "of the command"


def test_every_metric_is_there_with_its_budget():
    text = pages()["metrics"]
    assert rows(text) == [metric.column for metric in metrics.ALL]
    for gate in metrics.GATES:
        assert re.search(rf"^\| `{gate.column}` \|.*\| {gate.budget:.0%} \|", text, re.MULTILINE)


def test_every_doubt_is_there_with_its_advice():
    text = pages()["doubts"]
    assert rows(text) == list(Doubt)
    assert [doubt for doubt in Doubt if doubt.advice not in text] == []


def test_every_word_and_exit_code_is_there():
    text = pages()["words"]
    assert rows(text) == list(Word)
    assert [code for code in ExitCode if not re.search(rf"^\| {int(code)} \|", text, re.MULTILINE)] == []


def test_links_lead_somewhere_as_seen_from_the_folder():
    links = [link for text in pages().values() for link in re.findall(r"\]\((?!\w+:|#)([^)\s#]+)", text)]
    assert links
    assert {link for link in links if not (CHECKOUT / "docs" / "reference" / link).exists()} == set()


def test_public_modules_are_documented_and_private_ones_are_not():
    found = reference.modules("servers")
    assert {"servers", "servers.threads"} <= set(found)
    assert not [name for name in found if "._" in name]
    assert "automodule:: clients.kernel\n" in pages()["python-clients"]
