"""One trial on this machine: a fresh server, the load generator, the monitor, and what came of it.

This is the live `model.Measure`, and `live_bench` is the only place that makes one. What goes wrong with a trial is its
status, not an exception. Only an interrupt and a fault of our own are raised.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import ServerError
from bench.experiment import schema
from bench.experiment.doubts import Doubt
from bench.experiment.host import machine
from bench.experiment.host.machine import join_cpus
from bench.experiment.model import Status, Trial, TrialResult
from bench.experiment.planning.catalog import ROOT
from bench.experiment.trial.child import STOP_TIMEOUT_S, Child, ChildError, bound_to
from bench.experiment.trial.examine import Circumstances, doubts, without_unseen_cpu
from bench.experiment.trial.monitor import Monitor, Usage
from bench.experiment.trial.process import RunningServer, launch
from bench.metrics import ERROR_CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bench.experiment.host.machine import Cores
    from bench.experiment.model import Block, Results
    from clients.workload import Workload

CONNECT_TIMEOUT_S = 60.0
RESULT_TIMEOUT_S = 30.0
START_LEAD_NS = 5_000_000
"""From the word to go to the start: for the generator to read it."""

_NUMBERS = frozenset(column.name for column in schema.TRIALS if column.dtype in {"Int64", "Float64"})
_WRONG_ECHO = ("mismatch", "short_reply")


def _not_calibrated(_workload: Workload) -> float | None:
    return None


@contextmanager
def live_bench(
    *,
    logs: Path | None = None,
    workers: int = 1,
    nonconforming: frozenset[str] = frozenset(),
    ceiling_per_s: Callable[[Workload], float | None] = _not_calibrated,
) -> Iterator[LiveBench]:
    """Yield the bench of this machine: the door of every command that measures.

    Its cores are what the affinity, the SMT siblings and the quota of the cgroup leave to each side. Without `logs` the
    logs of the trials go into a folder that is removed at the end, because the results quote what matters of them.
    """
    with tempfile.TemporaryDirectory(prefix="echobench-") as folder:
        yield LiveBench(
            logs=logs or Path(folder),
            cores=machine.cores(workers),
            workers=workers,
            nonconforming=nonconforming,
            ceiling_per_s=ceiling_per_s,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveBench:
    """Measures blocks: `bench(block)` is their results. Each trial leaves two logs in the folder `logs`.

    `ceiling_per_s` tells what the generator can do at most under a workload, in replies/s, where that was calibrated.
    `nonconforming` names the servers that failed their conformance check and are measured all the same. A server has
    `stop_timeout_s` to end when it is told to.
    """

    logs: Path
    cores: Cores
    workers: int = 1
    ceiling_per_s: Callable[[Workload], float | None] = _not_calibrated
    nonconforming: frozenset[str] = frozenset()
    stop_timeout_s: float = STOP_TIMEOUT_S

    def __call__(self, block: Block) -> Results:
        """Measure the trials of a block."""
        return tuple(self._trial(trial) for trial in block.trials)

    def _trial(self, trial: Trial) -> TrialResult:
        started_at = datetime.now(UTC).isoformat(timespec="milliseconds")
        log, hlog = self._log(trial, "server.log"), self._log(trial, "hlog")
        try:
            with launch(
                trial.server,
                log=log,
                seed=trial.workload.seed,
                cpus=self.cores.server,
                stop_timeout_s=self.stop_timeout_s,
            ) as running:
                result, usage = self._load(trial, running)
        except (ServerError, ChildError) as error:
            hlog.unlink(missing_ok=True)
            return TrialResult(trial=trial, status=_status_of(error), detail=str(error), started_at=started_at)
        lines = interval_lines(hlog.read_text())
        hlog.unlink()
        return self._judged(trial, running, result, usage, started_at=started_at, hlog=lines)

    def _log(self, trial: Trial, name: str) -> Path:
        return self.logs / f"{trial.number:04}-{name}"

    def _load(self, trial: Trial, running: RunningServer) -> tuple[dict[str, Any], Usage]:
        """Run the generator against the server that listens. Raise ServerDiedError or ChildError, by who failed."""
        try:
            given = self._coordinate(trial, running)
        except ChildError:
            _check_alive(running)
            raise
        _check_alive(running)
        return given

    def _coordinate(self, trial: Trial, running: RunningServer) -> tuple[dict[str, Any], Usage]:
        workload = trial.workload
        with Child(
            generator_command(trial, running.address, self._log(trial, "hlog"), workers=self.workers),
            log=self._log(trial, "client.log"),
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            cpus=self.cores.client,
            stdin=True,
            stop_signal=signal.SIGINT,
        ) as generator:
            if generator.read_line(time.monotonic() + CONNECT_TIMEOUT_S) is None:
                raise ChildError(f"the load generator did not connect; {generator.log_tail()}")
            start_ns = time.monotonic_ns() + START_LEAD_NS
            generator.write_line(f"GO {start_ns}")
            window_start_ns = start_ns + round(workload.warmup_s * 1e9)
            window_ns = (window_start_ns, window_start_ns + round(workload.duration_s * 1e9))
            watched = self.cores.server + self.cores.client
            # On the generator's core, each look of the monitor would be a pause in which requests fall due.
            with (
                bound_to(self.cores.spare or self.cores.server),
                Monitor(running.pid, generator.pid, window_ns, watched) as monitor,
            ):
                line = generator.read_line(window_ns[1] / 1e9 + workload.timeout_s + RESULT_TIMEOUT_S)
                if line is None:
                    raise ChildError(f"the load generator gave no result; {generator.log_tail()}")
                usage = monitor.result()
            generator.ended_within(RESULT_TIMEOUT_S)  # it has files of its own to remove
        return json.loads(line), usage

    def _judged(
        self,
        trial: Trial,
        running: RunningServer,
        result: Mapping[str, Any],
        usage: Usage,
        *,
        started_at: str,
        hlog: str,
    ) -> TrialResult:
        metrics = trial_metrics(result, usage)
        known = Circumstances(
            cores_shared=self.cores.shared,
            was_killed=running.was_killed,
            has_monitor_gaps=usage.has_gaps,
            is_nonconforming=trial.server.name in self.nonconforming,
            ceiling_per_s=self.ceiling_per_s(trial.workload),
        )
        found = doubts(metrics, result["timeline"], known)
        metrics = without_unseen_cpu(metrics)
        metrics["throughput_is_lower_bound"] = Doubt.GENERATOR_SATURATED in found
        metrics["client_cpus"] = join_cpus(self.cores.client)
        metrics["server_cpus"] = join_cpus(self.cores.server) if running.child is not None else None
        status, detail = verdict(result, running)
        return TrialResult(
            trial=trial,
            status=status,
            detail=detail,
            started_at=started_at,
            metrics=metrics,
            doubts=found,
            timeline=tuple(result["timeline"]),
            samples=usage.samples,
            hlog=hlog,
        )


class ServerDiedError(ServerError):
    """A server that listened ended before it was told to."""


def _check_alive(running: RunningServer) -> None:
    if running.has_died:
        assert running.child is not None
        raise ServerDiedError(
            f"{running.server.name} {running.child.how_it_ended} in mid-trial; {running.child.log_tail()}"
        )


def _status_of(error: ServerError | ChildError) -> Status:
    if isinstance(error, ServerDiedError):
        return Status.SERVER_DIED
    return Status.NOT_READY if isinstance(error, ServerError) else Status.GENERATOR_FAILED


def verdict(result: Mapping[str, Any], running: RunningServer) -> tuple[Status, str]:
    """Return how a trial ended whose server and generator both came through, and why in a sentence."""
    errors = ", ".join(f"{count} {kind.replace('_', ' ')}" for kind, count in result["errors"].items())
    tail = f"; {running.child.log_tail()}" if running.child is not None else ""
    if any(result["errors"].get(kind) for kind in _WRONG_ECHO):
        return Status.WRONG_ECHO, f"{running.server.name} echoed other bytes than it was sent: {errors}{tail}"
    if result["workers_lost"]:
        return Status.GENERATOR_FAILED, f"{result['workers_lost']} workers of the load generator died"
    if not result["replies"]:
        return Status.NO_REPLIES, f"{running.server.name} gave no reply in the window: {errors or 'no errors'}{tail}"
    return Status.MEASURED, ""


def trial_metrics(result: Mapping[str, Any], usage: Usage) -> dict[str, Any]:
    """Return the metrics of a trial by column: the generator's, the monitor's, and what takes both."""
    errors: Mapping[str, int] = result["errors"]
    metrics = {name: value for name, value in result.items() if name in _NUMBERS and value is not None}
    metrics |= {name: value for name, value in usage.metrics.items() if value is not None}
    metrics["errors"] = sum(errors.values())
    metrics |= {f"errors_{name}": errors.get(name, 0) for name in ERROR_CLASSES}
    if result["window_s"]:
        busy_s = result["client_cpu_s"] - result["client_spin_s"]
        metrics["client_cpu_share"] = busy_s / result["window_s"] / max(1, result["workers"])
    if result["replies_per_s"] and "server_cpu_share" in metrics:
        metrics["server_cpu_us_per_reply"] = 1e6 * metrics["server_cpu_share"] / result["replies_per_s"]
    return metrics


def generator_command(trial: Trial, address: str, hlog: Path, *, workers: int = 1) -> list[str]:
    """Return the command of the load generator for a trial; a worker without a connection would have nothing to do."""
    workers = min(workers, trial.workload.connections)
    load = [address, "--workload", json.dumps(trial.workload.to_json()), "--workers", str(workers)]
    if trial.generator == "reference":
        load.append("--reference")
    out = ["--coordinated", "--json", "--hlog", str(hlog), "--tag", f"{trial.number:04}"]
    return [sys.executable, "-P", "-m", "clients", *load, *out]


def interval_lines(text: str) -> str:
    """Return the interval lines of an HDR log, without what opens it."""
    return "".join(line for line in text.splitlines(keepends=True) if line.startswith("Tag="))
