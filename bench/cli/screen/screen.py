"""The screen of a run on a terminal, drawn when a block is about to begin. What it shows is made elsewhere."""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from rich.live import Live

from bench.cli.progress import Lines, line_of
from bench.cli.screen.keys import quitting
from bench.cli.screen.picture import Size, picture
from bench.cli.screen.seen import Seen
from bench.cli.terminal import can_draw, tell
from bench.experiment.model import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rich.console import Console

    from bench.experiment.drive import Watcher
    from bench.experiment.model import Block, News, TrialResult
    from bench.experiment.planning.extent import Extent
    from bench.experiment.precision import Measured


class Screen:
    """Draws what was seen between two blocks. Failures and news stay above it, and what is below is drawn over."""

    def __init__(self, live: Live, seen: Seen, ends: str) -> None:
        self._live, self._seen, self._ends = live, seen, ends

    def began(self, block: Block) -> None:
        """Draw, before the servers of the block are launched. Nothing is drawn until it has ended."""
        self._seen.began(block)
        now = datetime.now().astimezone()
        width, height = self._live.console.size
        size = Size(width, height - 1)  # Live ends with a new line, and could not erase what that pushes out at the top
        drawn = picture(self._seen, size, now, ends=self._ends)
        self._live.update(drawn, refresh=True)

    def ended(self, result: TrialResult) -> None:
        """Take note. A trial that should have been measured and was not is reported at once."""
        self._seen.ended(result)
        if result.status not in {Status.MEASURED, Status.SKIPPED}:
            tell(self._live.console, line_of(result), "red")

    def told(self, news: News) -> None:
        """Print the news."""
        for line in news.lines:
            tell(self._live.console, line)


@contextmanager
def watching_run(
    console: Console, extent: Extent, baseline: str | None = None, earlier: Sequence[Sequence[Measured]] = ()
) -> Iterator[Watcher]:
    """Yield the watcher of a run: a screen on a terminal that can draw and may have colours, and else lines.

    Ratios are to the `baseline`, and begin with those of the blocks that were measured `earlier`.
    """
    if console.quiet or not can_draw(console):
        yield Lines(console, extent.trials, only_failures=False)
        return
    import bench.stats  # noqa: F401, PLC0415 - scipy takes long to load: now, and not between two blocks

    with Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop") as live, quitting() as q:
        console.show_cursor()  # nothing that needs it hidden moves, and after SIGHUP nothing could show it again
        seen = Seen(extent, time.monotonic, baseline=baseline, earlier=earlier)
        yield Screen(live, seen, ends="q or Ctrl-C" if q else "Ctrl-C")
