"""The screen of a run on a terminal, drawn when a block is about to begin. What it shows is made elsewhere."""

from __future__ import annotations

import time
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING

from rich.live import Live

from bench.cli.plan_words import OVERHEAD_S
from bench.cli.progress import Lines, line_of
from bench.cli.screen.keys import quitting
from bench.cli.screen.picture import Size, picture
from bench.cli.screen.seen import Extent, Seen
from bench.cli.terminal import can_draw
from bench.experiment.model import Status

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from bench.experiment.campaign import Campaign
    from bench.experiment.drive import Watcher
    from bench.experiment.model import Block, News, TrialResult


class Screen:
    """Draws what was seen between two blocks. Failures and news stay above it, and what is below is drawn over."""

    def __init__(self, live: Live, seen: Seen, ends: str) -> None:
        self._live, self._seen, self._ends = live, seen, ends

    def began(self, block: Block) -> None:
        """Draw, before the servers of the block are launched. Nothing is drawn until it has ended."""
        self._seen.began(block)
        now = datetime.now().astimezone()
        drawn = picture(self._seen, Size(*self._live.console.size), now, ends=self._ends)
        self._live.update(drawn, refresh=True)

    def ended(self, result: TrialResult) -> None:
        """Take note. A trial that should have been measured and was not is reported at once."""
        self._seen.ended(result)
        if result.status not in {Status.MEASURED, Status.SKIPPED}:
            self._live.console.print(line_of(result), style="red", markup=False)

    def told(self, news: News) -> None:
        """Print the news."""
        for line in news.lines:
            self._live.console.print(line, highlight=False, markup=False, soft_wrap=True)


@contextmanager
def watching_run(console: Console, ready: Campaign) -> Iterator[Watcher]:
    """Yield the watcher of a run: a screen on a terminal that can draw and may have colours, and else lines."""
    if console.quiet or not can_draw(console):
        yield Lines(console, ready.left, only_failures=False)
        return
    import bench.stats  # noqa: F401, PLC0415 - scipy takes long to load: now, and not between two blocks

    with Live(console=console, auto_refresh=False, transient=True, vertical_overflow="crop") as live, quitting() as q:
        console.show_cursor()  # nothing that needs it hidden moves, and after SIGHUP nothing could show it again
        yield Screen(live, _to_be_seen(ready), ends="q or Ctrl-C" if q else "Ctrl-C")


def _to_be_seen(ready: Campaign) -> Seen:
    """Return the state in which a run begins."""
    plan = ready.plan
    gaps = {gap.trial.cell for gap in plan.gaps()}
    servers: dict[str, list[str]] = {}
    for server, named in plan.cells():
        if (server.name, named.name) not in gaps:
            servers.setdefault(named.name, []).append(server.name)
    limit_s = None if plan.minutes is None else 60 * plan.minutes
    extent = Extent(limit_s=limit_s)
    if ready.left is not None:
        left = [trial.workload for trial in plan.trials() if trial.number not in ready.done]
        loads_s = sum(workload.warmup_s + workload.duration_s for workload in left)
        expected_s = loads_s + OVERHEAD_S * len(left)
        extent = Extent(trials=len(left), loads_s=loads_s, expected_s=expected_s, limit_s=limit_s)
    earlier = ready.earlier() if ready.done else ()
    return Seen(servers, extent, time.monotonic, baseline=plan.baseline, earlier=earlier)
