"""What came of a trial: the generator's object and the monitor's usage become a `TrialResult`. Starts nothing.

What goes wrong with a trial is its status.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.errors import ServerError
from bench.experiment import schema
from bench.experiment.doubts import Doubt
from bench.experiment.host.machine import join_cpus
from bench.experiment.model import Status, Trial, TrialResult
from bench.experiment.trial.examine import Circumstances, doubts, without_unseen_cpu
from bench.metrics import ERROR_CLASSES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.experiment.host.machine import Cores
    from bench.experiment.trial.child import ChildError
    from bench.experiment.trial.monitor import Usage
    from bench.experiment.trial.process import RunningServer
    from clients.workload import Workload

_NUMBERS = frozenset(column.name for column in schema.TRIALS if column.dtype in {"Int64", "Float64"})
_WRONG_ECHO = ("mismatch", "short_reply")
_PER_REPLY = {
    "server_ctx_voluntary": ("server_ctx_voluntary_per_reply", 1.0),
    "server_ctx_involuntary": ("server_ctx_involuntary_per_reply", 1.0),
    "server_minor_faults": ("server_minor_faults_per_reply", 1.0),
    "server_runqueue_wait_ns": ("server_runqueue_wait_us_per_reply", 1e-3),
}


class ServerDiedError(ServerError):
    """A server that listened ended before it was told to."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judge:
    """What a bench knows of its trials before they are measured: see `LiveBench`, whose fields these are."""

    cores: Cores
    ceiling_per_s: Callable[[Workload], float | None]
    nonconforming: frozenset[str]

    def result(
        self,
        trial: Trial,
        running: RunningServer,
        given: Mapping[str, Any],
        usage: Usage,
        *,
        started_at: str,
        hlog: str,
    ) -> TrialResult:
        """Return the result of a trial of which the generator gave the object `given`, after its server was stopped."""
        metrics = trial_metrics(given, usage)
        known = Circumstances(
            cores_shared=self.cores.shared,
            was_killed=running.was_killed,
            has_monitor_gaps=usage.has_gaps,
            is_cpu_lost=usage.is_cpu_lost,
            is_nonconforming=trial.server.name in self.nonconforming,
            ceiling_per_s=self.ceiling_per_s(trial.workload),
        )
        slices = given.get("slices", ())
        if usage.are_slices_blind:
            slices = [{**one, "server_cpu_s": None} for one in slices]
        moves = slices or trial.workload.is_varying  # with the machine, which cancels; or because it was asked to
        found = doubts(metrics, () if moves else given["timeline"], known)
        metrics = without_unseen_cpu(metrics)
        metrics["throughput_is_lower_bound"] = Doubt.GENERATOR_SATURATED in found
        metrics["client_cpus"] = join_cpus(self.cores.client)
        metrics["server_cpus"] = join_cpus(self.cores.server) if running.child is not None else None
        status, detail = ending(given, running)
        return TrialResult(
            trial=trial,
            status=status,
            detail=detail,
            started_at=started_at,
            metrics=metrics,
            doubts=found,
            timeline=tuple(given["timeline"]),
            samples=usage.samples,
            slices=tuple(slices),
            hlog=hlog,
        )


def failed(trial: Trial, error: ServerError | ChildError, started_at: str) -> TrialResult:
    """Return the result of a trial that an error ended."""
    if isinstance(error, ServerDiedError):
        status = Status.SERVER_DIED
    else:
        status = Status.NOT_READY if isinstance(error, ServerError) else Status.GENERATOR_FAILED
    return TrialResult(trial=trial, status=status, detail=str(error), started_at=started_at)


def check_alive(running: RunningServer) -> None:
    """Raise ServerDiedError if a server of ours has ended."""
    if running.has_died:
        assert running.child is not None
        raise ServerDiedError(
            f"{running.server.name} {running.child.how_it_ended} in mid-trial; {running.child.log_tail()}"
        )


def ending(result: Mapping[str, Any], running: RunningServer) -> tuple[Status, str]:
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
    if usage.is_cpu_lost or usage.are_slices_blind:
        metrics.pop("server_idle_cpu_share", None)
    if usage.is_cpu_lost:
        metrics.pop("server_cpu_s", None)
    if "server_cpu_s" in result and "server_cpu_s" in metrics and result["window_s"]:  # of a block, which has no share
        metrics["server_cpu_share"] = metrics["server_cpu_s"] / result["window_s"]
    metrics["errors"] = sum(errors.values())
    metrics |= {f"errors_{name}": errors.get(name, 0) for name in ERROR_CLASSES}
    if result["window_s"]:
        busy_s = result["client_cpu_s"] - result["client_spin_s"]
        metrics["client_cpu_share"] = busy_s / result["window_s"] / max(1, result["workers"])
    if result["replies_per_s"] and "server_cpu_share" in metrics:
        metrics["server_cpu_us_per_reply"] = 1e6 * metrics["server_cpu_share"] / result["replies_per_s"]
    if result["replies"]:
        for name, (per_reply, factor) in _PER_REPLY.items():
            if name in metrics:
                metrics[per_reply] = factor * metrics[name] / result["replies"]
    return metrics


def interval_lines(text: str) -> str:
    """Return the interval lines of an HDR log, without what opens it."""
    return "".join(line for line in text.splitlines(keepends=True) if line.startswith("Tag="))
