"""A run that is ready is measured, and what came of it is shown: its progress, its tables and its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.cli.plan_words import amount
from bench.cli.progress import watching
from bench.errors import ExitCode

if TYPE_CHECKING:
    from rich.console import Console

    from bench.experiment.campaign import Campaign
    from bench.experiment.model import Door
    from bench.experiment.store import Store


def measured(ready: Campaign, console: Console, door: Door, *, no_report: bool) -> ExitCode:
    """Measure, and then make tables, plots and report of what there is, also after an interruption."""
    said = f"{amount(ready.plan, ready.done)}, seed {ready.plan.seed}, in {ready.store.path}"
    console.print(said, soft_wrap=True)
    for note in ready.store.notes:
        console.print(note, style="yellow", markup=False, soft_wrap=True)
    with watching(console, ready.left) as watcher:
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

    run = run_folder.load(store.path, from_records=True)
    summary.show(run, console)
    console.print(summary.time_spent(store.info))
    run_folder.write_tables(run)  # a disk that is full by now takes nothing from what was said


def _report(store: Store, console: Console) -> None:
    from bench.analysis.report import page  # noqa: PLC0415 - matplotlib only when all else is said

    console.print(f"Report: {page.build(store.path)}", soft_wrap=True)
