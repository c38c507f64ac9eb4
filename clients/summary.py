"""A result in words and columns for people at a terminal. Programs read `Result.to_json` instead."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from clients.faults import Failure
from clients.result import KINDS, LATE_NS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clients.result import Result

_UNITS_NS = (("s", 1e9), ("ms", 1e6), ("us", 1e3), ("ns", 1.0))


def duration(value_ns: float | None) -> str:
    """Return three digits with the unit that suits them; a dash for what is not known."""
    if value_ns is None:
        return "-"
    for unit, scale in _UNITS_NS:
        if abs(value_ns) >= scale:
            return f"{value_ns / scale:.3g} {unit}"
    return f"{value_ns:.0f} ns"


def text(result: Result, target: str) -> str:
    """Return what was measured, as a few lines."""
    values = result.to_json()
    workload = result.workload
    load = (
        "closed loop"
        if workload.rate_per_s is None
        else f"open loop, {workload.rate_per_s:,.0f}/s offered, {workload.arrivals} arrivals"
    )
    sizes = workload.message_sizes or f"{workload.message_bytes:,}"
    window_s = result.window_s or math.inf  # of none, nothing was used
    standing = f"{workload.connections} connections ({result.connections_established} stood)"
    lines = [
        f"{target}: {standing}, {sizes} B, pipeline {workload.pipeline}, {load}",
        "",
        f"  replies      {values['replies']:>14,}   {values['replies_per_s'] or 0:,.0f}/s over {result.window_s:.2f} s"
        + (" (interrupted)" if result.interrupted else ""),
        f"  sent         {values['sent']:>14,}   {values['in_flight']:,} in flight at the end",
        f"  generator    {result.cpu_s / window_s:>14.0%}   of a core"
        + (f", {result.spin_s / window_s:.0%} spent waiting actively" if result.spin_s else ""),
    ]
    lines += [f"  {kind:<12} {count:>14,}   failed" for kind, count in values["errors"].items()]
    if result.idle_closed:
        lines.append(
            f"  idle closed  {result.idle_closed:>14,}   connections that the server closed between two requests"
        )
    if values["late_sends"]:
        lines.append(f"  late sends   {values['late_sends']:>14,}   {duration(LATE_NS)} or more after they were due")
    if result.workers_lost:
        lines.append(f"  workers lost {result.workers_lost:>14,}   what they measured is missing from all counts")
    lines += ["", f"  {'':<12}{'mean':>10}{'p50':>10}{'p90':>10}{'p99':>10}{'p99.9':>10}{'max':>10}"]
    for kind in (kind for kind in KINDS if workload.is_open_loop or kind != "lateness"):
        cells = [values[f"{kind}_{name}_ns"] for name in ("mean", "p50", "p90", "p99", "p999", "max")]
        lines.append(f"  {kind:<12}" + "".join(f"{duration(cell):>10}" for cell in cells))
    lines += [f"\n  {remark}" for remark in _remarks(result)]
    return "\n".join(lines)


def _remarks(result: Result) -> Iterator[str]:
    """Yield what a reader of such a table should know, or do."""
    if result.interrupted and not result.replies:
        yield "interrupted before anything was measured"
    elif not result.connections_established and result.failures[Failure.REFUSED]:
        yield "nothing accepts connections there: is the server running?"
    elif result.failures[Failure.UNSENT]:
        yield "the rate was not kept: lower it, or use more connections, or --workers if the generator's core is busy"
    elif result.replies and not result.workload.is_open_loop:
        yield "closed loop: a slow server is asked less often, so these times flatter it; use --rate to see"
