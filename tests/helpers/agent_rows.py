"""Rows of agents for the records of a synthetic run: each agent has its part of the trial's requests and replies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence


def shared_by(
    speeds: Mapping[str, float] | Sequence[str], *, error_ns: int = 20_000
) -> Callable[[dict[str, Any]], None]:
    """Return a change of a record: agents of these names and relative speeds shared its load, all on one host."""
    factors = dict(speeds) if isinstance(speeds, dict) else dict.fromkeys(speeds, 1.0)

    def change(record: dict[str, Any]) -> None:
        metrics = record["metrics"]
        whole = sum(factors.values())
        left = {name: metrics[name] for name in ("sent", "replies")}
        record["agents"] = []
        for number, (name, factor) in enumerate(factors.items()):
            is_last = number == len(factors) - 1
            part = {key: left[key] if is_last else int(metrics[key] * factor / whole) for key in left}
            left = {key: left[key] - part[key] for key in left}
            record["agents"].append(
                {
                    "agent": name,
                    "host": "127.0.0.1",
                    "share": f"{number}/{len(factors)}",
                    "connections": 4,
                    **part,
                    "replies_per_s": metrics["replies_per_s"] * factor / whole,
                    "response_p50_ns": metrics["response_p50_ns"] / factor,
                    "response_p99_ns": metrics["response_p99_ns"] / factor,
                    "lateness_p99_ns": None,
                    "client_cpu_s": 0.2,
                    "agent_offset_ns": -3 * number,
                    "agent_clock_error_ns": error_ns * (number + 1),
                }
            )

    return change
