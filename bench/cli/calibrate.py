"""`echobench calibrate`: the instrument's own ceiling, printed and kept for `run`. Measures nothing itself."""

from __future__ import annotations

import json
import platform
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from bench import units
from bench.experiment import ceiling, machine
from bench.experiment.calibrate import Calibration, Effort, build_reference, fastest_server
from bench.experiment.catalog import catalog

if TYPE_CHECKING:
    from bench.analysis.calibration import CellAnswer, PaceAnswer
    from bench.analysis.stats import Estimate


@click.command("calibrate", short_help="Measure the load generator itself: its ceiling, its cost, its punctuality.")
@click.option("--pairs", type=click.IntRange(1), default=6, show_default=True, help="Trials of each kind per cell.")
@click.option("--window", "window_s", type=float, default=0.7, show_default=True, help="Seconds measured per trial.")
@click.option("--warmup", "warmup_s", type=float, default=0.3, show_default=True, help="Seconds of load before that.")
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the order.")
@click.option("--out", type=click.Path(path_type=Path), help="Where to keep it instead of the user's cache folder.")
@click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout instead of tables.")
def calibrate(pairs: int, window_s: float, warmup_s: float, seed: int, out: Path | None, *, as_json: bool) -> None:
    """Run our generator and a C one in turn against a C echo server, and say how near ours comes.

    With fewer than 6 pairs no 95 % interval can be stated, and none is. The result is kept for this machine; `run`
    uses it to mark trials in which the generator, not the server, was the limit.
    """
    console = Console(stderr=as_json)
    effort = Effort(pairs=pairs, window_s=window_s, warmup_s=warmup_s)
    document = _measure(effort, seed, console)
    path = out or ceiling.default_path()
    ceiling.save(document, path)
    if as_json:
        click.echo(json.dumps(document, indent=1))
    console.print(f"kept in {path}")


def _measure(effort: Effort, seed: int, console: Console) -> dict[str, Any]:
    cores = machine.plan_cores(machine.allowed_cores(), 1, machine.cpu_quota())
    with tempfile.TemporaryDirectory(prefix="echobench-") as folder:
        logs = Path(folder)
        server, missing = fastest_server(catalog(), build_reference(logs / "compiler.log"))
        if missing:
            console.print(f"No reference: {missing}\nOur generator alone is measured, against {server.name}.")
        calibration = Calibration(
            server, has_reference=missing is None, cores=cores, effort=effort, logs=logs, seed=seed
        )
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("calibrating", total=effort.trials)
            cells = calibration.cells(lambda: progress.advance(task))
            paces = calibration.paces(lambda: progress.advance(task))
    from bench.analysis.calibration import answer_cell, answer_paces, to_json  # noqa: PLC0415 - after measuring

    answers, punctuality = [answer_cell(cell) for cell in cells], answer_paces(paces)
    console.print(_heading(cores, effort))
    console.print(_cell_table(answers))
    console.print(_pace_table(punctuality))
    return {
        "fingerprint": ceiling.fingerprint(),
        "server": server.name,
        "no_reference_because": missing,
        "cells": [to_json(answer) for answer in answers],
        "paces": [to_json(answer) for answer in punctuality if answer.generator == "python"],
        "reference_paces": [to_json(answer) for answer in punctuality if answer.generator == "reference"],
    }


def _heading(cores: machine.Cores, effort: Effort) -> str:
    facts = machine.facts(cores)
    return (
        f"{facts['cpu_model']}, {facts['cpus']} CPUs, Linux {facts['kernel']}, "
        f"{platform.python_implementation()} {platform.python_version()}; generator on CPU "
        f"{machine.join_cpus(cores.client)}, server on {machine.join_cpus(cores.server)}"
        f"{' (shared!)' if cores.shared else ''}; {effort.pairs} pairs of {effort.window_s:g} s per cell, closed loop"
    )


def _cell_table(answers: list[CellAnswer]) -> Table:
    table = Table(title="Ceiling of the generator, and the C generator's in turn with it (medians; 95 % intervals)")
    for heading in ("connections", "message", "ours", "reference", "ours / reference", "added response time"):
        table.add_column(heading, justify="right")
    for answer in answers:
        table.add_row(
            units.count(answer.connections),
            units.size(answer.message_bytes),
            units.rate(answer.ceiling_per_s),
            "-" if answer.reference_per_s is None else units.rate(answer.reference_per_s),
            _interval(answer.ratio, "{:.2f}".format),
            _interval(answer.added_ns, units.duration),
        )
    return table


def _pace_table(answers: list[PaceAnswer]) -> Table:
    table = Table(
        title="Open loop at shares of our ceiling just before, constant arrivals, 64 connections of 1 KiB, in turn "
        "(medians, means of achieved; 95 %)"
    )
    for heading in ("of our ceiling", "generator", "offered", "achieved / offered", "late p50", "late p99", "steal"):
        table.add_column(heading, justify="right")
    for answer in answers:
        table.add_row(
            units.percent(answer.share, signed=False),
            "ours" if answer.generator == "python" else "reference",
            units.rate(answer.offered_per_s),
            _interval(answer.achieved_ratio, "{:.4f}".format),
            _interval(answer.lateness_p50_ns, units.duration),
            _interval(answer.lateness_p99_ns, units.duration),
            "-" if answer.steal_share is None else units.percent(answer.steal_share, signed=False),
        )
    return table


def _interval(estimate: Estimate | None, write: Any) -> str:
    if estimate is None:
        return "-"
    if not estimate.bounded:
        return str(write(estimate.value))
    return f"{write(estimate.value)} [{write(estimate.low)}, {write(estimate.high)}]"
