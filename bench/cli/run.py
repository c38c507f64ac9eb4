"""`echobench run`: the options, the progress and the last words of a run. What it measures is decided elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from rich.table import Table

from bench import units
from bench.cli.door import door_of
from bench.cli.options import (
    alternatives,
    baseline_option,
    pid_option,
    pythons_option,
    seed_option,
    servers_option,
    target_option,
    texts_given,
    workload_options,
)
from bench.cli.progress import watching
from bench.cli.terminal import standard_output
from bench.errors import ExitCode, UsageError, unknown_name
from bench.experiment import campaign
from bench.experiment.planning.plan_file import asked_for, preset_names
from bench.experiment.planning.selection import resolve

if TYPE_CHECKING:
    from collections.abc import Collection

    from rich.console import Console

    from bench.experiment.campaign import Campaign
    from bench.experiment.model import Door, Trial
    from bench.experiment.planning.plan import Plan
    from bench.experiment.store import Store

DEFAULT = "quick"
EXAMPLES = """\b
Examples:
  echobench run                                       the article's servers, in four minutes
  echobench run quick --server threads --server ./mine.py
  echobench run --server "mine=node echo.js {port}" --connections 1,64
  echobench run --target 127.0.0.1:7 --duration 5s
  echobench run --server threads --python python3.12 --python python3.13

Values of a workload that are separated by commas are alternatives: each combination is measured.

\b
Exit status: 0 if every trial was measured, 2 wrong use, 4 if some could not be.
"""
MINUTE_S = 60.0
LOOKING = "Looking over the plan, its servers and the load generator"
OVERHEAD_S = 0.5
"""A trial takes about so much longer than its load: for --dry-run only."""


@click.command("run", epilog=EXAMPLES, short_help="Measure servers by a preset or a plan, and report.")
@click.argument("plan", default=DEFAULT, metavar=f"[{'|'.join(preset_names())}|PLAN.toml]")
@servers_option("SERVER", "NAME, FILE.py or NAME=COMMAND with {port}.")
@pythons_option
@target_option
@pid_option
@click.option("--trials", type=click.IntRange(1), help="Trials of each cell.")
@workload_options(several=True)
@click.option("--workers", type=click.IntRange(1), help="Processes of the load generator.")
@click.option(
    "--generator",
    type=click.Choice(["python", "reference"]),
    help="reference is in C: faster, for plain loads only.  [default: python]",
)
@seed_option("Order and randomness of the trials.  [default: drawn, and kept]")
@baseline_option
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default="results", show_default=True)
@click.option(
    "--resume", metavar="RUN", type=click.Path(path_type=Path), help="Measure the rest of an interrupted run."
)
@click.option("--anyway", is_flag=True, help="Measure, and mark, servers that fail the basic cases of `check` too.")
@click.option("--no-report", is_flag=True, help="Leave plots and report to `echobench report`.")
@click.option("--dry-run", is_flag=True, help="Say what would be measured, and for how long.")
@click.pass_context
def run(
    context: click.Context,
    /,
    plan: str,
    out: Path,
    resume: Path | None,
    *,
    baseline: str | None,
    anyway: bool,
    no_report: bool,
    dry_run: bool,
    **options: Any,
) -> ExitCode:
    """Measure every server of a plan under every workload, each trial in a fresh process, in shuffled rounds.

    Ctrl-C keeps what was measured; --resume goes on.
    """
    console = standard_output()
    if resume is not None:
        if baseline is not None or any(value for value in options.values()):
            raise UsageError("--resume goes on with the plan of the run: leave the other options out")
        with console.status(LOOKING):
            ready = campaign.resume(resume)
        return _measure(ready, console, door_of(context), no_report=no_report)
    workload = alternatives(texts_given(options))
    file = asked_for(plan, workload=workload, **options)
    resolved = resolve(file)
    if baseline is not None and baseline not in (names := [server.name for server in resolved.servers]):
        raise unknown_name("server of this run", baseline, names)
    if dry_run:
        _describe(resolved, console)
        return ExitCode.FINE
    with console.status(LOOKING):
        ready = campaign.begin(resolved, out, anyway=anyway, command=["echobench", *sys.argv[1:]])
    if baseline is not None:
        ready.store.info["baseline"] = baseline  # kept, so that `report` ranks alike
        ready.store.write_info()
    return _measure(ready, console, door_of(context), no_report=no_report)


def _describe(plan: Plan, console: Console) -> None:
    """Say what a plan would measure."""
    gaps = {gap.trial.cell: gap.detail for gap in plan.gaps()}
    table = Table("workload", "server", "", box=None, pad_edge=False)
    for server, named in plan.cells():
        table.add_row(named.name, server.name, gaps.get((server.name, named.name), _trials(plan.trials_per_cell)))
    console.print(table)
    trials = list(plan.trials())
    console.print(f"{_trials(len(trials))}, seed {plan.seed}, {_time(trials)}.")


def _trials(number: int) -> str:
    """Write 1 as `1 trial` and 3 as `3 trials`."""
    return f"{units.count(number)} trial{'' if number == 1 else 's'}"


def _time(trials: Collection[Trial]) -> str:
    """Say how long so many trials take, roughly."""
    seconds = sum(trial.workload.warmup_s + trial.workload.duration_s + OVERHEAD_S for trial in trials)
    return f"about {units.duration(1e9 * seconds)}" if seconds < MINUTE_S else f"about {seconds / MINUTE_S:.0f} min"


def _measure(ready: Campaign, console: Console, door: Door, *, no_report: bool) -> ExitCode:
    """Measure, then make tables, plots and report of what there is, interrupted or not."""
    done = ready.store.done()
    todo = [trial for trial in ready.plan.trials() if trial.number not in done]
    console.print(f"{_trials(len(todo))}, seed {ready.plan.seed}, {_time(todo)}, in {ready.store.path}", soft_wrap=True)
    with watching(console, len(todo)) as watcher:
        tally = ready.measure(watcher, door)
    if not ready.store.done():
        console.print("Interrupted before the first trial ended: there is nothing to report.")
        return ExitCode.INVALID
    _sum_up(ready.store, console)
    if not no_report:
        _report(ready.store, console)
    if tally.was_interrupted:
        console.print(f"Interrupted: go on with `echobench run --resume {ready.store.path}`.", soft_wrap=True)
    return ExitCode.FINE if tally.is_whole else ExitCode.INVALID


def _sum_up(store: Store, console: Console) -> None:
    from bench.analysis.runs import run_folder  # noqa: PLC0415 - pandas only after measuring
    from bench.cli import summary  # noqa: PLC0415 - as above

    run_folder.assemble(store.path)
    summary.show(run_folder.load(store.path), console)
    console.print(summary.time_spent(store.info))


def _report(store: Store, console: Console) -> None:
    from bench.analysis.report import page  # noqa: PLC0415 - matplotlib only when all else is said

    console.print(f"Report: {page.build(store.path)}", soft_wrap=True)
