"""results/README.md against the columns that there are, and its example against a run."""

import re

import pandas as pd
import pytest
from helpers import run_folders
from helpers.agent_rows import shared_by
from helpers.checkout import CHECKOUT

from bench.experiment import schema


@pytest.fixture(scope="module")
def readme():
    return (CHECKOUT / "results" / "README.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("table", schema.TABLES)
def test_every_column_is_documented_with_type_unit_and_meaning(readme, table):
    section = re.search(rf"## {table}\.parquet\n+(.*?)(?:\n##|\Z)", readme, re.DOTALL)[1]
    assert schema.document(table) in section, "write them anew: python3 -m bench.experiment.schema results/README.md"


def test_tables_that_are_out_of_date_are_written_anew_and_nothing_else(readme):
    stale = readme.replace("| `trial` |", "| `try` |").replace("| `fds` | Int64 | count | open descriptors |\n", "")
    assert stale != readme
    assert schema.documented(stale) == schema.documented(readme) == readme


def test_the_example_has_five_lines_and_works(readme, builder, capsys):
    code, *_ = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) == 5
    run_folders.assemble(builder.run())
    (path,) = re.findall(r'"(results/.*?\.parquet)"', code)
    scope = {}
    exec(code.replace(path, str(builder.folder / "trials.parquet")), scope)
    said = capsys.readouterr().out
    assert "coroutines" in said
    trials = pd.read_parquet(builder.folder / "trials.parquet")
    mean = trials.loc[(trials["server"] == "threads") & (trials["connections"] == 16), "replies_per_s"].mean()
    assert scope["cells"].mean().loc[(16, "threads"), "replies_per_s"] == pytest.approx(mean)


def test_the_example_of_agents_works_and_their_counts_add_up(readme, builder, capsys):
    (code,) = (one for one in re.findall(r"```python\n(.*?)```", readme, re.DOTALL) if "agents.parquet" in one)
    run_folders.assemble(builder.run(rounds=1, change=shared_by(("0@a", "1@b", "2@c"))))
    exec(code.replace("results/RUN", str(builder.folder)), {})
    assert "2@c" in capsys.readouterr().out
