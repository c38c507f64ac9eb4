"""The metrics of a trial: one row each, and the only place where a metric is described.

A row holds a metric's column, its meaning, its names for people and for other tools, the direction in which it is
better, and how much slower it may get. The tuples at the end say where a metric is shown, and in what order. These rows
make the columns of `trials.parquet`, all tables and figures, the headline, `--gate` and the exports.

Nothing is measured or computed here. What processes use is measured in `experiment/trial/monitor.py`. A number that
takes both sides is computed in `experiment/trial/results.py`. Columns without numbers are in `experiment/schema.py`.
Nothing but `bench.column_units` may be imported, because every command reads this file, even for `--help`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from bench.column_units import unit_of

if TYPE_CHECKING:
    from bench.column_units import Unit


@dataclass(frozen=True, slots=True, kw_only=True)
class Exported:
    """What other tools call a metric. They keep history under these names, so the names never change.

    `unit` is its unit in a chart, and `measure` its name there if that differs from the column's. `family` is its name
    in OpenMetrics, and `help` the sentence beside it. `duration` is its name in tools that know seconds only.
    """

    unit: str
    family: str
    help: str
    measure: str = ""
    duration: str = ""


@dataclass(frozen=True, slots=True)
class Metric:
    """One row. Every metric needs the first three fields. The others serve metrics that people or other tools see.

    `since` is the version of the schema that brought the column. `title` heads a column of a table, `noun` stands in a
    sentence, and `axis` says in full what a figure shows. `claim` says what the best server does, and `claim_if_given`
    says it where the rate was given; without them nothing is claimed. `alone` says the number of a server that has no
    other beside it. `log` asks for a logarithmic axis whatever the range. `budget` is the slowdown that must not pass,
    as a fraction; a metric without one cannot decide a comparison. `is_bounded_by_generator` says that a busy load
    generator lowers it.
    """

    column: str
    dtype: Literal["Float64", "Int64"]
    meaning: str
    since: int = 1
    title: str = ""
    noun: str = ""
    axis: str = ""
    claim: str = ""
    claim_if_given: str = ""
    alone: str = ""
    log: bool = False
    larger_is_better: bool = False
    is_bounded_by_generator: bool = False
    budget: float | None = None
    exported: Exported | None = None

    @property
    def unit(self) -> Unit:
        """The unit, which the column's name ends in."""
        return unit_of(self.column)

    def words(self, value: float) -> str:
        """Write a value of the column with its unit."""
        return self.unit.write(value)

    def seconds(self, value: float) -> float:
        """Return a value as seconds, where smaller is better; a rate becomes the seconds of one reply."""
        if self.larger_is_better:
            return 1 / value
        assert self.unit.seconds is not None
        return self.unit.seconds * value


THROUGHPUT = Metric(
    "replies_per_s",
    "Float64",
    "correct replies per second of the window",
    title="Throughput",
    noun="throughput",
    axis="correct replies per second",
    claim="echoes fastest",
    claim_if_given="keeps up best",
    alone="answers {}",
    larger_is_better=True,
    is_bounded_by_generator=True,
    budget=0.05,
    exported=Exported(
        unit="replies/s",
        family="echobench_replies_per_second",
        help="Correct replies per second.",
        measure="throughput",
        duration="time_per_reply",
    ),
)
P50 = Metric(
    "response_p50_ns",
    "Float64",
    "response time (done - due), median; NA if too few samples support it",
    title="Median response",
    noun="median response time",
    axis="median of the response time",
    claim="has the lowest median",
    alone="has a median response time of {}",
    log=True,
    budget=0.05,
    exported=Exported(
        unit="ns", family="echobench_response_p50_seconds", help="Median response time.", duration="response_p50"
    ),
)
P99 = Metric(
    "response_p99_ns",
    "Float64",
    "response time (done - due), 99th percentile; NA if too few samples support it",
    title="p99 response",
    noun="p99 response time",
    axis="99th percentile of the response time",
    claim="has the lowest p99",
    alone="has a p99 of {}",
    log=True,
    budget=0.25,
    exported=Exported(
        unit="ns",
        family="echobench_response_p99_seconds",
        help="99th percentile of response time.",
        duration="response_p99",
    ),
)
CPU = Metric(
    "server_cpu_us_per_reply",
    "Float64",
    "server CPU microseconds per correct reply: the quiet metric",
    title="Server CPU per reply",
    noun="server CPU per reply",
    axis="server CPU time per correct reply",
    claim="needs the least CPU per reply",
    alone="needs {} of CPU per reply",
    budget=0.03,
    exported=Exported(
        unit="us",
        family="echobench_server_cpu_seconds_per_reply",
        help="Server CPU time per correct reply.",
        duration="server_cpu_per_reply",
    ),
)
MEMORY = Metric(
    "server_rss_max_bytes",
    "Int64",
    "largest resident set of the server's processes in the window",
    title="Memory",
    noun="memory",
    axis="largest resident set of the server",
    claim="takes the least memory",
    alone="takes {} of memory",
    exported=Exported(unit="bytes", family="echobench_server_rss_max_bytes", help="Largest resident set."),
)

STEAL = Metric("machine_steal_share", "Float64", "share of the machine's CPU time that the hypervisor took away")
FOREIGN_CPU = Metric("machine_foreign_cpu_share", "Float64", "share of the machine's CPU time used by neither side")
THROTTLED = Metric(
    "machine_throttled_share",
    "Float64",
    "CPU seconds per second for which the quota of our cgroup stopped its processes: 1.0 is one core stopped",
    since=4,
)

OUR_FAULTS = ("no_local_port", "no_descriptor")
"""Classes of failures that are this machine's and say nothing about the server. They are not among `errors`."""

ERROR_CLASSES = ("refused", "reset", "closed_early", "short_reply", "timeout", "stalled", "mismatch", "unsent")

_STATISTICS = {
    "mean": "mean",
    "p50": "median",
    "p90": "90th percentile",
    "p99": "99th percentile",
    "p999": "99.9th percentile",
    "max": "largest",
}


def _times(kind: str, words: str) -> tuple[Metric, ...]:
    """Return the rows of one kind of time: the mean, the percentiles and the largest."""
    described = {metric.column: metric for metric in (P50, P99)}
    rows = (
        Metric(f"{kind}_{statistic}_ns", "Float64", f"{words}, {meaning}; NA if too few samples support it")
        for statistic, meaning in _STATISTICS.items()
    )
    return tuple(described.get(row.column, row) for row in rows)


ALL: tuple[Metric, ...] = (
    THROUGHPUT,
    Metric("offered_per_s", "Float64", "requests that fell due per second of the window"),
    Metric("sent", "Int64", "requests open during the window: sent in it, or sent before and not yet answered"),
    Metric("replies", "Int64", "correct replies in the window"),
    Metric("in_flight", "Int64", "requests sent and not yet answered at the end of the window"),
    *_times("response", "response time (done - due)"),
    *_times("service", "service time (done - sent)"),
    *_times("lateness", "send lateness (sent - due), NA in a closed loop"),
    *_times("connect", "time to connect"),
    Metric("connections_requested", "Int64", "connections the generator tried to open"),
    Metric("connections_established", "Int64", "connections that were established when the load began"),
    Metric("idle_closed", "Int64", "connections that the server closed while they were idle: no failures", since=4),
    Metric("errors", "Int64", "failures of the server, of all classes, in the window"),
    *(Metric(f"errors_{name}", "Int64", f"failures of class {name.replace('_', ' ')}") for name in ERROR_CLASSES),
    *(
        Metric(f"errors_{name}", "Int64", f"connections not made because this machine had {words} left", since=4)
        for name, words in zip(OUR_FAULTS, ("no local port", "no descriptor"), strict=True)
    ),
    Metric("server_cpu_s", "Float64", "CPU seconds of the server's processes in the window"),
    Metric("server_cpu_user_s", "Float64", "of these, in user mode"),
    Metric("server_cpu_system_s", "Float64", "of these, in the kernel"),
    CPU,
    Metric("server_cpu_share", "Float64", "server CPU seconds per second: 1.0 is one core busy"),
    MEMORY,
    Metric("server_uss_max_bytes", "Int64", "largest unique set (memory that ending it would free)"),
    Metric("server_threads_max", "Int64", "largest number of threads"),
    Metric("server_fds_max", "Int64", "largest number of open descriptors"),
    Metric("server_ctx_voluntary", "Int64", "voluntary context switches in the window"),
    Metric("server_ctx_involuntary", "Int64", "involuntary context switches in the window"),
    Metric("server_minor_faults", "Int64", "page faults in the window that needed no disk", since=3),
    Metric("server_runqueue_wait_ns", "Int64", "time its threads waited for a CPU, added up over them", since=3),
    *(
        Metric(f"server_{name}_per_reply", "Float64", f"{words} per correct reply", since=3)
        for name, words in (
            ("ctx_voluntary", "voluntary context switches"),
            ("ctx_involuntary", "involuntary context switches"),
            ("minor_faults", "page faults without a disk"),
        )
    ),
    Metric("server_runqueue_wait_us_per_reply", "Float64", "time waited for a CPU per correct reply", since=3),
    Metric(
        "server_idle_cpu_share",
        "Float64",
        "server CPU seconds per second while other servers of its block had their turn",
        since=3,
    ),
    Metric("client_cpu_s", "Float64", "CPU seconds of the load generator in the window, spinning included"),
    Metric("client_spin_s", "Float64", "of these, spent waiting actively for a due time"),
    Metric("client_cpu_share", "Float64", "generator CPU seconds per second and worker, spinning excluded"),
    Metric("client_rss_max_bytes", "Int64", "largest resident set of the load generator"),
    Metric("client_ctx_voluntary", "Int64", "voluntary context switches of the generator"),
    Metric("client_ctx_involuntary", "Int64", "involuntary context switches of the generator"),
    Metric("client_minor_faults", "Int64", "page faults of the generator that needed no disk", since=3),
    Metric("client_runqueue_wait_ns", "Int64", "time the generator's threads waited for a CPU", since=3),
    STEAL,
    FOREIGN_CPU,
    Metric("machine_throttled", "Int64", "how often the quota of our cgroup stopped its processes", since=4),
    THROTTLED,
)
"""Every metric, in the order of the columns of trials.parquet."""

BY_COLUMN = {metric.column: metric for metric in ALL}

TABLE = (THROUGHPUT, CPU, P50, P99, MEMORY)
"""The metrics in every table for people. Each needs a `title`, a `noun` and an `axis`."""

HEADLINE = (THROUGHPUT, CPU, P50, P99, MEMORY)
"""The metrics that the first sentences of a report may speak of. Each is in TABLE and has a `claim`."""

WATCHED = (THROUGHPUT, CPU)
"""The metrics whose ratios `--until` waits for, and whose precision a summary states. Each is one of a slice."""

GATES = (CPU, P50, THROUGHPUT, P99)
"""The metrics that may decide a comparison. Every comparison shows them. Each has a `noun` and a `budget`."""

GATES_BY_DEFAULT = (CPU, P50)
"""The metrics that decide if the user names none. CPU per reply cannot see waiting, and the median response time can.

Throughput sees more kinds of waiting, but it is also disturbed by other processes. On a busy host its pairs were five
times as noisy as those of the median.
"""

EXPORTED = (THROUGHPUT, CPU, P50, P99, MEMORY)
"""The metrics that the formats of other tools get as estimates. Each has `exported`."""
