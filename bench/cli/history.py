"""`echobench history`: every cell over the runs of a folder, in lines with a sparkline. Nothing is computed here.

What is a change is decided in `bench.analysis.comparing.many_runs`. What is decided here is the exit status.
"""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bench import units
from bench.cli.files import refuse_unwritable, write_file
from bench.cli.options import json_option
from bench.cli.sparkline import sparkline
from bench.cli.terminal import WIDE, columns, emphasised, put_out
from bench.errors import BenchError, ExitCode, NoBaselineError, UsageError
from bench.units import folded

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.analysis.comparing.many_runs import CellHistory, Point
    from bench.analysis.runs.run_folder import Run

_TWO = 2

INDENT = "  "


@click.command("history", short_help="Follow every cell over the runs of a folder, and alarm if one became slower.")
@click.argument("folder", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--baseline", metavar="SERVER", help="Follow ratios to this server.  [default: that of the newest run]")
@click.option("--last", type=click.IntRange(1), default=8, show_default=True, help="Show the values of so many runs.")
@click.option(
    "--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with every cell to this file."
)
@json_option
@click.pass_context
def history(
    context: click.Context, /, folder: Path, *, baseline: str | None, last: int, html: Path | None, as_json: bool
) -> None:
    """Follow every cell over the runs in the folder DIR, oldest first, and say where its level changed.

    A server is followed by its ratio to the baseline, which was measured in turn with it: so what the machine did on
    a day cancels. The exit status is 1 if the newest level of a ratio is worse. It is 3 if that cannot be told, as
    with fewer than 8 runs, or if a number without a ratio looks worse. It is 5 if no earlier run can be joined with the
    newest, because its machine, interpreter or libraries differ. Cells that the newest run lacks do not count.
    """
    refuse_unwritable(html)
    from bench.analysis.comparing import many_runs, two_runs  # noqa: PLC0415 - pandas only once it is needed
    from bench.analysis.estimates.ranking import rank  # noqa: PLC0415 - as above

    runs, left_out = _runs(folder)
    newest = max(runs, key=many_runs.began)
    against = rank(newest, baseline).baseline
    cells = many_runs.history(runs, against=against)
    code = exit_code(cells, newest.id)
    ordered = sorted(cells, key=lambda cell: cell.impression is not two_runs.Impression.LOOKS_SLOWER)
    page = ""
    if html is not None:
        from bench.analysis.report.history import History, render  # noqa: PLC0415 - as above

        found = History(
            cells=ordered, code=code, baseline=against, newest=newest.id, left_out=left_out, command=_command(context)
        )
        page = render(found)
    try:
        if as_json:
            document = {"exit_code": int(code), "baseline": against, "cells": [cell.to_json() for cell in cells]}
            put_out(f"{json.dumps(document, indent=1)}\n")
        else:
            _print(ordered, code, last)
    finally:
        write_file(html, page)
    context.exit(int(code))


def _print(cells: Sequence[CellHistory], code: ExitCode, last: int) -> None:
    """Print the conclusion, the cells, and once for all of them why runs are not joined."""
    from bench.analysis.comparing.many_runs import breaks  # noqa: PLC0415 - as above

    width = columns()
    lines = _cautions(cells)
    for cell in cells:
        lines += ["", *lines_of(cell, last, width or WIDE)]
    apart = breaks(cells)
    lines += ["" for _ in apart[:1]]
    lines += [f"{run} is not joined with earlier runs: {fields}" for run, fields in apart]
    said = [emphasised(folded(_conclusion(code), width)), *(folded(line, width) for line in lines)]
    put_out("".join(f"{line}\n" for line in said))


def _command(context: click.Context) -> str:
    """Return this command as a line for a shell."""
    given = context.params
    words = ["echobench", "history", str(given["folder"])]
    words += [] if given["baseline"] is None else ["--baseline", given["baseline"]]
    return shlex.join([*words, "--html", str(given["html"])])


def _runs(folder: Path) -> tuple[list[Run], list[str]]:
    """Return the runs in a folder, and why others are left out: unread, or still being written. stderr says it too."""
    from bench.analysis.runs import run_folder  # noqa: PLC0415 - as above
    from bench.experiment.records import INFO_FILE  # noqa: PLC0415 - as above
    from bench.experiment.store import State  # noqa: PLC0415 - as above

    found, left_out = [], []
    for path in sorted(path.parent for path in folder.glob(f"*/{INFO_FILE}")):
        try:
            run = run_folder.load(path)
        except BenchError as error:
            left_out.append(str(error))
            continue
        if run.info.get("state") == State.RUNNING:
            left_out.append(f"{path} is being written, or was killed")
            continue
        found.append(run)
    for why in left_out:
        click.echo(f"left out: {why}", err=True)
    if not found:
        raise UsageError(f"{folder} holds no run that can be read: give the folder that holds the folders of runs")
    if len(found) < _TWO:
        raise NoBaselineError(f"{folder} holds one run, {found[0].id}: a history needs two or more")
    return found, left_out


def exit_code(cells: Sequence[CellHistory], newest: str) -> ExitCode:
    """Return what the cells of the newest run come to. Only a ratio can be REGRESSED."""
    from bench.analysis.comparing import two_runs  # noqa: PLC0415 - as above

    here = [cell for cell in cells if cell.points and cell.points[-1].run == newest]
    if any(cell.against and cell.impression is two_runs.Impression.LOOKS_SLOWER for cell in here):
        return ExitCode.REGRESSED
    return two_runs.exit_code(cell.impression for cell in here)


def lines_of(cell: CellHistory, last: int, width: int) -> Iterator[str]:
    """Yield the lines of one cell: what is said of it, a sparkline, the values of the `last` runs, changes, breaks."""
    yield f"{cell.impression}: {cell.server} {cell.workload}, {cell.followed}: {cell.reason}"
    yield INDENT + sparkline([point.median.value for point in cell.points][-(width - len(INDENT)) :])
    changes = {change.run: f"  {units.percent(change.ratio - 1)} from here on" for change in cell.changes}
    breaks = {run: "  not joined with earlier runs" for run, _ in cell.breaks}
    write = units.ratio if cell.against else cell.row.words
    left_out = len(cell.points) - last
    if left_out > 0:
        yield f"{INDENT}Of {units.plural(left_out, 'earlier run')} those with a remark are shown: --last shows more"
    for number, point in enumerate(cell.points):
        remark = changes.get(point.run, "") + breaks.get(point.run, "")
        if number >= left_out or remark:
            yield f"{INDENT}{_where(point)}  {units.estimate(point.median, write)}{remark}"
    if cell.changes and cell.alike:
        yield f"{INDENT}neighbouring runs are alike, so chance alone can look like a change: these are places to look"


def _where(point: Point) -> str:
    return "  ".join(filter(None, (point.day, point.short_commit or point.run)))  # without a date it is named once


def _conclusion(code: ExitCode) -> str:
    words = {
        ExitCode.REGRESSED: "The newest level of a ratio is worse: `echobench regress --base REV` tells of a commit.",
        ExitCode.INCONCLUSIVE: "It cannot be told of every cell, or a number without a ratio looks worse.",
        ExitCode.NO_BASELINE: "A cell has no earlier run that it can be joined with.",
        ExitCode.FINE: "No newest level is worse.",
    }
    return f"{words[code]} Exit status {int(code)}."


def _cautions(cells: Sequence[CellHistory]) -> list[str]:
    is_bare = not all(cell.against for cell in cells)
    return ["A number without a ratio also follows the machine of the day."] if is_bare else []
