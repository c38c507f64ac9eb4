"""`echobench run`: from its options to a run that is ready, or that is taken up again. Nothing is decided here."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem
from rich.console import Console

from bench.cli.door import door_of
from bench.cli.files import refuse_unwritable
from bench.cli.measured import Shown, measured
from bench.cli.options import (
    NumberRange,
    alternatives,
    baseline_option,
    json_option,
    pid_option,
    pythons_option,
    seed_option,
    servers_option,
    target_option,
    texts_given,
    workload_options,
)
from bench.cli.plan_words import describe
from bench.cli.terminal import standard_output
from bench.errors import ExitCode, UsageError
from bench.experiment import campaign
from bench.experiment.planning.plan_file import MINUTES_MAX, TRIALS_MAX, asked_for, preset_names
from bench.experiment.planning.selection import resolve

if TYPE_CHECKING:
    from bench.experiment.campaign import Campaign

DEFAULT = "quick"
EXAMPLES = """\b
Examples:
  echobench run                     one server of each model, in four minutes
  echobench run quick --server threads --server ./mine.py
  echobench run --server "mine=node echo.js {port}" --connections 1,64
  echobench run --target 127.0.0.1:7 --duration 5s
  echobench run --server threads --python python3.12 --python python3.13

Commas separate alternative values of a workload. Each combination is measured.

Exit status: 0 if every trial was measured, 1 if a --fail-if was so, 2 wrong use, 3 if a --fail-if cannot be told,
4 if a trial could not be measured.
"""
LOOKING = "Looking over the plan, its servers and the load generator"


def _plans(_context: click.Context, _parameter: click.Parameter, begun: str) -> list[CompletionItem]:
    """Return the presets that begin so, and leave the rest to the shell: a plan is a file.

    What click writes for bash drops all names before a file.
    """
    names = [CompletionItem(name) for name in preset_names() if name.startswith(begun)]
    return [CompletionItem(begun, type="file"), *names]


@click.command("run", epilog=EXAMPLES, short_help="Measure servers by a preset or a plan, and report.")
@click.argument("plan", default=DEFAULT, shell_complete=_plans, metavar=f"[{'|'.join(preset_names())}|PLAN.toml]")
@servers_option("SERVER", "NAME, FILE.py or NAME=COMMAND with {port}.")
@pythons_option
@target_option
@pid_option
@click.option(
    "--trials", type=click.IntRange(1, TRIALS_MAX), help="Trials of each cell, at most.  [default: 8, or 3 if solo]"
)
@click.option(
    "--minutes", type=NumberRange(0, MINUTES_MAX, min_open=True), help="Measure for so long, instead of a number."
)
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
@click.option(
    "--agents",
    metavar="CLUSTER",
    help="Share each load over a Dask cluster: local:N, tcp://HOST:PORT or tls://HOST:PORT. Trials are solo.",
)
@click.option("--insecure-cluster", is_flag=True, default=None, help="With --agents: use a cluster without TLS.")
@click.option(
    "--host", metavar="ADDRESS", help="Address of this machine at which servers listen.  [default: 127.0.0.1]"
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
    "--fail-if",
    metavar="RULE",
    multiple=True,
    help='End with 1 if this is so, with 3 if that cannot be told: "p99 > 5ms", or of one server "threads: p99 > 5ms". '
    "May be repeated.",
)
@click.option("--junit", type=click.Path(dir_okay=False, path_type=Path), help="Write JUnit XML to this file.")
@click.option("--summary", type=click.Path(dir_okay=False, path_type=Path), help="Add Markdown to this file.")
@click.option(
    "--resume", metavar="RUN", type=click.Path(path_type=Path), help="Measure the rest of an interrupted run."
)
@click.option("--more", is_flag=True, help="With --resume: add trials to a run, also to one that is complete.")
@click.option(
    "--anyway", is_flag=True, help="Also measure servers that fail a basic case of `check`, and mark their numbers."
)
@json_option
@click.option("--quiet", is_flag=True, help="Print what was found, and no progress.")
@click.option("--no-report", is_flag=True, help="Make no plots and no report. `echobench report` makes them later.")
@click.option("--dry-run", is_flag=True, help="Say what would be measured, for how long, and what would fail it.")
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
    as_json: bool,
    quiet: bool,
    junit: Path | None,
    summary: Path | None,
    no_report: bool,
    dry_run: bool,
    **options: Any,
) -> ExitCode:
    """Measure every server of a plan under every workload, each trial in a fresh process, in shuffled rounds.

    The servers of a workload are alive together and get the load in turn, so that what the machine does falls on all of
    them alike. Ctrl-C keeps what was measured; --resume goes on.
    """
    refuse_unwritable(junit, summary)
    console = Console(stderr=True, highlight=False) if as_json else standard_output()
    progress = Console(quiet=True) if quiet else console
    if resume is not None:
        with progress.status(LOOKING):
            ready = _taken_up(resume, options, more=more)
    elif more:
        raise UsageError("--more adds trials to a run: name it with --resume RUN")
    else:
        workload = alternatives(texts_given(options))
        file = asked_for(plan, workload=workload, **options)
        resolved = resolve(file)
        if dry_run:
            describe(resolved, file.threshold, console)
            return ExitCode.FINE
        with progress.status(LOOKING):
            ready = campaign.begin(resolved, out, anyway=anyway, command=["echobench", *sys.argv[1:]])
    shown = Shown(progress=progress, as_json=as_json, junit=junit, summary=summary, has_report=not no_report)
    return measured(ready, console, door_of(context), shown)


def _taken_up(path: Path, options: dict[str, Any], *, more: bool) -> Campaign:
    """Return a run that goes on, or to which `more` is added. Raise UsageError for options that would change it."""
    amount = {name: options.pop(name) for name in ("trials", "minutes", "until")}
    if any(options.values()) or (any(amount.values()) and not more):
        raise UsageError("--resume goes on with the plan of the run: leave the other options out")
    return campaign.resume(path, more=amount if more else None)
