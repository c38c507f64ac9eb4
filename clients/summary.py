"""A result in words and columns for people at a terminal. Programs read `Result.to_json` instead."""

from __future__ import annotations

import math
import textwrap
from typing import TYPE_CHECKING, Any

from clients.faults import Failure
from clients.result import KINDS, LATE_NS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from clients.result import Result

_SYN_AGAIN_NS = 1_000_000_000  # Linux sends a lost SYN again after a second
_CLOSES_PER_REPLY = 0.9  # some are still open when the window ends
_STATISTICS = {"mean": "mean", "p50": "p50", "p90": "p90", "p99": "p99", "p99.9": "p999", "max": "max"}
_UNITS_NS = (("s", 1e9), ("ms", 1e6), ("us", 1e3), ("ns", 1.0))


def duration(value_ns: float | None) -> str:
    """Return three digits with the unit that suits them; a dash for what is not known."""
    if value_ns is None:
        return "-"
    for unit, scale in _UNITS_NS:
        rounded = float(f"{value_ns / scale:.3g}")
        if abs(rounded) >= 1:
            return f"{rounded:g} {unit}"
    return f"{value_ns:.0f} ns"


def folded(lines: Iterable[str], width: int | None) -> str:
    """Return lines as one text. Those longer than the `width` of a terminal, if any, are folded between words."""
    if width is None:
        return "\n".join(lines)
    fold = textwrap.TextWrapper(width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False).fill
    return "\n".join(fold(line) if len(line) > width else line for line in lines)


def text(result: Result, target: str, width: int | None = None) -> str:
    """Return what was measured, as a few lines that fit the `width` of a terminal, if any."""
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
    lines += ["", *_times(values, [kind for kind in KINDS if workload.is_open_loop or kind != "lateness"], width)]
    for remark in _remarks(result):
        lines += ["", f"  {remark}"]
    return folded(lines, width)


def _times(values: Mapping[str, Any], kinds: Sequence[str], width: int | None) -> list[str]:
    """Return the table of times: a row for each kind, or where the terminal is too narrow for that a column."""
    rows = [["", *_STATISTICS]]
    rows += [[kind, *(duration(values[f"{kind}_{name}_ns"]) for name in _STATISTICS.values())] for kind in kinds]
    lines = [f"  {name:<12}" + "".join(f"{cell:>10}" for cell in cells) for name, *cells in rows]
    if width is None or len(lines[0]) <= width:
        return lines
    return [f"  {name:<5}" + "".join(f"{cell:>11}" for cell in cells) for name, *cells in zip(*rows, strict=True)]


def why_blank(result: Result, target: str) -> str:
    """Return in a sentence why there was no reply, and what to do. Empty if there was one, or if nobody waited for it.

    It stands in the place of a table that would have no number in it.
    """
    if result.replies or result.interrupted or result.workers_lost:
        return ""
    seen = {failure for failure, count in result.failures.items() if count}
    if ours := _our_fault(result):
        return ours
    if not result.connections_established:
        return f"nothing accepts connections at {target}: start the server first"
    only_echo = "only a server that echoes what it gets can be measured"
    if seen & {Failure.MISMATCH, Failure.SHORT_REPLY}:
        return f"{target} answered with other bytes than it was sent: {only_echo}"
    if seen & {Failure.CLOSED_EARLY, Failure.RESET}:
        return f"{target} accepted connections and hung up without a reply: wait until it serves; {only_echo}"
    return f"{target} accepted connections and sent no reply in time (--timeout, --duration): {only_echo}"


def _our_fault(result: Result) -> str:
    if result.failures[Failure.NO_LOCAL_PORT]:
        return (
            "this machine had no local port left to connect from: make fewer new connections (a lower --rate, more"
            " --requests-per-connection), wait a minute, or widen net.ipv4.ip_local_port_range"
        )
    if result.failures[Failure.NO_DESCRIPTOR]:
        return "the load generator had no descriptor left: raise the limit (ulimit -n), or use fewer connections"
    return ""


def _remarks(result: Result) -> Iterator[str]:
    """Yield what a reader of such a table should know, or do."""
    if result.interrupted and not result.replies:
        yield "interrupted before anything was measured"
        return
    if ours := _our_fault(result):
        yield ours
    if result.failures[Failure.UNSENT]:
        yield "the rate was not kept: lower it, or use more connections, or --workers if the generator's core is busy"
    if not result.is_made:
        share = result.not_made / (result.sent + result.not_made)
        yield f"{share:.0%} of the load was not made, so this is not what was asked for: exit status 4"
    if _closes_after_reply(result):
        yield "the server closes each connection after a reply: give --requests-per-connection 1"
    if (result.histograms["connect"].max_ns or 0) >= _SYN_AGAIN_NS:
        yield "connecting took a second or more, as when the server's backlog is full: call listen() with a larger one"
    if result.replies and not result.workload.is_open_loop:
        yield "closed loop: a slow server is asked less often, so these times flatter it; use --rate to see"


def _closes_after_reply(result: Result) -> bool:
    ended = result.failures[Failure.CLOSED_EARLY] + result.failures[Failure.RESET] + result.idle_closed
    return result.replies > 0 and ended >= _CLOSES_PER_REPLY * result.replies
