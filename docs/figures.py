"""Measure the figures of the tutorial: run each chapter's command, and write what came out for the chapter to include.

`nox -s docs -- --figures` measures all, `-- --figures 02 05` some. A figure is docs/tutorial/figures/NN.json, with the
values, their intervals, the machine and the versions, and NN.md, which the chapter shows. No figure is written by hand.

A chapter has one block of shell below a line `<!-- figure: KIND -->`. KIND is a column of `trials.parquet`, `check`,
`micro`, or `printed`, for a command that prints its values with their intervals itself. The plot of `micro`
becomes NN.svg and NN-dark.svg.

`python3 docs/figures.py --column NAME` prints such a table of the newest run in build/tutorial, and measures nothing.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Sequence

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))  # the packages of the checkout, as `python -m bench` sees them

from bench import metrics, units  # noqa: E402 - after the path is set
from bench.analysis.estimates.ranking import rank  # noqa: E402
from bench.analysis.runs.run_folder import load  # noqa: E402
from bench.experiment.host.machine import cores, facts, interpreter_facts  # noqa: E402
from bench.stats import Estimate, clopper_pearson, geometric_mean_interval, mean_interval  # noqa: E402

TUTORIAL = ROOT / "docs" / "tutorial"
FIGURES = TUTORIAL / "figures"
MICRO = ROOT / "build" / "micro"
RUNS = ROOT / "build" / "tutorial"
TIMEOUT_S = 120
LAUNCHES = 6  # of a check, whose servers are launched anew for each case
BLOCK = re.compile(
    r"^(?:<!-- (?P<note>[^\n]*) -->\n)?```(?P<language>[\w{}-]+)[^\n]*\n(?P<code>.*?)^```", re.MULTILINE | re.DOTALL
)


class Block(NamedTuple):
    """A fenced block, and the words of the comment on the line above it."""

    note: str
    language: str
    code: str

    @property
    def figure(self) -> str | None:
        """The kind of the figure that the command makes, if it makes one."""
        return self.note.removeprefix("figure: ").split(",")[0] if self.note.startswith("figure: ") else None

    @property
    def commands(self) -> list[str]:
        """The commands of a block of shell, each in one line."""
        return [" ".join(line.split()) for line in self.code.replace("\\\n", " ").splitlines()]

    @property
    def status(self) -> int:
        """The exit status that the command ends with: `ends with 4` in the note says another than 0."""
        found = re.search(r"ends with (\d+)", self.note)
        return int(found[1]) if found else 0


def blocks(text: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    return [Block(found["note"] or "", found["language"], found["code"]) for found in BLOCK.finditer(text)]


def run(command: str, status: int = 0) -> str:
    """Run a command of a chapter from the checkout, with this interpreter as its python3; return what it printed.

    Raises RuntimeError if it ends with another status.
    """
    words = [sys.executable if word == "python3" else word for word in shlex.split(command)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    if done.returncode != status:
        raise RuntimeError(f"{command} ended with {done.returncode}, not {status}:\n{done.stdout}{done.stderr}")
    return done.stdout


def measure(block: Block, number: str) -> tuple[str, list[dict[str, Any]]]:
    """Return the figure of a block of a chapter in Markdown, and its values."""
    (command,) = block.commands
    if block.figure == "printed":
        printed = run(command, block.status)
        return f"```text\n{printed.rstrip()}\n```", [{"printed": printed.splitlines()}]
    if block.figure == "micro":
        return of_micro(run(command, block.status), number)
    if block.figure == "check":
        return of_check([json.loads(run(f"{command} --json", block.status)) for _ in range(LAUNCHES)])
    run(command, block.status)
    return of_run(newest(), block.figure or "")


def newest() -> Path:
    """Return the newest run of the tutorial, whose name begins with its time. Raises RuntimeError if there is none."""
    found = max(RUNS.glob("*/run.json"), default=None)
    if found is None:
        raise RuntimeError(f"there is no run in {RUNS}: run the command of a chapter first")
    return found.parent


def of_micro(printed: str, number: str) -> tuple[str, list[dict[str, Any]]]:
    """Copy the plot that the command left, and return it with the table that the command printed."""
    pages = []
    for suffix, theme in (("", "light"), ("-dark", "dark")):
        shutil.copyfile(MICRO / f"micro{suffix}.svg", FIGURES / f"{number}{suffix}.svg")
        words = ":alt: The time of each way to suspend and to resume. The table below has the same numbers."
        pages.append(f"```{{image}} figures/{number}{suffix}.svg\n:class: only-{theme}\n{words}\n```")
    return "\n\n".join([*pages, f"```text\n{printed.rstrip()}\n```"]), [{"printed": printed.splitlines()}]


def of_check(launches: Sequence[dict[str, Any]]) -> tuple[str, list[dict[str, Any]]]:
    """Return which cases each server failed, in how many launches, and the first and last line of the first reason."""
    found: dict[tuple[str, str], list[list[str]]] = {}
    for server in [server for checked in launches for server in checked["servers"]]:
        for result in server["results"]:
            if result["outcome"] == "failed" and (lines := result["detail"].splitlines()):
                found.setdefault((server["name"], result["case"]), []).append([lines[0], lines[-1].lstrip(" |")])
    rows = [
        {"server": server, "case": case, "reason": reasons[0], "failed": len(reasons), "launches": len(launches)}
        | {"share": as_json(clopper_pearson(len(reasons), len(launches)))}
        for (server, case), reasons in found.items()
    ]
    table = ["| server | fails | in launches | because |", "| --- | --- | ---: | --- |"]
    for row in rows:
        often = f"{row['failed']} of {row['launches']} {units.bounds(Estimate(**row['share']), units.share)}"
        table.append(f"| {row['server']} | `{row['case']}` | {often} | {row['reason'][-1]} |")
    return "\n".join(table), rows


def of_run(folder: Path, column: str) -> tuple[str, list[dict[str, Any]]]:
    """Return a metric of a run by workload and server: over trials, and as a ratio to the baseline of the run.

    Raises RuntimeError if there is no such column, or if no trial has a number in it.
    """
    stored = load(folder)
    trials = stored.measured
    metric = next((row for row in metrics.ALL if row.column == column), None)
    if metric is None or trials[column].isna().all():
        raise RuntimeError(f"{folder} has no numbers in a column {column!r}: results/README.md lists the columns")
    baseline = rank(stored).baseline or ""
    ratios = ratios_of(folder, baseline, column) if trials["server"].nunique() > 1 else {}
    rows = []
    for (workload, server), here in trials.groupby(["workload", "server"], sort=False, observed=True):
        values = here[column].dropna().astype(float).to_list()
        mean = geometric_mean_interval(values) if min(values) > 0 else not_below_0(mean_interval(values))
        row = {"workload": workload, "server": server, column: as_json(mean), "trials": len(values)}
        rows.append(row | {"ratio": ratios.get((workload, server)), "baseline": baseline})
    heads = ["workload", "server", metric.axis or metric.meaning, *([f"ratio to {baseline}"] if ratios else [])]
    table = [heads, ["---", "---", *["---:"] * (len(heads) - 2)]]
    for row in rows:
        mean = units.estimate(Estimate(**row[column]), metric.words)
        ratio = units.estimate(Estimate(**row["ratio"]), units.ratio) if row["ratio"] else "-"
        table.append([row["workload"], row["server"], mean, ratio][: len(heads)])
    return "\n".join(f"| {' | '.join(line)} |" for line in table), rows


def not_below_0(found: Estimate) -> Estimate:
    """Return the estimate of a metric that cannot be below 0, without the part of its interval that lies there."""
    return replace(found, low=max(0.0, found.low))


def ratios_of(folder: Path, baseline: str, column: str) -> dict[tuple[str, str], dict[str, float]]:
    """Return the ratios of a metric to the baseline's, by workload and server: of those metrics that are compared."""
    compared = json.loads(run(f"python3 -m bench compare {shlex.quote(str(folder))} --baseline {baseline} --json"))
    bounds = ("value", "low", "high", "level")
    return {
        (cell["workload"], cell["server"]): {bound: cell[column][bound] for bound in bounds}
        for cell in compared["cells"]
        if cell.get(column) and cell[column]["low"] is not None  # a few blocks have no interval
    }


def as_json(found: Estimate) -> dict[str, float]:
    """Return the fields of an estimate."""
    return {"value": found.value, "low": found.low, "high": found.high, "level": found.level}


def write(chapter: Path) -> None:
    """Measure the figure of one chapter, and write both of its files."""
    (block,) = [block for block in blocks(chapter.read_text(encoding="utf-8")) if block.figure]
    FIGURES.mkdir(exist_ok=True)
    number = chapter.name[:2]
    shown, values = measure(block, number)
    machine, python = facts(cores()), interpreter_facts()
    at = datetime.now(UTC)
    figure = {
        "command": block.commands[0],
        "measured_at": at.isoformat(timespec="seconds"),
        "machine": {key: value for key, value in machine.items() if key != "host"},
        "interpreter": python,
        "values": values,
    }
    source = (
        f"Source: `{block.commands[0]}` on {at:%Y-%m-%d at %H:%M} UTC, {machine['cpus']} CPUs of "
        f"{machine['cpu_model']}, CPython {sys.version.split()[0]}. Intervals are at 95 %."
    )
    (FIGURES / f"{number}.json").write_text(json.dumps(figure, indent=1) + "\n", encoding="utf-8")
    (FIGURES / f"{number}.md").write_text(f"{shown}\n\n{source}\n", encoding="utf-8")
    print(f"{number} measured: {chapter.stem}", flush=True)


def main() -> None:
    """Measure the figures of the chapters whose numbers are given, or of all; or print a column of the newest run."""
    if sys.argv[1:2] == ["--column"]:
        try:
            print(of_run(newest(), " ".join(sys.argv[2:]))[0])
        except RuntimeError as error:
            print(error, file=sys.stderr)
            sys.exit(2)
        return
    for chapter in sorted(TUTORIAL.glob("*.md")):
        if chapter.name[:2] in sys.argv[1:] or len(sys.argv) == 1:
            write(chapter)


if __name__ == "__main__":
    main()
