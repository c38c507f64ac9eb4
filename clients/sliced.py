"""What the slices of a block come to: a result for each server, as that of a load of its own, and a row for each slice.

Counts and distributions are pooled over the slices of a server. Percentiles come after pooling. Knows no socket.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from clients.faults import Failure, of_server
from clients.histogram import Histogram
from clients.result import KINDS, Interval, Result, side_by_side

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clients.block import Opened, SliceRecord
    from clients.hlog import IntervalLog
    from clients.recorder import Durations
    from clients.workload import Workload

_TIMELINE_LENGTH = 100


class Sliced(NamedTuple):
    """One server of a block: its result, its slices as rows, and its share of a core while others had their turn.

    `server_cpu_s` is what it used in its slices. None is what could not be read.
    """

    result: Result
    slices: list[dict[str, Any]]
    server_cpu_s: float | None
    server_idle_cpu_share: float | None

    def to_json(self) -> dict[str, Any]:
        """Return the object that one server of a block is printed as."""
        return {
            **self.result.to_json(),
            "server_cpu_s": self.server_cpu_s,
            "server_idle_cpu_share": self.server_idle_cpu_share,
            "slices": self.slices,
        }


def sliced(server: int, workload: Workload, opened: Opened, records: Sequence[SliceRecord]) -> Sliced:
    """Return what a server's slices gave, out of all `records` of the block."""
    own = [record for record in records if record.slot.server == server]
    block_begin_ns = records[0].begin_ns if records else 0
    return Sliced(
        result=_result(workload, opened, own),
        slices=[_row(record, block_begin_ns) for record in own],
        server_cpu_s=_sum_s([record.server_cpu_ns for record in own]),
        server_idle_cpu_share=_share(own),
    )


def write_log(log: IntervalLog, found: Sliced, since_epoch_s: float) -> None:
    """Write the distributions of a server's whole block as one interval of an HDR log."""
    result = found.result
    if result.replies:
        log.write(since_epoch_s, result.window_s, side_by_side(result.workload, result.histograms))


def _result(workload: Workload, opened: Opened, own: Sequence[SliceRecord]) -> Result:
    result = Result(workload=workload, connections_established=opened.established)
    result.failures = sum((record.recorded.failures for record in own), Counter(opened.recorded.failures))
    result.sent = sum(record.counts.sent for record in own)
    result.failed = sum(record.counts.failed for record in own)
    result.idle_closed = sum(record.counts.idle_closed for record in own)
    result.due = result.sent + result.failures[Failure.UNSENT]
    result.cpu_s = sum(record.client_cpu_ns for record in own) / 1e9
    result.spin_s = sum(record.spun_ns for record in own) / 1e9
    result.loaded_ns = sum(record.end_ns - record.begin_ns for record in own)
    if own:
        result.window_start_ns, result.window_end_ns = own[0].begin_ns, own[-1].end_ns
    for kind in KINDS:
        result.histograms[kind].add(_pooled(kind, opened, own))
    result.timeline = _timeline(own)
    return result


def _pooled(kind: str, opened: Opened, own: Sequence[SliceRecord]) -> Durations:
    before = [opened.recorded.durations(kind)] if kind == "connect" else []
    return np.concatenate([*before, *(record.recorded.durations(kind) for record in own), np.empty(0, np.int64)])


def _timeline(own: Sequence[SliceRecord]) -> list[Interval]:
    """Return the slices as the course of the load over its own time, joined so far that memory does not grow."""
    joined = -(-len(own) // _TIMELINE_LENGTH)
    timeline, at_ns = [], 0
    for first in range(0, len(own), max(1, joined)):
        part = own[first : first + joined]
        response, length_ns = Histogram(), sum(record.end_ns - record.begin_ns for record in part)
        for record in part:
            response.add(record.recorded.durations("response"))
        errors = sum(of_server(record.recorded.failures) for record in part)
        timeline.append(Interval(at_ns, length_ns, errors, response.compact()))
        at_ns += length_ns
    return timeline


def _row(record: SliceRecord, block_begin_ns: int) -> dict[str, Any]:
    response = record.recorded.durations("response")
    return {
        "pass": record.slot.pass_number,
        "at_s": (record.begin_ns - block_begin_ns) / 1e9,
        "slice_s": (record.end_ns - record.begin_ns) / 1e9,
        "replies": record.counts.answered,
        "server_cpu_s": None if record.server_cpu_ns is None else record.server_cpu_ns / 1e9,
        "response_p50_ns": float(np.median(response)) if response.size else None,
        "errors": of_server(record.recorded.failures),
    }


def _sum_s(parts_ns: Sequence[int | None]) -> float | None:
    known = [part for part in parts_ns if part is not None]
    return sum(known) / 1e9 if known and len(known) == len(parts_ns) else None


def _share(own: Sequence[SliceRecord]) -> float | None:
    """Return the share of a core that a server used while it was not its turn."""
    seen = [(record.idle_ns, record.idle_cpu_ns) for record in own if record.idle_cpu_ns is not None]
    idle_ns = sum(idle for idle, _ in seen)
    return sum(cpu for _, cpu in seen) / idle_ns if idle_ns else None
