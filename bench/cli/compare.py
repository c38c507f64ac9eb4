"""`echobench compare`: the servers of one run, two stored runs, or the history of several. Nothing is computed here."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench import metrics
from bench.cli.columns import Column, joined, stacked
from bench.cli.files import read_run
from bench.cli.terminal import beside, columns, standard_output, tell
from bench.errors import ExitCode, UsageError
from bench.units import folded, percent

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.analysis.comparing.many_runs import CellHistory
    from bench.analysis.comparing.two_runs import StoredComparison
    from bench.analysis.runs.run_folder import Run

_TWO = 2
CAVEAT = (
    "Runs of different times differ by more than most changes of code: in about a third of such comparisons, unchanged "
    "code looks changed. `echobench regress --base REV` decides."
)
EXAMPLES = """\b
Examples:
  echobench compare results/RUN --baseline threads
  echobench compare results/OLD results/NEW
"""


@click.command("compare", epilog=EXAMPLES, short_help="Compare the servers of one run, two stored runs, or more.")
@click.argument("runs", nargs=-1, required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option(
    "--baseline", metavar="SERVER", help="Compare the servers of one run: show the ratio of each to this one."
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout instead of lines.")
@click.option("--allow-inconclusive", is_flag=True, help="Exit with 0 also where the runs look slower or cannot tell.")
@click.pass_context
def compare(
    context: click.Context,
    /,
    runs: tuple[Path, ...],
    *,
    baseline: str | None,
    as_json: bool,
    allow_inconclusive: bool,
) -> None:
    """Compare the servers of one run (with --baseline), two stored runs, or the history of more.

    RUNS are the folders of runs. Of two, the second is held against the first; of more, the newest against those
    before. If a server looks slower, or if the runs cannot tell, the exit status is 3, because only `regress` can
    decide that. It is 5 if a cell has nothing to be compared with, such as runs of the same machine, interpreter,
    kernel and libraries: each field that differs is named. It is 0 otherwise. A change is seen in 8 runs or more.
    """
    if baseline is not None:
        if len(runs) > 1:
            raise UsageError("--baseline compares the servers of one run: name one")
        _servers(read_run(runs[0]), baseline, as_json=as_json)
        return
    loaded = [read_run(run) for run in runs]
    if len({run.resolve() for run in runs}) < max(_TWO, len(runs)):
        raise UsageError("compare needs two or more runs, each once, or one and --baseline SERVER")
    code = _two(loaded, as_json=as_json) if len(loaded) == _TWO else _many(loaded, as_json=as_json)
    code = ExitCode.FINE if allow_inconclusive and code is ExitCode.INCONCLUSIVE else code
    if not as_json:
        click.echo(f"exit status {int(code)}")
    context.exit(int(code))


def _servers(run: Run, baseline: str, *, as_json: bool) -> None:
    from bench.analysis.comparing.within_run import against, text, to_json  # noqa: PLC0415 - pandas only once it is needed
    from bench.analysis.estimates.remarks import pairings  # noqa: PLC0415 - as above

    rows = against(run, baseline)
    if as_json:
        cells = [
            {"workload": workload, "server": server, **{column: to_json(one) for column, one in row.items()}}
            for (workload, server), row in rows.items()
        ]
        click.echo(json.dumps({"run": run.id, "baseline": baseline, "cells": cells}, indent=1))
        return
    shown = [metric for metric in metrics.TABLE if all(metric.column in row for row in rows.values())]
    numbers = [Column(metric.title, [text(row[metric.column]) for row in rows.values()]) for metric in shown]
    console = standard_output()
    names = joined([Column("server", [server for _, server in rows]), Column("workload", [under for under, _ in rows])])
    made_of = pairings(one for row in rows.values() for one in row.values())
    tell(console, f"{run.id}: ratio to {baseline} [95 % interval], {made_of}".removesuffix(", "))
    for table in stacked(names, numbers, console.width):
        console.print(table)
    if any(one.limited for row in rows.values() for one in row.values()):
        limited = "* The load generator was the limit with one of the two servers"
        tell(console, f"{limited}: see `echobench run --generator reference`.")


def _two(runs: Sequence[Run], *, as_json: bool) -> ExitCode:
    from bench.analysis.comparing.two_runs import compare_runs  # noqa: PLC0415 - pandas only once it is needed

    found = compare_runs(*runs)
    click.echo(json.dumps(found.to_json(), indent=1) if as_json else "\n".join(_impression_lines(found)))
    return found.exit_code


def _impression_lines(found: StoredComparison) -> list[str]:
    width = max((len(f"{one.server} {one.workload}") for one in found.impressions), default=0)
    lines = [f"{found.candidate} against {found.baseline}", ""]
    lines += [
        beside(f"{one.impression:<12}  {f'{one.server} {one.workload}':<{width}}  ", one.reason)
        for one in found.impressions
    ]
    return [*lines, "", folded(CAVEAT, columns())]


def _many(runs: Sequence[Run], *, as_json: bool) -> ExitCode:
    from bench.analysis.comparing.many_runs import breaks, history  # noqa: PLC0415 - pandas only once it is needed
    from bench.analysis.comparing.two_runs import exit_code  # noqa: PLC0415 - as above

    cells = history(runs)
    code = exit_code(cell.impression for cell in cells)
    if as_json:
        document = {"exit_code": int(code), "cells": [cell.to_json() for cell in cells]}
        click.echo(json.dumps(document, indent=1))
    else:
        lines = [line for cell in cells for line in _history_lines(cell)]
        lines += [f"{run} is not joined with earlier runs: {fields}" for run, fields in breaks(cells)]
        click.echo(folded("\n".join([*lines, "", CAVEAT]), columns()))
    return code


def _history_lines(cell: CellHistory) -> list[str]:
    lines = [
        f"{cell.impression:<12}  {cell.server} {cell.workload} {cell.metric}, {len(cell.points)} runs: {cell.reason}"
    ]
    lines += [f"  not joined with earlier runs at {run}" for run, _ in cell.breaks]
    lines += [f"  {percent(change.ratio - 1)} from {change.run} on (p {change.p:.2g})" for change in cell.changes]
    if cell.changes and cell.alike:
        lines.append(
            "  neighbouring runs are alike, so chance alone can look like a change here: these are places to look"
        )
    return lines
