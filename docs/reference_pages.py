"""Make the pages of the reference from the objects that the commands use: docs/conf.py writes them before each build.

`pages()` returns the text of each page by its name, without a file or a network. Nothing is described here: what a page
says is what the code says of itself. A page that cannot be made of the code is no reference, and is written by hand
elsewhere. The pages are not kept in git.
"""

from __future__ import annotations

import os
import posixpath
import re
import subprocess
import sys
from inspect import cleandoc
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the packages of the checkout, as `python -m bench` sees them

from bench import errors, metrics  # noqa: E402 - after the path is set
from bench.analysis.comparing.two_runs import Impression  # noqa: E402
from bench.cli import COMMANDS, INTERRUPTED, NOBODY_READS, cli  # noqa: E402
from bench.experiment.conformance import Outcome  # noqa: E402
from bench.experiment.doubts import Doubt  # noqa: E402
from bench.experiment.host.diagnosis import Severity  # noqa: E402
from bench.experiment.model import Status  # noqa: E402
from bench.experiment.planning.plan_schema import plan_schema  # noqa: E402
from bench.verdict.words import EXIT_CODES, Word  # noqa: E402
from clients.thresholds import Finding  # noqa: E402

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from enum import StrEnum

ROOMS = ("servers", "clients", "bench")
LINK = re.compile(r"\]\((?!\w+:|#)([^)\s#]+)(#[^)\s]*)?\)")


def pages() -> dict[str, str]:
    """Return the Markdown of each page by its name in docs/reference/, without `.md`."""
    return {
        "commands": commands(),
        "programs": programs(),
        "plan-keys": plan_keys(),
        "run-folder": run_folder(),
        "metrics": metrics_page(),
        "doubts": doubts(),
        "words": words(),
        **{f"python-{room}": python(room) for room in ROOMS},
    }


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """Return a table in Markdown. A bar within a cell does not end it."""
    lines = [list(heads), *rows]
    texts = [[" ".join(cell.split()).replace("|", "\\|") for cell in line] for line in lines]
    texts.insert(1, ["---"] * len(texts[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in texts) + "\n"


def code(text: str) -> str:
    """Return a text as a block that keeps its lines."""
    return f"```text\n{text.rstrip()}\n```\n"


def commands() -> str:
    """Return the page of all commands of `echobench`, each with its options."""
    parts = [f"# Commands\n\n{cleandoc(cli.help or '')}\n"]
    parts += [command(name, cli.get_command(click.Context(cli), name)) for name in COMMANDS]
    return "\n".join(parts)


def command(name: str, found: click.Command | None) -> str:
    """Return the section of one command. Its examples keep their lines."""
    assert found is not None
    context = click.Context(found, info_name=f"echobench {name}")
    usage = " ".join(found.get_usage(context).removeprefix("Usage: ").split())
    options = [option for option in found.get_params(context) if isinstance(option, click.Option)]
    records = [record for option in options if (record := option.get_help_record(context))]
    rows = [(f"`{option}`", does.replace("<", "&lt;")) for option, does in records]
    parts = [
        f"## echobench {name}",
        f"`{usage}`",
        cleandoc(found.help or "").replace("\b\n", ""),
        table(("option", "what it does"), rows),
    ]
    if found.epilog:
        parts.append(code(found.epilog.replace("\b\n", "")))
    return "\n\n".join(parts)


def programs() -> str:
    """Return the page of the two halves, whose options argparse knows: what each prints with `--help`."""
    parts = ["# The servers and the load generator by themselves\n"]
    for room in ("servers", "clients"):
        said = subprocess.run(
            [sys.executable, "-m", room, "--help"],
            cwd=ROOT,
            env=os.environ | {"COLUMNS": "100", "NO_COLOR": "1"},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout
        parts.append(f"## python -m {room}\n\n{code(said)}")
    return "\n".join(parts)


def plan_keys() -> str:
    """Return the page of every key of a plan file, from its JSON Schema."""
    schema = plan_schema()
    tables = {name: found for name, found in schema["properties"].items() if _items(found)}
    top = {name: found for name, found in schema["properties"].items() if name not in tables}
    parts = ["# Keys of a plan\n\n[Plans](../plans.md) shows a whole file, and says what the keys do together.\n"]
    parts += ["## At the top\n", _keys(top)]
    for name, found in tables.items():
        inner = _resolved(_items(found), schema)
        about = inner.get("description", "")
        parts.append(f"## Of a table `[[{name}]]`\n\n{about}\n\n{_keys(inner['properties'])}")
    return "\n".join(parts)


def _items(found: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what a list of tables holds; nothing for any other key."""
    items: Mapping[str, Any] = found.get("items", {})
    return items if "$ref" in items or "properties" in items else {}


def _resolved(found: Mapping[str, Any], schema: Mapping[str, Any]) -> Mapping[str, Any]:
    reference: str | None = found.get("$ref")
    inner: Mapping[str, Any] = schema["$defs"][reference.rpartition("/")[2]] if reference else found
    return inner


def _keys(properties: Mapping[str, Mapping[str, Any]]) -> str:
    rows = [(f"`{name}`", found.get("description", "")) for name, found in properties.items()]
    return table(("key", "what it takes"), rows)


def run_folder() -> str:
    """Return results/README.md, which describes the folder of a run and all columns, with links as seen from here."""

    def from_here(match: re.Match[str]) -> str:
        path = posixpath.normpath(posixpath.join("results", match[1]))
        return f"]({posixpath.relpath(path, 'docs/reference')}{match[2] or ''})"

    return LINK.sub(from_here, (ROOT / "results" / "README.md").read_text(encoding="utf-8"))


def metrics_page() -> str:
    """Return the page of the metrics: direction, budget, and where each is shown."""
    places = {"table": metrics.TABLE, "gate": metrics.GATES, "export": metrics.EXPORTED, "`--until`": metrics.WATCHED}
    rows = [
        (
            f"`{metric.column}`",
            metric.unit.name,
            metric.meaning,
            "larger" if metric.larger_is_better else "smaller" if metric.noun else "",
            f"{metric.budget:.0%}" if metric.budget is not None else "",
            ", ".join(name for name, members in places.items() if metric in members),
        )
        for metric in metrics.ALL
    ]
    heads = ("metric", "unit", "meaning", "better", "budget", "shown in")
    return f"# Metrics\n\nA metric is a column of `trials.parquet` with numbers.\n\n{table(heads, rows)}"


def doubts() -> str:
    """Return the page of the doubts, each with its advice."""
    rows = [(f"`{doubt}`", "a cell" if doubt.of_cell else "a trial", doubt.advice) for doubt in Doubt]
    return f"# Doubts\n\nA doubt never changes a number.\n\n{table(('doubt', 'of', 'meaning, and what to do'), rows)}"


def words() -> str:
    """Return the page of the words that commands say, and of their exit codes."""
    codes = [(str(int(found)), found.name.replace("_", " ").lower()) for found in errors.ExitCode]
    codes += [
        (str(errors.BROKEN), "a fault of echobench itself, shown in full"),
        (str(INTERRUPTED), "interrupted by Ctrl-C"),
        (str(NOBODY_READS), "nobody reads the output any more"),
    ]
    verdicts = [(f"`{word}`", str(int(EXIT_CODES[word]))) for word in Word]
    return "\n".join(
        [
            "# Words and exit codes\n\n## Exit codes\n",
            table(("code", "meaning"), codes),
            "## Of `echobench regress`\n\n[How a verdict is made](../verdict.md#the-words) says when each is said.",
            "The worst comes first.\n",
            table(("word", "exit code"), verdicts),
            *(_members(heading, found) for heading, found in _SAID.items()),
        ]
    )


_SAID: dict[str, type[StrEnum]] = {
    "Of a threshold (`--fail-if`)": Finding,
    "Of two stored runs (`echobench compare`)": Impression,
    "Of a trial (the column `status`)": Status,
    "Of a case (`echobench check`)": Outcome,
    "Of a machine (`echobench doctor`)": Severity,
}


def _members(heading: str, found: type[StrEnum]) -> str:
    said = ", ".join(f"`{member}`" for member in found)
    return f"## {heading}\n\n{' '.join((found.__doc__ or '').split())}\n\n{said}\n"


def modules(room: str) -> list[str]:
    """Return the public modules of a room, by name. What begins with `_` is the room's own."""
    files = sorted((ROOT / room).rglob("*.py"))
    names = [path.relative_to(ROOT).with_suffix("").parts for path in files if "installed" not in path.parts]
    public = [parts for parts in names if not any(part.startswith("_") and part != "__init__" for part in parts)]
    return sorted(".".join(part for part in parts if part != "__init__") for parts in public)


def python(room: str) -> str:
    """Return the page of a room's public names, which sphinx.ext.autodoc fills with their docstrings."""
    directives = [
        f"## {name}\n\n```{{eval-rst}}\n.. automodule:: {name}\n   :members:\n```\n" for name in modules(room)
    ]
    return "\n".join([f"# The package {room}\n", *directives])
