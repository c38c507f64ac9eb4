"""`echobench calibrate`: the load generator's own limits, printed, and kept for `run`. Nothing is computed here."""

from __future__ import annotations

import json
import platform
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console

from bench import units
from bench.cli.calibration_sheets import cell_sheet, pace_sheet
from bench.cli.door import door_of
from bench.cli.files import add_to_file, refuse_unwritable
from bench.cli.progress import watching
from bench.cli.terminal import standard_output, tell
from bench.experiment.doubts import lines
from bench.experiment.drive import drive
from bench.experiment.host import machine
from bench.experiment.instrument import ceiling
from bench.experiment.instrument.calibrate import Effort, calibration
from bench.experiment.instrument.reference import build_reference, fastest_server
from bench.experiment.planning.catalog import catalog
from bench.scratch import scratch
from clients.grammar import GrammarError, parse_duration_s

if TYPE_CHECKING:
    from bench.analysis.calibration import CellAnswer, PaceAnswer
    from bench.experiment.instrument.calibrate import Calibrated


EXAMPLES = """\b
Examples:
  echobench calibrate
  echobench calibrate --pairs 20 --window 2s --summary calibration.md
"""


def _seconds(_context: click.Context, _option: click.Parameter, text: str) -> float:
    """Return a time in seconds. Raise BadParameter, which names the option."""
    try:
        return parse_duration_s(text)
    except GrammarError as error:
        raise click.BadParameter(str(error)) from error


_TIME: dict[str, Any] = {"metavar": "TIME", "callback": _seconds, "show_default": True}


@click.command(
    "calibrate", epilog=EXAMPLES, short_help="Measure what the load generator itself can do on this machine."
)
@click.option("--pairs", type=click.IntRange(1), default=6, show_default=True, help="Pairs of trials for each cell.")
@click.option("--window", "window_s", **_TIME, default="0.7s", help="Time that is measured per trial.")
@click.option("--warmup", "warmup_s", **_TIME, default="0.3s", help="Load before the window.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the order of the trials.")
@click.option(
    "--out", type=click.Path(path_type=Path), help="File to keep the result in.  [default: in the user's cache folder]"
)
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout instead of tables.")
@click.option("--summary", type=click.Path(dir_okay=False, path_type=Path), help="Add Markdown to this file.")
@click.pass_context
def calibrate(
    context: click.Context,
    /,
    *,
    pairs: int,
    window_s: float,
    warmup_s: float,
    seed: int,
    out: Path | None,
    summary: Path | None,
    as_json: bool,
) -> None:
    """Measure our load generator in turn with one in C, both against an echo server in C.

    The result is kept for this machine. `run` uses it to mark trials in which the load generator was the limit, and not
    the server. Fewer than 6 pairs support no 95 % interval, so none is shown then. If you interrupt a calibration, it
    shows what it has and keeps nothing.
    """
    effort = Effort(pairs=pairs, window_s=window_s, warmup_s=warmup_s)
    path = out or ceiling.default_path()
    refuse_unwritable(summary, path if path.parent.is_dir() else None)
    console = Console(stderr=True) if as_json else standard_output()
    server, missing = fastest_server(catalog(), _no_reference())
    if missing:
        tell(console, f"No reference: {missing}\nOur generator alone is measured, against {server.name}.")
    experiment = calibration(server, has_reference=missing is None, effort=effort, seed=seed)
    with watching(console, effort.trials, only_failures=True) as watcher, door_of(context)() as bench:
        found = drive(experiment, bench, watcher=watcher)
    cells, paces = _answers(found)
    markdown = _show(_heading(effort), cells, paces, console)
    for line in lines(found.doubts, found.trials):
        tell(console, line)
    if found.was_interrupted:
        raise KeyboardInterrupt
    document = _document(found, _to_json(cells, paces), server.name, missing)
    if as_json:
        click.echo(json.dumps(document, indent=1))
    add_to_file(summary, markdown)
    ceiling.save(document, path)
    tell(console, f"kept in {path}")


def _no_reference() -> str | None:
    """Build the reference generator. Return why that is not possible, or None if it is built."""
    with scratch() as folder:
        return build_reference(folder / "compiler.log")


def _document(
    found: Calibrated, answers: dict[str, Any], server: str, no_reference_because: str | None
) -> dict[str, Any]:
    """Return what is kept: the answers, where they were measured, against what, and what disturbed them."""
    return {
        "fingerprint": ceiling.fingerprint(),
        "server": server,
        "no_reference_because": no_reference_because,
        **answers,
        "doubts": found.doubts,
        "trials": found.trials,
    }


def _answers(found: Calibrated) -> tuple[list[CellAnswer], list[PaceAnswer]]:
    from bench.analysis.calibration import answer_cell, answer_paces  # noqa: PLC0415 - after measuring

    return [answer_cell(cell) for cell in found.cells if cell.ours], answer_paces(found.paces)


def _show(heading: str, cells: list[CellAnswer], paces: list[PaceAnswer], console: Console) -> str:
    """Print the tables that have rows, and return them in Markdown."""
    sheets = [sheet for sheet in (cell_sheet(cells), pace_sheet(paces)) if sheet.rows]
    if sheets:
        tell(console, heading)
    for sheet in sheets:
        tell(console, f"\n{sheet.title}:")
        for table in sheet.tables(console.width):
            console.print(table)
    return "\n".join([*(sheet.markdown() for sheet in sheets), f"{heading}.\n"])


def _to_json(cells: list[CellAnswer], paces: list[PaceAnswer]) -> dict[str, Any]:
    from bench.analysis.calibration import to_json  # noqa: PLC0415 - after measuring

    return {
        "cells": [to_json(answer) for answer in cells],
        "paces": [to_json(answer) for answer in paces if answer.generator == "python"],
        "reference_paces": [to_json(answer) for answer in paces if answer.generator == "reference"],
    }


def _heading(effort: Effort) -> str:
    cores = machine.cores()
    facts = machine.facts(cores)
    pairs = units.plural(effort.pairs, "pair")
    return (
        f"{facts['cpu_model']}, {facts['cpus']} CPUs, Linux {facts['kernel']}, "
        f"{platform.python_implementation()} {platform.python_version()}; generator on CPU "
        f"{machine.join_cpus(cores.client)}, server on {machine.join_cpus(cores.server)}"
        f"{' (shared!)' if cores.shared else ''}; {pairs} of {effort.window_s:g} s per cell"
    )
