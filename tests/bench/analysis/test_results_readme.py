"""results/README.md against schema.py, and its example against a run."""

import re

import pandas as pd
import pytest

from bench.analysis.runs import run_folder
from bench.experiment import schema

UNITS = {
    "_us_per_reply": "µs per reply",
    "_per_s": "per second",
    "_bytes": "bytes",
    "_ns": "ns",
    "_s": "s",
    "_share": "share of 1",
}


@pytest.fixture(scope="module")
def readme(checkout):
    return (checkout / "results" / "README.md").read_text(encoding="utf-8")


def unit(column):
    if column.dtype in ("string", "boolean"):
        return {"string": "text", "boolean": "yes or no"}[column.dtype]
    if column.name in ("trial", "round"):
        return "number"
    return next((unit for suffix, unit in UNITS.items() if column.name.endswith(suffix)), "count")


@pytest.mark.parametrize("table", ["trials", "timeline", "monitor"])
def test_every_column_is_documented_with_type_unit_and_meaning(readme, table):
    section = re.search(rf"## {table}\.parquet\n+(.*?)(?:\n##|\Z)", readme, re.DOTALL)[1]
    rows = [line for line in section.splitlines() if line.startswith("| `")]
    columns = getattr(schema, table.upper())
    assert rows == [f"| `{c.name}` | {c.dtype} | {unit(c)} | {c.meaning} |" for c in columns]


def test_the_example_has_five_lines_and_works(readme, builder, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert len([line for line in code.splitlines() if line.strip()]) == 5
    run_folder.assemble(builder.run())
    (path,) = re.findall(r'"(results/.*?\.parquet)"', code)
    scope = {}
    exec(code.replace(path, str(builder.folder / "trials.parquet")), scope)
    said = capsys.readouterr().out
    assert "coroutines" in said
    trials = pd.read_parquet(builder.folder / "trials.parquet")
    mean = trials.loc[(trials["server"] == "threads") & (trials["connections"] == 16), "replies_per_s"].mean()
    assert scope["cells"].mean().loc[(16, "threads"), "replies_per_s"] == pytest.approx(mean)
