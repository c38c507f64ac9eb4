"""`echobench check`: the results of conformance cases, as a matrix, JSON or JUnit. Nothing is decided here."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Column, Table
from rich.text import Text

from bench import units
from bench.cli.files import refuse_unwritable, write_file
from bench.cli.options import json_option, pid_option, pythons_option, target_option
from bench.cli.progress import BAR_COLUMNS
from bench.cli.terminal import beside, put_out, tell
from bench.errors import ExitCode, UsageError, unknown_name
from bench.experiment import conformance
from bench.experiment.conformance import CASES, Case, CaseResult, Group, Outcome
from bench.experiment.planning.plan_file import plan_of
from bench.experiment.planning.preflight import check_server
from bench.experiment.planning.selection import EVERY, resolve
from bench.junit import JUnitCase, document

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.experiment.model import Server

Results = dict[str, list[CaseResult]]

MARKS = {
    Outcome.PASSED: ("pass", "green"),
    Outcome.FAILED: ("FAIL", "bold red"),
    Outcome.LIMITED: ("limit", "yellow"),
    Outcome.SKIPPED: ("-", "dim"),
    Outcome.UNTRIED: ("untried", "bold yellow"),
}
NUMBERS_WIDTH = len("100% 0:00:00 ")
COLUMN_PADDING = 3  # the characters that a column of the matrix takes beside its text
EXAMPLES = """\b
Examples:
  echobench check threads
  echobench check ./mine.py --quick
  echobench check "mine=node echo.js {port}" --junit check.xml
"""


@click.command("check", epilog=EXAMPLES, short_help="Check that servers echo correctly, whatever their clients do.")
@click.argument("servers", nargs=-1, metavar="[SERVER]...")
@click.option(
    "--case",
    "names",
    multiple=True,
    metavar="NAME",
    help="Run this case only. May be repeated; --list names the cases.",
)
@click.option("--quick", is_flag=True, help="Run the basic cases only: under a second for each server.")
@click.option("--all", "every_case", is_flag=True, help="Run the heavy cases too: minutes for each server.")
@pythons_option
@target_option
@pid_option
@click.option("--list", "as_list", is_flag=True, help="List the cases, and run nothing.")
@json_option
@click.option("--junit", type=click.Path(path_type=Path), help="Write the results as JUnit XML to this file too.")
def check(
    *,
    servers: tuple[str, ...],
    names: tuple[str, ...],
    quick: bool,
    every_case: bool,
    pythons: tuple[str, ...],
    target: str | None,
    pid: int | None,
    as_list: bool,
    as_json: bool,
    junit: Path | None,
) -> None:
    """Run conformance cases against servers, and show which cases each server passes.

    SERVER is a name, a file with serve(listener), or NAME=COMMAND. Without one, every server that comes with echobench
    is checked. If a server declares a limit, the limit is verified and shown. The exit status is 4 if a case fails, and
    3 if none fails but some could not be tried: what was not tried is not passed. It is 0 otherwise.
    """
    if as_list:
        _list()
        return
    cases = choose(names, quick=quick, every_case=every_case)
    chosen = find(servers, pythons=pythons, target=target, pid=pid)
    refuse_unwritable(junit)
    results = _run(chosen, cases)
    if as_json:
        put_out(f"{json.dumps(to_json(results, cases), indent=1)}\n")
    else:
        console = Console()
        with console.capture() as shown:
            show(results, cases, console)
        put_out(shown.get())
    write_file(junit, to_junit(results))
    status = conformance.exit_code(results.values())
    if status is not ExitCode.FINE:
        sys.exit(status)


def choose(names: Sequence[str], *, quick: bool, every_case: bool) -> list[Case]:
    """Return the cases that the options name, in the order in which they run. Raise UsageError."""
    if quick + every_case + bool(names) > 1:
        raise UsageError("give one of --case, --quick and --all")
    for name in names:
        if name not in CASES:
            raise unknown_name("case", name, CASES)
    if names:
        return [case for case in conformance.cases_of(*Group) if case.name in names]
    if quick:
        return conformance.cases_of(Group.BASIC)
    return conformance.cases_of(*Group) if every_case else conformance.cases_of(Group.BASIC, Group.STANDARD)


def find(servers: Sequence[str], *, pythons: Sequence[str], target: str | None, pid: int | None) -> tuple[Server, ...]:
    """Return the servers that are named, or all of ours if none is. One of ours that cannot run here has a gap.

    Raises UsageError for a server that is not known, that cannot be started, or that should run already and does not
    answer.
    """
    every = {"optional_servers": [EVERY]}
    found = resolve(plan_of(every, "check", servers=servers, target=target, pid=pid, pythons=list(pythons))).servers
    for server in found:
        if server.gap is None:
            check_server(server)
    return found


def _run(servers: Iterable[Server], cases: Sequence[Case]) -> Results:
    chosen = list(servers)
    results: Results = {}
    with bar(Console(stderr=True)) as progress:
        task = progress.add_task("checking", total=len(chosen) * (len(cases) + 1))
        for server in chosen:
            found = results[server.name] = []
            with closing(conformance.check(server, cases)) as coming:
                for result in coming:
                    found.append(result)
                    upcoming = cases[len(found) - 1].name if len(found) <= len(cases) else ""
                    progress.update(task, advance=1, description=f"{server.name}: {upcoming}")
            if not progress.console.is_terminal and len(chosen) > 1:  # it has no bar, and all servers take a minute
                click.echo(f"[{len(results)}/{len(chosen)}] {server.name}: {_counted(found)}", err=True)
    return results


def bar(console: Console) -> Progress:
    """Return a bar of the cases. On a narrow terminal it has numbers alone, and the name of the case gives way."""
    drawn = [] if console.width < BAR_COLUMNS else [BarColumn()]
    room = Column(max_width=console.width - NUMBERS_WIDTH, no_wrap=True, overflow="ellipsis")
    name = TextColumn("{task.description}", markup=False, table_column=room)
    return Progress(TaskProgressColumn(), TimeRemainingColumn(), *drawn, name, console=console, transient=True)


def _list() -> None:
    for case in conformance.cases_of(*Group):
        click.echo(beside(f"{case.name:15} {case.group:9} ", case.statement))


def show(results: Results, cases: Sequence[Case], console: Console) -> None:
    """Print the matrix, in as many parts as the width asks for, and below it why a case did not simply pass."""
    rows = [conformance.START, *(case.name for case in cases)]
    for part in _parts(list(results), max(map(len, rows)), console.width):
        console.print(_matrix(rows, {name: results[name] for name in part}))
    for outcome in (Outcome.FAILED, Outcome.UNTRIED, Outcome.LIMITED, Outcome.SKIPPED):
        for (server, detail), names in _said(results, outcome).items():
            mark, style = MARKS[outcome]
            width = console.width if console.is_terminal else None
            said = Text(units.folded(f"{mark} {server}, {', '.join(names)}: {detail}", width))
            said.stylize(style, 0, len(mark))
            console.print(said, soft_wrap=True)
    tell(console, _summary(results))
    if conformance.exit_code(results.values()) is ExitCode.INCONCLUSIVE:
        tell(console, "This is no pass: not every case could be tried.", "bold yellow")


def _parts(servers: list[str], first_column: int, width: int) -> list[list[str]]:
    """Cut the servers into parts whose columns fit beside the first one, at least one server in each."""
    parts: list[list[str]] = []
    left = 0
    for server in servers:
        needed = max(len(server), *(len(mark) for mark, _ in MARKS.values())) + COLUMN_PADDING
        if not parts or needed > left:
            parts.append([])
            left = width - first_column - COLUMN_PADDING - 1
        parts[-1].append(server)
        left -= needed
    return parts


def _matrix(rows: Sequence[str], results: Results) -> Table:
    table = Table()
    table.add_column("case", no_wrap=True)
    for server in results:
        table.add_column(server, no_wrap=True)
    marks = [{result.case: Text(*MARKS[result.outcome]) for result in found} for found in results.values()]
    for row in rows:
        table.add_row(row, *(found[row] for found in marks))
    return table


def _said(results: Results, outcome: Outcome) -> dict[tuple[str, str], list[str]]:
    """Group the cases of an outcome by server and detail. A case that another one caused to be skipped is left out."""
    said: dict[tuple[str, str], list[str]] = {}
    for server, found in results.items():
        for result in found:
            if result.outcome is outcome and result.because_of is None:
                said.setdefault((server, result.detail), []).append(result.case)
    return said


def _summary(results: Results) -> str:
    seconds = sum(result.seconds for result in _flat(results))
    servers = f"{len(results)} server{'s' * (len(results) != 1)}"
    return f"{servers} in {units.duration(seconds * 1e9)}: {_counted(_flat(results))}"


def _counted(found: Iterable[CaseResult]) -> str:
    counts = Counter(result.outcome for result in found)
    return ", ".join(f"{counts[outcome]} {outcome}" for outcome in Outcome if counts[outcome])


def _flat(results: Results) -> list[CaseResult]:
    return [result for found in results.values() for result in found]


def to_json(results: Results, cases: Sequence[Case]) -> dict[str, Any]:
    """Return what was found as plain JSON types, with what each case asks for."""
    return {
        "cases": [{"name": case.name, "group": case.group, "statement": case.statement} for case in cases],
        "servers": [
            {"name": server, "results": [dataclasses.asdict(result) for result in found]}
            for server, found in results.items()
        ],
    }


def to_junit(results: Results) -> str:
    """Return the results as JUnit XML: a suite for each server.

    A verified limit is a pass that says so. A case that could not be tried is a failure, because it was not passed.
    """
    return document({server: [_junit_case(server, result) for result in found] for server, found in results.items()})


def _junit_case(server: str, result: CaseResult) -> JUnitCase:
    bad: dict[Outcome, Literal["failure", "skipped"]] = {
        Outcome.FAILED: "failure",
        Outcome.UNTRIED: "failure",
        Outcome.SKIPPED: "skipped",
    }
    case = JUnitCase(name=result.case, classname=f"echobench.check.{server}", seconds=result.seconds)
    if result.outcome in bad:
        return dataclasses.replace(case, outcome=bad[result.outcome], kind=result.outcome, message=result.detail)
    return dataclasses.replace(case, output=f"{result.outcome}: {result.detail}" if result.detail else "")
