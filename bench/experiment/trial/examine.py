"""What must be doubted about one trial, from its own numbers. Pure: no clock, no file, no process.

The limits are those of `bench.limits` in the column `trial`; none is kept here.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench import limits
from bench.experiment.doubts import Doubt
from bench.steadiness import drift, is_beyond

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Circumstances:
    """What is known of a trial beside its numbers.

    `ceiling_per_s` is what the generator can do at most under this workload on this machine, if that was calibrated.
    `agent_doubts` are what agents that shared the load doubt of themselves: they alone know their clocks.
    """

    cores_shared: bool = False
    was_killed: bool = False
    has_monitor_gaps: bool = False
    is_cpu_lost: bool = False
    was_stopped: bool = False
    is_server_unseen: bool = False
    is_nonconforming: bool = False
    agent_doubts: Collection[str] = ()
    ceiling_per_s: float | None = None


def doubts(
    metrics: Mapping[str, Any], timeline: Sequence[Mapping[str, Any]], known: Circumstances
) -> tuple[Doubt, ...]:
    """Return the doubts about a trial, in the order of the enumeration. A metric that is None raises none."""
    is_unseen = is_server_unseen(metrics)
    metrics = without_unseen_cpu(metrics)

    def above(name: str, limit: float) -> bool:
        value = metrics.get(name)
        return value is not None and value > limit

    found = {
        Doubt.GENERATOR_SATURATED: is_generator_saturated(metrics, known.ceiling_per_s),
        Doubt.NOT_STEADY: has_drifted(timeline),
        Doubt.CORES_SHARED: known.cores_shared,
        Doubt.STEAL: above("machine_steal_share", limits.STEAL.trial),
        Doubt.FOREIGN_CPU: above("machine_foreign_cpu_share", limits.FOREIGN_CPU.trial),
        Doubt.THROTTLED: above("machine_throttled_share", limits.THROTTLED.trial),
        Doubt.STOPPED: known.was_stopped,
        Doubt.DISTURBS: above("server_idle_cpu_share", limits.IDLE_CPU.trial),
        Doubt.LATE_SENDS: above("lateness_p99_ns", _lateness_limit_ns(metrics)) or above("errors_unsent", 0),
        Doubt.ERRORS: above("errors", limits.ERRORS.trial * (metrics.get("sent") or 0) + _unsent(metrics)),
        Doubt.CLOSES_AFTER_REPLY: closes_after_reply(metrics),
        Doubt.NO_LOCAL_PORT: above("errors_no_local_port", limits.OUR_FAULTS.trial * (metrics.get("sent") or 0)),
        Doubt.NO_DESCRIPTOR: above("errors_no_descriptor", limits.OUR_FAULTS.trial * (metrics.get("sent") or 0)),
        Doubt.SLOW_CONNECTS: (metrics.get("connect_max_ns") or 0) >= limits.SLOW_CONNECT_NS.trial,
        Doubt.DELAYED_ACK: waits_for_ack(metrics),
        Doubt.FEW_SAMPLES: metrics.get("response_p99_ns") is None,
        Doubt.CONNECTIONS_MISSING: above("connections_requested", metrics.get("connections_established") or 0),
        Doubt.NONCONFORMING: known.is_nonconforming,
        Doubt.SERVER_KILLED: known.was_killed,
        Doubt.MONITOR_GAPS: known.has_monitor_gaps,
        Doubt.SERVER_UNSEEN: is_unseen or known.is_server_unseen,
        Doubt.CLOCKS_APART: Doubt.CLOCKS_APART in known.agent_doubts,
        Doubt.AGENTS_DIFFER: Doubt.AGENTS_DIFFER in known.agent_doubts,
        Doubt.CPU_LOST: known.is_cpu_lost,
    }
    return tuple(doubt for doubt in Doubt if not doubt.of_cell and found[doubt])


def is_server_unseen(metrics: Mapping[str, Any]) -> bool:
    """Say whether replies were served by no CPU at all: then another process than the watched one served them."""
    return metrics.get("server_cpu_s") == 0 and (metrics.get("replies") or 0) > 0


def without_unseen_cpu(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return the metrics without the server's CPU if that was not seen: it is not known then, and not zero."""
    if not is_server_unseen(metrics):
        return dict(metrics)
    return {name: value for name, value in metrics.items() if not name.startswith("server_cpu_")}


def is_generator_saturated(metrics: Mapping[str, Any], ceiling_per_s: float | None) -> bool:
    """Say whether the generator, not the server, was the limit.

    Its cores must be busy, spinning for due times apart. Then the server's core must clearly not be busy, or the rate
    must be near the generator's ceiling where that is known. A rate below the ceiling acquits nobody: with replies that
    come in smaller batches, or in slices, each costs the generator more than at its calibration.
    """
    client_share = metrics.get("client_cpu_share")
    if client_share is None or client_share < limits.GENERATOR_BUSY.trial:
        return False
    server_share = metrics.get("server_cpu_share")
    if server_share is not None and server_share < limits.SERVER_BUSY.trial:
        return True
    return ceiling_per_s is not None and (
        (metrics.get("replies_per_s") or 0.0) >= limits.NEAR_CEILING.trial * ceiling_per_s
    )


def closes_after_reply(metrics: Mapping[str, Any]) -> bool:
    """Say whether the server ended about one connection for each reply, with a request open or without."""
    ended = sum(metrics.get(name) or 0 for name in ("errors_closed_early", "errors_reset", "idle_closed"))
    return ended >= limits.CLOSES.trial * (metrics.get("replies") or math.inf)


def waits_for_ack(metrics: Mapping[str, Any]) -> bool:
    """Say whether the median reply took as long as a delayed ACK, though neither side was busy."""
    served_ns = metrics.get("service_p50_ns") or 0
    busy = max(metrics.get(f"{side}_cpu_share") or 0 for side in ("client", "server"))
    return limits.DELAYED_ACK_NS.trial <= served_ns <= limits.DELAYED_ACK_END_NS.trial and busy < limits.IDLE_SIDE.trial


def has_drifted(timeline: Sequence[Mapping[str, Any]]) -> bool:
    """Say whether the last third of a window ran at another rate than the first, beyond the noise of its slices."""
    found = drift(timeline)
    return is_beyond(found.low, found.high, limits.DRIFT.trial)


def _unsent(metrics: Mapping[str, Any]) -> int:
    """Return how many of the failures are no failed requests, because none was sent: no server answers for those."""
    return metrics.get("errors_unsent") or 0


def _lateness_limit_ns(metrics: Mapping[str, Any]) -> float:
    return max(limits.LATENESS_NS.trial, limits.LATENESS.trial * (metrics.get("response_p50_ns") or 0))
