"""Several trials together: servers that are launched at the same time, alive beside each other, and loaded in turn.

A server that does not start, or dies, fails its own trial only. When Ctrl-C comes, the passes that are whole are kept.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, NamedTuple

from bench.errors import ServerError
from bench.experiment.model import BlockInterrupted, Results, TrialResult
from bench.experiment.trial.block_monitor import BlockMonitor
from bench.experiment.trial.child import ChildError, bound_to
from bench.experiment.trial.process import RunningServer
from bench.experiment.trial.results import Judge, ServerDiedError, check_alive, failed, interval_lines
from bench.experiment.trial.solo import RESULT_TIMEOUT_S, START_LEAD_NS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from bench.experiment.model import Block, Trial
    from bench.experiment.trial.block_generator import BlockGenerator
    from bench.experiment.trial.early import EarlyLaunch
    from bench.experiment.trial.monitor import Usage

STRETCH = 3.0
"""A block may take so many times longer than its slices: they last until their last reply is in."""
PASSES_MIN = 5
"""Of an interrupted block: with fewer whole passes it has no trial to speak of."""

Alive = tuple["Trial", RunningServer]


def measure_together(
    block: Block, judge: Judge, generator: BlockGenerator, early: EarlyLaunch, *, stop_timeout_s: float
) -> Results:
    """Launch the servers of a block, load them in turn, and return what came of each.

    Once they have ended, the servers of the block that follows are started, while the results are still made. Raises
    BlockInterrupted, with the results of the passes that were whole, when it is interrupted under load.
    """
    started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
    load = _Load(block, generator, early.logs, judge)
    launch = early.take(block.trials)
    try:
        pairs = list(zip(block.trials, launch.listening(), strict=True))
        load.run([(trial, found) for trial, found in pairs if isinstance(found, RunningServer)])
        deaths = {trial.number: _what_ended(found) for trial, found in pairs}
    finally:
        launch.end(stop_timeout_s)
    if len(block.following) > 1 and not load.was_interrupted:
        early.begin(block.following)
    load.take_results()
    results = tuple(
        _result(trial, load, deaths[trial.number] or load.error, judge, started_at) for trial in block.trials
    )
    load.forget_log()
    if load.was_interrupted:
        raise BlockInterrupted(_worth_keeping(results))
    return results


def _what_ended(launched: RunningServer | ServerError) -> ServerError | None:
    """Return why a server did not start, or died; None if all is well."""
    if isinstance(launched, ServerError):
        return launched
    try:
        check_alive(launched)
    except ServerDiedError as death:
        return death
    return None


def _result(
    trial: Trial, load: _Load, error: ServerError | ChildError | None, judge: Judge, started_at: str
) -> TrialResult:
    """Return what came of one trial. A server that died counts as measured if it had answered every request by then."""
    found = load.loaded.get(trial.number)
    if error is not None and (found is None or found.result["errors"] or not found.result["replies"]):
        return failed(trial, error, started_at)
    assert found is not None
    hlog = load.lines_of(trial)
    return judge.result(trial, found.running, found.result, found.usage, started_at=started_at, hlog=hlog)


def _worth_keeping(results: Sequence[TrialResult]) -> Results:
    """Return the results of an interrupted block if its servers got enough passes, else none."""
    passes = min((len(result.slices) for result in results if result.slices), default=0)
    return tuple(results) if passes >= PASSES_MIN else ()


class _Loaded(NamedTuple):
    """A server that got its load: what the generator says of it, and what it used."""

    running: RunningServer
    result: Mapping[str, Any]
    usage: Usage


class _Load:
    """The load of one block: what came of it by the number of the trial, or the error that left it without any."""

    def __init__(self, block: Block, generator: BlockGenerator, logs: Path, judge: Judge) -> None:
        self._block, self._generator, self._judge = block, generator, judge
        self._hlog = logs / f"{block.trials[0].number:04}-hlog"
        self._alive: Sequence[Alive] = ()
        self._monitor: BlockMonitor | None = None
        self.loaded: dict[int, _Loaded] = {}
        self.error: ChildError | None = None
        self.was_interrupted = False

    def run(self, alive: Sequence[Alive]) -> None:
        """Load the servers that listen, in turn, until their connections have ended."""
        if not alive:
            return
        try:
            client_pid = self._generator.connect(self._asked(alive))
            monitor = BlockMonitor(
                [running.pid for _, running in alive], client_pid, self._judge.cores.server + self._judge.cores.client
            )
            with bound_to(self._judge.cores.monitor), monitor:
                self._generator.go(time.monotonic_ns() + START_LEAD_NS)
                self._wait(len(alive))
                monitor.stop()  # now: threads of a server may end with their connections
            self._generator.hang_up()
        except ChildError as error:
            self.error = error
            return
        self._alive, self._monitor = alive, monitor

    def take_results(self) -> None:
        """Take over what the generator and the monitor have of the load, if there was one."""
        if self._monitor is None:
            return
        try:
            given = self._generator.result()
        except ChildError as error:
            self.error = error
            return
        usages = self._monitor.usages(given["slicing"])
        for (trial, running), result, usage in zip(self._alive, given["servers"], usages, strict=True):
            self.loaded[trial.number] = _Loaded(running, result, usage)

    def _wait(self, servers: int) -> None:
        workload = self._block.trials[0].workload
        planned_s = servers * (workload.warmup_s + workload.duration_s)
        timeout_s = STRETCH * planned_s + servers * workload.timeout_s + RESULT_TIMEOUT_S
        try:
            self._generator.loaded(timeout_s)
        except KeyboardInterrupt:
            self.was_interrupted = True
            self._generator.interrupt()
            self._generator.loaded(workload.timeout_s + RESULT_TIMEOUT_S)

    def _asked(self, alive: Sequence[Alive]) -> dict[str, Any]:
        trial = self._block.trials[0]
        return {
            "servers": [
                {"address": running.address, "pid": running.pid, "tag": f"{trial.number:04}"}
                for trial, running in alive
            ],
            "workload": trial.workload.to_json(),
            "generator": trial.generator,
            "hlog": str(self._hlog),
        }

    def lines_of(self, trial: Trial) -> str:
        """Return the interval lines of a trial's distributions."""
        lines = interval_lines(self._hlog.read_text()).splitlines(keepends=True) if self._hlog.exists() else []
        return "".join(line for line in lines if line.startswith(f"Tag={trial.number:04}."))

    def forget_log(self) -> None:
        """Remove the log of distributions: the results have it."""
        self._hlog.unlink(missing_ok=True)
