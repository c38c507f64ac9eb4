"""What came of a trial: the generator's object and the monitor's usage become a `TrialResult`. Starts nothing.

What goes wrong with a trial is its status.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.errors import ServerError
from bench.experiment import schema
from bench.experiment.doubts import Doubt
from bench.experiment.host.machine import join_cpus, parse_cpu_list
from bench.experiment.model import Status, Trial, TrialResult
from bench.experiment.trial.agents import AgentLostError, rows_of
from bench.experiment.trial.examine import Circumstances, doubts, without_unseen_cpu
from bench.metrics import ERROR_CLASSES, OUR_FAULTS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.experiment.host.machine import Cores
    from bench.experiment.trial.child import ChildError
    from bench.experiment.trial.monitor import Usage
    from bench.experiment.trial.process import RunningServer
    from clients.workload import Workload

_NUMBERS = frozenset(column.name for column in schema.TRIALS if column.dtype in {"Int64", "Float64"})
_WRONG_ECHO = ("mismatch", "short_reply")
_HANGS_UP = ("closed_early", "reset")
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
            cores_shared=self.cores.shared or (running.child is not None and self._is_beside(metrics)),
            was_killed=running.was_killed,
            has_monitor_gaps=usage.has_gaps,
            is_cpu_lost=usage.is_cpu_lost,
            was_stopped=usage.was_stopped,
            is_server_unseen=running.is_unseen,
            is_nonconforming=trial.server.name in self.nonconforming,
            ceiling_per_s=self.ceiling_per_s(trial.workload),
            agent_doubts=given.get("agent_doubts", {}),
        )
        slices = given.get("slices", ())
        if usage.are_slices_blind:
            slices = [{**one, "server_cpu_s": None} for one in slices]
        moves = slices or trial.workload.is_varying  # with the machine, which cancels; or because it was asked to
        found = doubts(metrics, () if moves else given["timeline"], known)
        metrics = without_unseen_cpu(metrics)
        metrics["throughput_is_lower_bound"] = Doubt.GENERATOR_SATURATED in found
        metrics["client_cpus"] = join_cpus(self.cores.client)
        status, detail = ending(given, running)
        detail = "; ".join([*filter(None, [detail]), *given.get("agent_doubts", {}).values()])
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
            agents=rows_of(given),
            hlog=hlog,
        )

    def _is_beside(self, metrics: Mapping[str, Any]) -> bool:
        """Whether the server was seen to be bound to a CPU of the generator, which it may have chosen itself."""
        return not set(parse_cpu_list(metrics.get("server_cpus", ""))).isdisjoint(self.cores.client)


def failed(trial: Trial, error: ServerError | ChildError, started_at: str) -> TrialResult:
    """Return the result of a trial that an error ended."""
    if isinstance(error, ServerDiedError):
        status = Status.SERVER_DIED
    elif isinstance(error, AgentLostError):
        status = Status.AGENT_LOST
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
        return _without_replies(running.server.name, result["errors"], errors, tail)
    return Status.MEASURED, ""


def _without_replies(name: str, counts: Mapping[str, int], errors: str, tail: str) -> tuple[Status, str]:
    """Return how a trial ended that had no reply, and what to do if that is known."""
    ours = [doubt for doubt in (Doubt.NO_LOCAL_PORT, Doubt.NO_DESCRIPTOR) if counts.get(doubt.replace("-", "_"))]
    if ours and set(counts) <= set(OUR_FAULTS):
        return Status.GENERATOR_FAILED, f"no connection to {name} was made: {ours[0].advice}"
    if counts and set(counts) <= set(_HANGS_UP):
        hint = (
            "it accepted connections and hung up before it served: if something else accepts for it until it is ready,"
            ' have it print READY HOST PORT when it serves, and wait for that (ready = "line", --ready line)'
        )
        return Status.NO_REPLIES, f"{name} gave no reply in the window: {errors}; {hint}{tail}"
    return Status.NO_REPLIES, f"{name} gave no reply in the window: {errors or 'no errors'}{tail}"


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
    metrics["errors"] = sum(errors.get(name, 0) for name in ERROR_CLASSES)
    metrics |= {f"errors_{name}": errors.get(name, 0) for name in (*ERROR_CLASSES, *OUR_FAULTS)}
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
