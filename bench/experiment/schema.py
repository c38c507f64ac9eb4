"""The columns of a run's tables, their types, units and meanings: the one place that names them.

SCHEMA_VERSION history
  1  first version
  2  trials: requests_per_connection, think_s; NA in the tables of an older run

A column is never renamed or given another meaning without a new version. NA means not known; zero means zero.
`results/README.md` is checked against this file by a test.
"""

from __future__ import annotations

from dataclasses import dataclass

SCHEMA_VERSION = 2


@dataclass(frozen=True, slots=True)
class Column:
    """One column: pandas dtype (nullable ones, so that NA survives) and one sentence for people.

    `since` is the version that brought it.
    """

    name: str
    dtype: str
    meaning: str
    since: int = 1


ERROR_CLASSES = ("refused", "reset", "closed_early", "short_reply", "timeout", "stalled", "mismatch", "unsent")

TRIALS: tuple[Column, ...] = (
    Column("run", "string", "id of the run: the name of its folder"),
    Column("trial", "Int64", "number of the trial, in the order of execution"),
    Column("round", "Int64", "each round visits every cell once, in a seeded shuffled order"),
    Column("server", "string", "name of the server"),
    Column("interpreter", "string", "Python that ran the server, with version and build; NA if it is no Python"),
    Column("workload", "string", "name of the workload"),
    Column("connections", "Int64", "connections asked for"),
    Column("message_bytes", "Int64", "bytes of a message"),
    Column("pipeline", "Int64", "requests in flight per connection, at most"),
    Column(
        "requests_per_connection", "Int64", "requests after which a connection is replaced; NA if it is not", since=2
    ),
    Column("think_s", "Float64", "seconds between a reply and the next request, in a closed loop", since=2),
    Column("arrivals", "string", "closed (loop), constant or poisson (open loop)"),
    Column("rate_per_s", "Float64", "offered load over all connections; NA in a closed loop"),
    Column("warmup_s", "Float64", "seconds of load discarded before the window"),
    Column("window_s", "Float64", "seconds measured"),
    Column("started_at", "string", "UTC time at which the trial began, ISO 8601"),
    Column("status", "string", "measured, or why there are no numbers"),
    Column("status_detail", "string", "one sentence, with the tail of the server's log where it helps"),
    Column("replies_per_s", "Float64", "correct replies per second of the window"),
    Column("offered_per_s", "Float64", "requests that fell due per second of the window"),
    Column("sent", "Int64", "requests open during the window: sent in it, or sent before and not yet answered"),
    Column("replies", "Int64", "correct replies in the window"),
    Column("in_flight", "Int64", "requests sent and not yet answered at the end of the window"),
    *(
        Column(f"{kind}_{statistic}_ns", "Float64", f"{words}, {meaning}; NA if too few samples support it")
        for kind, words in (
            ("response", "response time (done - due)"),
            ("service", "service time (done - sent)"),
            ("lateness", "send lateness (sent - due), NA in a closed loop"),
            ("connect", "time to connect"),
        )
        for statistic, meaning in (
            ("mean", "mean"),
            ("p50", "median"),
            ("p90", "90th percentile"),
            ("p99", "99th percentile"),
            ("p999", "99.9th percentile"),
            ("max", "largest"),
        )
    ),
    Column("connections_requested", "Int64", "connections the generator tried to open"),
    Column("connections_established", "Int64", "connections that stood when the load began"),
    Column("errors", "Int64", "failures of all classes in the window"),
    *(Column(f"errors_{name}", "Int64", f"failures of class {name.replace('_', ' ')}") for name in ERROR_CLASSES),
    Column("server_cpu_s", "Float64", "CPU seconds of the server's processes in the window"),
    Column("server_cpu_user_s", "Float64", "of these, in user mode"),
    Column("server_cpu_system_s", "Float64", "of these, in the kernel"),
    Column("server_cpu_us_per_reply", "Float64", "server CPU microseconds per correct reply: the quiet metric"),
    Column("server_cpu_share", "Float64", "server CPU seconds per second: 1.0 is one core busy"),
    Column("server_rss_max_bytes", "Int64", "largest resident set of the server's processes in the window"),
    Column("server_uss_max_bytes", "Int64", "largest unique set (memory that ending it would free)"),
    Column("server_threads_max", "Int64", "largest number of threads"),
    Column("server_fds_max", "Int64", "largest number of open descriptors"),
    Column("server_ctx_voluntary", "Int64", "voluntary context switches in the window"),
    Column("server_ctx_involuntary", "Int64", "involuntary context switches in the window"),
    Column("client_cpu_s", "Float64", "CPU seconds of the load generator in the window, spinning included"),
    Column("client_spin_s", "Float64", "of these, spent waiting actively for a due time"),
    Column("client_cpu_share", "Float64", "generator CPU seconds per second and worker, spinning excluded"),
    Column("client_rss_max_bytes", "Int64", "largest resident set of the load generator"),
    Column("client_ctx_voluntary", "Int64", "voluntary context switches of the generator"),
    Column("client_ctx_involuntary", "Int64", "involuntary context switches of the generator"),
    Column("machine_steal_share", "Float64", "share of the machine's CPU time that the hypervisor took away"),
    Column("machine_foreign_cpu_share", "Float64", "share of the machine's CPU time used by neither side"),
    Column("server_cpus", "string", "CPUs the server was bound to, comma separated"),
    Column("client_cpus", "string", "CPUs the generator was bound to, comma separated"),
    Column("throughput_is_lower_bound", "boolean", "true if the generator was the limit"),
    Column("doubts", "string", "codes of the doubts about this trial, comma separated; empty if there are none"),
)

TIMELINE: tuple[Column, ...] = (
    Column("run", "string", "id of the run"),
    Column("trial", "Int64", "number of the trial"),
    Column("at_s", "Float64", "start of the slice, seconds since the window began"),
    Column("slice_s", "Float64", "length of the slice in seconds"),
    Column("replies", "Int64", "correct replies in the slice"),
    Column("errors", "Int64", "failures in the slice"),
    Column("response_p50_ns", "Float64", "median response time of the slice"),
    Column("response_p99_ns", "Float64", "99th percentile of the response time of the slice"),
)

MONITOR: tuple[Column, ...] = (
    Column("run", "string", "id of the run"),
    Column("trial", "Int64", "number of the trial"),
    Column("at_s", "Float64", "time of the sample, seconds since the window began"),
    Column("process", "string", "server, client or machine"),
    Column("cpu_s", "Float64", "CPU seconds used so far (machine: by all processes)"),
    Column("steal_s", "Float64", "machine only: CPU seconds taken away by the hypervisor so far"),
    Column("rss_bytes", "Int64", "resident set"),
    Column("threads", "Int64", "threads"),
    Column("fds", "Int64", "open descriptors"),
)
