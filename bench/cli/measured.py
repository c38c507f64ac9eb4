"""A run that is ready is measured, and what came of it is shown: its progress, its tables and its report."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import units
from bench.cli.files import add_to_file, write_file
from bench.cli.plan_words import amount
from bench.cli.screen.screen import watching_run
from bench.cli.terminal import put_out, tell
from bench.errors import ExitCode

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from bench.analysis.estimates.ranking import Ranking
    from bench.analysis.runs.run_folder import Run
    from bench.experiment.campaign import Campaign
    from bench.experiment.model import Door
    from bench.experiment.store import Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """How a run is shown: where its progress is printed, what on stdout, which files are written, and the report."""

    progress: Console
    as_json: bool = False
    junit: Path | None = None
    summary: Path | None = None
    has_report: bool = True


def measured(ready: Campaign, console: Console, door: Door, shown: Shown) -> ExitCode:
    """Measure, and then make tables, plots and report of what there is, also after an interruption."""
    extent, baseline = ready.extent, ready.plan.baseline
    said = f"{amount(extent)}, seed {ready.plan.seed}, in {ready.store.path}"
    tell(shown.progress, said)
    for note in ready.store.notes:
        tell(shown.progress, note, "yellow")
    with watching_run(shown.progress, extent, baseline, ready.earlier) as watcher:
        tally = ready.measure(watcher, door)
    if not ready.store.kept:
        tell(console, "Interrupted before the first trial ended: there is nothing to report.")
        return ExitCode.INVALID
    found = _reported(ready.store, console, shown)
    if tally.was_interrupted:  # not folded, as a command is to be copied
        console.print(f"Interrupted: go on with `echobench run --resume {ready.store.path}`.", soft_wrap=True)
    elif lost := ready.store.lost():
        trials = units.plural(len(lost), "trial")
        cure = f"repeat what is missing with `echobench run --resume {ready.store.path}`"
        console.print(f"{trials} lost an agent: {cure}.", soft_wrap=True)
    if found is ExitCode.REGRESSED:
        return found
    return found if tally.is_whole else ExitCode.INVALID


def _reported(store: Store, console: Console, shown: Shown) -> ExitCode:
    """Say what was measured, write what is kept of it, and return what the thresholds come to."""
    from bench.analysis.estimates.ranking import rank  # noqa: PLC0415 - pandas only after measuring
    from bench.analysis.runs import run_folder  # noqa: PLC0415 - as above
    from bench.cli import run_document, summary  # noqa: PLC0415 - as above

    run = run_folder.load(store.path, from_records=True)
    found = rank(run)
    if shown.as_json:
        put_out(f"{json.dumps(run_document.document(run, found), indent=1)}\n")
    else:
        summary.show(run, found, console)
        tell(console, summary.time_spent(store.info))
    _write_files(run, found, shown)
    run_folder.write_tables(run)  # a disk that is full by now takes nothing from what was said
    if shown.has_report:
        from bench.analysis.report import page  # noqa: PLC0415 - matplotlib only when all else is said

        tell(console, f"Report: {page.write(run, found, store.path)}")
    return summary.exit_code(run)


def _write_files(run: Run, found: Ranking, shown: Shown) -> None:
    from bench.analysis.export import render  # noqa: PLC0415 - as above
    from bench.cli import summary  # noqa: PLC0415 - as above

    if shown.junit is not None:
        (text,) = render("junit", run).values()
        write_file(shown.junit, text)
    if shown.summary is not None:
        add_to_file(shown.summary, summary.markdown(run, found))
