"""`echobench run`: the options, the progress and the summary of a run. What is measured is decided elsewhere."""

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
from bench.errors import ExitCode, UsageError
from bench.experiment import campaign
from bench.experiment.planning.plan_file import asked_for, preset_names
from bench.experiment.planning.selection import resolve

if TYPE_CHECKING:
    from collections.abc import Collection

    from rich.console import Console

    from bench.experiment.campaign import Campaign
    from bench.experiment.model import Door
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

Commas separate alternative values of a workload. Each combination is measured.

\b
Exit status: 0 if every trial was measured, 2 wrong use, 4 if some could not be.
"""
MINUTE_S = 60.0
LOOKING = "Looking over the plan, its servers and the load generator"
OVERHEAD_S = 0.5
"""About how much longer a trial takes than its load. Only the estimate of the whole time uses it."""


@click.command("run", epilog=EXAMPLES, short_help="Measure servers by a preset or a plan, and report.")
@click.argument("plan", default=DEFAULT, metavar=f"[{'|'.join(preset_names())}|PLAN.toml]")
@servers_option("SERVER", "NAME, FILE.py or NAME=COMMAND with {port}.")
@pythons_option
@target_option
@pid_option
@click.option("--trials", type=click.IntRange(1), help="Trials of each cell, at most.  [default: 8, or 3 if solo]")
@click.option("--minutes", type=click.FloatRange(0, min_open=True), help="Measure for so long, instead of a number.")
@click.option("--until", metavar="PERCENT", help="End when every ratio is known to within this: 2%.")
@click.option(
    "--design",
    type=click.Choice(["blocks", "solo"]),
    help="blocks: the servers are alive together and loaded in turn; solo: one after the other.  [default: blocks]",
)
@baseline_option
@workload_options(several=True)
@click.option("--workers", type=click.IntRange(1), help="Processes of the load generator.")
@click.option(
    "--generator",
    type=click.Choice(["python", "reference"]),
    help="Load generator. `reference` is written in C: it is faster, and makes plain loads only.  [default: python]",
)
@seed_option("Seed of the order and randomness of the trials.  [default: drawn, and kept]")
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default="results",
    show_default=True,
    help="Folder in which the run gets a folder of its own.",
)
@click.option(
    "--resume", metavar="RUN", type=click.Path(path_type=Path), help="Measure the rest of an interrupted run."
)
@click.option("--more", is_flag=True, help="With --resume: add trials to a run, also to one that is complete.")
@click.option(
    "--anyway", is_flag=True, help="Also measure servers that fail a basic case of `check`, and mark their numbers."
)
@click.option("--no-report", is_flag=True, help="Make no plots and no report. `echobench report` makes them later.")
@click.option("--dry-run", is_flag=True, help="Say what would be measured, and how long that would take.")
@click.pass_context
def run(
    context: click.Context,
    /,
    plan: str,
    out: Path,
    resume: Path | None,
    *,
    more: bool,
    anyway: bool,
    no_report: bool,
    dry_run: bool,
    **options: Any,
) -> ExitCode:
    """Measure every server of a plan under every workload, each trial in a fresh process, in shuffled rounds.

    The servers of a workload are alive together and get the load in turn, so that what the machine does falls on all of
    them alike. Ctrl-C keeps what was measured; --resume goes on.
    """
    console = standard_output()
    if resume is not None:
        return _resume(context, resume, console, options, more=more, no_report=no_report)
    if more:
        raise UsageError("--more adds trials to a run: name it with --resume RUN")
    workload = alternatives(texts_given(options))
    file = asked_for(plan, workload=workload, **options)
    resolved = resolve(file)
    if dry_run:
        _describe(resolved, console)
        return ExitCode.FINE
    with console.status(LOOKING):
        ready = campaign.begin(resolved, out, anyway=anyway, command=["echobench", *sys.argv[1:]])
    return _measure(ready, console, door_of(context), no_report=no_report)


def _resume(
    context: click.Context, path: Path, console: Console, options: dict[str, Any], *, more: bool, no_report: bool
) -> ExitCode:
    """Go on with a run, or with `more` add to it."""
    amount = {name: options.pop(name) for name in ("trials", "minutes", "until")}
    if any(options.values()) or (any(amount.values()) and not more):
        raise UsageError("--resume goes on with the plan of the run: leave the other options out")
    with console.status(LOOKING):
        ready = campaign.resume(path, more=amount if more else None)
    return _measure(ready, console, door_of(context), no_report=no_report)


def _describe(plan: Plan, console: Console) -> None:
    """Say what a plan would measure."""
    gaps = {gap.trial.cell: gap.detail for gap in plan.gaps()}
    table = Table("workload", "server", "", box=None, pad_edge=False)
    beside = {(server.name, named.name) for group, named in plan.groups if len(group) > 1 for server in group}
    for server, named in plan.cells():
        cell = server.name, named.name
        said = [] if plan.is_endless else [units.plural(plan.rounds, "trial")]
        said += ["in blocks" if cell in beside else "solo"]
        table.add_row(named.name, server.name, gaps.get(cell, ", ".join(said)))
    console.print(table)
    console.print(f"{_amount(plan, frozenset())}, seed {plan.seed}.")


def _amount(plan: Plan, done: Collection[int]) -> str:
    """Say how much there is to measure, and roughly how long that takes."""
    ends = [] if plan.until is None else [f"until every ratio is known to within {units.share(plan.until)}"]
    if plan.minutes is not None:
        ends.append(f"for {plan.minutes:g} min")
    if not plan.is_endless:
        ends.append(_trials(plan, done))
    return ", or ".join(reversed(ends))


def _trials(plan: Plan, done: Collection[int]) -> str:
    blocks = [block for block in plan.blocks() if any(trial.number not in done for trial in block.trials)]
    seconds = sum(
        OVERHEAD_S + trial.workload.warmup_s + trial.workload.duration_s for block in blocks for trial in block.trials
    )
    time = f"about {units.duration(1e9 * seconds)}" if seconds < MINUTE_S else f"about {seconds / MINUTE_S:.0f} min"
    return f"{units.plural(sum(len(block.trials) for block in blocks), 'trial')}, {time}"


def _measure(ready: Campaign, console: Console, door: Door, *, no_report: bool) -> ExitCode:
    """Measure, and then make tables, plots and report of what there is, also after an interruption."""
    done = ready.store.done()
    plan = ready.plan
    todo = None if plan.is_endless else sum(trial.number not in done for trial in plan.trials())
    console.print(f"{_amount(plan, done)}, seed {plan.seed}, in {ready.store.path}", soft_wrap=True)
    with watching(console, todo) as watcher:
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
