"""What a load gave: counts and distributions that add up over workers. Percentiles are taken after adding.

`to_wire` and `from_wire` carry a result between processes as JSON. `to_json` is the object that `python -m clients
--json` prints. Nothing that opens a socket or reads a clock may be added here.
"""

from __future__ import annotations

import platform
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any, Self

from clients.faults import OURS, Failure
from clients.histogram import Compact, Histogram
from clients.workload import Workload

KINDS = ("response", "service", "lateness", "connect")
LATE_NS = 1_000_000
"""A request that was sent so long after it was due, or longer, was caught up."""

NOT_MADE_MAX = 0.01
"""Of what was asked for. A request or two may wait at the end of a window that kept its rate."""


def side_by_side(workload: Workload, recorded: dict[str, Histogram]) -> dict[str, Histogram]:
    """Return the distributions of every kind: in a closed loop, service times are the response times."""
    return recorded if workload.is_open_loop else {**recorded, "service": recorded["response"]}


@dataclass(slots=True)
class Interval:
    """Replies and failures of one stretch of the window; times in ns since the window began."""

    at_ns: int
    length_ns: int
    errors: int
    response: Compact

    def merge(self, other: Self) -> None:
        """Add the same stretch of another worker."""
        self.errors += other.errors
        response = Histogram.expand(self.response)
        response.merge(Histogram.expand(other.response))
        self.response = response.compact()

    def to_json(self) -> dict[str, Any]:
        """Return the interval as the columns of a timeline."""
        response = Histogram.expand(self.response)
        return {
            "at_s": self.at_ns / 1e9,
            "slice_s": self.length_ns / 1e9,
            "replies": response.count,
            "errors": self.errors,
            "response_p50_ns": response.percentile_ns(0.5),
            "response_p99_ns": response.percentile_ns(0.99),
        }


@dataclass(slots=True, kw_only=True)
class Result:
    """One worker's result, or several workers' added up.

    `sent` counts the requests open during the window: sent in it, or sent before and not yet answered when it began, so
    that sent = replies + failed + in_flight. `failures` also holds what has no request: refused, unsent. `idle_closed`
    counts connections that the server closed with no request open; that is no failure. `told_late_ns` is how long after
    the start the last worker heard of it, 0 if in time.
    """

    workload: Workload
    window_start_ns: int = 0
    window_end_ns: int = 0
    loaded_ns: int | None = None
    told_late_ns: int = 0
    sent: int = 0
    failed: int = 0
    in_flight: int = 0
    due: int = 0
    idle_closed: int = 0
    connections_established: int = 0
    cpu_s: float = 0.0
    spin_s: float = 0.0
    workers: int = 1
    workers_lost: int = 0
    interrupted: bool = False
    failures: Counter[Failure] = field(default_factory=Counter)
    histograms: dict[str, Histogram] = field(default_factory=lambda: {kind: Histogram() for kind in KINDS})
    timeline: list[Interval] = field(default_factory=list)

    @property
    def replies(self) -> int:
        """Correct replies in the window."""
        return self.histograms["response"].count

    @property
    def window_s(self) -> float:
        """Seconds measured: those of the window, or of a block's slices for this server."""
        whole_ns = self.window_end_ns - self.window_start_ns
        return (whole_ns if self.loaded_ns is None else self.loaded_ns) / 1e9

    def merge(self, other: Self) -> None:
        """Add another worker's result; the window is the longest that any worker measured."""
        for kind in KINDS:
            self.histograms[kind].merge(other.histograms[kind])
        self.failures.update(other.failures)
        for name in _SUMS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.interrupted |= other.interrupted
        self.told_late_ns = max(self.told_late_ns, other.told_late_ns)
        # A worker that was interrupted too soon has no window.
        measured = [one for one in (self, other) if one.window_end_ns]
        start_ns = min((one.window_start_ns for one in measured), default=0)
        moved = [interval for one in measured for interval in one.timeline_since(start_ns)]
        self.window_start_ns = start_ns
        self.window_end_ns = max(self.window_end_ns, other.window_end_ns)
        timeline: list[Interval] = []
        for interval in sorted(moved, key=lambda interval: interval.at_ns):
            if timeline and interval.at_ns - timeline[-1].at_ns < timeline[-1].length_ns // 2:
                timeline[-1].merge(interval)
            else:  # workers cut the window at the same planned times, but one that was held up may have missed some
                timeline.append(interval)
        self.timeline = timeline

    def timeline_since(self, start_ns: int) -> list[Interval]:
        """Return the timeline as told from a start of the window that is not later than ours."""
        later_ns = self.window_start_ns - start_ns
        return [replace(interval, at_ns=interval.at_ns + later_ns) for interval in self.timeline]

    @property
    def not_made(self) -> int:
        """How much of the load was not made: requests that were never sent, and connections that failed through us."""
        return sum(self.failures[failure] for failure in (Failure.UNSENT, *OURS))

    @property
    def is_made(self) -> bool:
        """Whether the load was as it was asked for, but for a share of `NOT_MADE_MAX`."""
        return self.not_made <= NOT_MADE_MAX * (self.sent + self.not_made)

    @property
    def is_right(self) -> bool:
        """Whether something was measured, the load was made, and no reply was wrong."""
        wrong = self.failures[Failure.MISMATCH] + self.failures[Failure.SHORT_REPLY]
        return self.replies > 0 and self.is_made and not wrong and not self.workers_lost

    def to_json(self) -> dict[str, Any]:
        """Return counts, rates and percentiles, each with its unit in its name; None where it is not known."""
        histograms = side_by_side(self.workload, self.histograms)
        window_s = self.window_s
        return {
            "sent": self.sent,
            "replies": self.replies,
            "failed": self.failed,
            "in_flight": self.in_flight,
            "errors": {str(kind): count for kind, count in sorted(self.failures.items()) if count},
            "replies_per_s": self.replies / window_s if window_s else None,
            "offered_per_s": self.due / window_s if window_s else None,
            "late_sends": histograms["lateness"].count_from(LATE_NS) if self.workload.is_open_loop else None,
            **{key: value for kind in KINDS for key, value in histograms[kind].summary(kind).items()},
            "client_cpu_s": self.cpu_s,
            "client_spin_s": self.spin_s,
            "window_s": window_s,
            "window_start_ns": self.window_start_ns,
            "window_end_ns": self.window_end_ns,
            "connections_requested": self.workload.connections,
            "connections_established": self.connections_established,
            "idle_closed": self.idle_closed,
            "workers": self.workers,
            "workers_lost": self.workers_lost,
            "interrupted": self.interrupted,
            "seed": self.workload.seed,
            "python": f"{platform.python_implementation()} {platform.python_version()}",
            "workload": self.workload.to_json(),
            "timeline": [interval.to_json() for interval in self.timeline],
        }

    def to_wire(self) -> dict[str, Any]:
        """Return everything that `merge` needs, as JSON types."""
        return {
            **{name: getattr(self, name) for name in _WIRE_FIELDS},
            "workload": self.workload.to_json(),
            "failures": {str(kind): count for kind, count in self.failures.items()},
            "histograms": {kind: histogram.compact().to_wire() for kind, histogram in self.histograms.items()},
            "timeline": [
                (interval.at_ns, interval.length_ns, interval.errors, interval.response.to_wire())
                for interval in self.timeline
            ],
        }

    @classmethod
    def from_wire(cls, wire: dict[str, Any]) -> Self:
        """Return the result that `to_wire` wrote."""
        return cls(
            **{name: wire[name] for name in _WIRE_FIELDS},
            workload=Workload.from_json(wire["workload"]),
            failures=Counter({Failure(kind): count for kind, count in wire["failures"].items()}),
            histograms={kind: _expand(histogram) for kind, histogram in wire["histograms"].items()},
            timeline=[
                Interval(at_ns, length_ns, errors, Compact.from_wire(response))
                for at_ns, length_ns, errors, response in wire["timeline"]
            ],
        )


def _expand(wire: list[Any]) -> Histogram:
    return Histogram.expand(Compact.from_wire(wire))


_SUMS = (
    "sent",
    "failed",
    "in_flight",
    "due",
    "idle_closed",
    "connections_established",
    "workers",
    "workers_lost",
    "cpu_s",
    "spin_s",
)
_WIRE_FIELDS = ("window_start_ns", "window_end_ns", "told_late_ns", *_SUMS, "interrupted")
