"""How far an experiment is: a bar with the time left on a terminal, and lines elsewhere. Nothing is changed here.

Every command that measures is watched from here, but for `run` on a terminal, which has a screen: `bench/cli/screen`.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from bench import units
from bench.cli.terminal import can_draw, tell
from bench.experiment.model import Block, News, Status, TrialResult
from bench.text import cut

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from bench.experiment.drive import Watcher


REFRESHES_PER_S = 2
"""Few, because drawing takes CPU time from the trial that is being measured."""


BAR_COLUMNS = 80
"""Narrower terminals are shown no bar, but numbers alone, none of which is cut."""

SPEED_PERIOD_S = 600.0
"""The time left is estimated from the trials of this many last seconds."""


def line_of(result: TrialResult) -> str:
    """Say in a few words what a trial gave."""
    name = f"{result.trial.server.name} {result.trial.workload_name}"
    if result.status is not Status.MEASURED:
        return f"{name}: {result.status}: {' … '.join(map(cut, first_and_last(result.detail.splitlines())))}"
    doubts = f" ({', '.join(result.doubts)})" if result.doubts else ""
    return f"{name}: {units.rate(result.metrics['replies_per_s'])}{doubts}"


def first_and_last(lines: Sequence[str]) -> Sequence[str]:
    """Return what failed, and the last line of the log that comes with it, if one does."""
    return [lines[0], lines[-1].removeprefix("  | ")] if len(lines) > 1 else lines


class Lines:
    """Prints the news, and a line for each trial that ended, or with `only_failures` for those that failed."""

    def __init__(self, console: Console, trials: int | None, *, only_failures: bool) -> None:
        self._console = console
        self._trials = trials
        self._only_failures = only_failures
        self._ended = 0

    def began(self, block: Block) -> None:
        """Say nothing."""

    def ended(self, result: TrialResult) -> None:
        """Print what the trial gave. A gap is not counted among the trials."""
        line = line_of(result)
        if result.trial.round:
            self._ended += 1
            line = f"[{self._ended}/{self._trials}] {line}" if self._trials else line
        if not (self._only_failures and result.status is Status.MEASURED):
            tell(self._console, line)

    def told(self, news: News) -> None:
        """Print the news."""
        self._trials = news.trials or self._trials
        for line in news.lines:
            tell(self._console, line)


class Bar:
    """A bar, and above it the news and the trials that failed."""

    def __init__(self, progress: Progress, task: TaskID) -> None:
        self._progress = progress
        self._task = task

    def began(self, block: Block) -> None:
        """Show what is being measured."""
        names = dict.fromkeys(trial.server.name for trial in block.trials)
        described = f"{', '.join(names)} {block.trials[0].workload_name}"
        self._progress.update(self._task, description=described)

    def ended(self, result: TrialResult) -> None:
        """Advance. A trial that should have been measured and was not is reported at once."""
        if result.trial.round:
            self._progress.advance(self._task)
        if result.status not in {Status.MEASURED, Status.SKIPPED}:
            tell(self._progress.console, line_of(result), "red")

    def told(self, news: News) -> None:
        """Print the news, and learn how many trials there will be."""
        if news.trials is not None:
            self._progress.update(self._task, total=news.trials)
        for line in news.lines:
            tell(self._progress.console, line)


@contextmanager
def watching(console: Console, trials: int | None = None, *, only_failures: bool = False) -> Iterator[Watcher]:
    """Yield a watcher of an experiment of `trials` trials: a bar if the console can be drawn on, and else lines.

    Each trial has a line, or with `only_failures` each trial that failed.
    """
    if not can_draw(console):
        yield Lines(console, trials, only_failures=only_failures)
        return
    left = (TextColumn("left:"), TimeRemainingColumn())
    about = TextColumn("{task.description}", markup=False)
    counted = MofNCompleteColumn()
    is_narrow = console.width < BAR_COLUMNS
    columns = (counted, *left) if is_narrow else (BarColumn(), counted, TimeElapsedColumn(), *left, about)
    progress = Progress(
        *columns,
        console=console,
        transient=True,
        speed_estimate_period=SPEED_PERIOD_S,
        refresh_per_second=REFRESHES_PER_S,
    )
    with progress:
        yield Bar(progress, progress.add_task("", total=trials))
