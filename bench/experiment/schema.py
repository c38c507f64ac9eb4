"""The columns of a run's tables, with their types, units and meanings.

The numbers that are measured of a trial are rows of `bench/metrics.py`; all other columns are described here.

SCHEMA_VERSION is the newest `since` of any column, so a new column makes a new version by itself:
  1  first version
  2  trials: requests_per_connection, think_s; NA in the tables of an older run
  3  trials: block; slices
  4  trials: idle_closed, and failures of our own, which are no longer among the errors
  5  agents

A column is never renamed or given another meaning without a new version. NA means not known; zero means zero.
`results/README.md` shows what `document` returns, and a test holds it to that. To write its tables anew:

    python3 -m bench.experiment.schema results/README.md
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from pathlib import Path

from bench import metrics
from bench.column_units import unit_of

_KINDS = {"string": "text", "boolean": "yes or no"}
_NUMBERED = {"trial", "round", "block", "pass"}


@dataclass(frozen=True, slots=True)
class Column:
    """One column: pandas dtype (nullable ones, so that NA survives) and one sentence for people.

    `since` is the version that brought it.
    """

    name: str
    dtype: str
    meaning: str
    since: int = 1

    @property
    def unit(self) -> str:
        """The unit in words; what kind of value it is if that is no number."""
        if self.name in _NUMBERED:
            return "number"
        return _KINDS.get(self.dtype) or unit_of(self.name).name


TRIALS: tuple[Column, ...] = (
    Column("run", "string", "id of the run: the name of its folder"),
    Column("trial", "Int64", "number of the trial, in the order of execution"),
    Column("round", "Int64", "each round visits every cell once, in a seeded shuffled order"),
    Column("block", "Int64", "number of the block: trials of one block were alive together", since=3),
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
    *(Column(metric.column, metric.dtype, metric.meaning, metric.since) for metric in metrics.ALL),
    Column("server_cpus", "string", "CPUs the server was bound to in the end, also by itself, comma separated"),
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

SLICES: tuple[Column, ...] = (
    Column("run", "string", "id of the run", since=3),
    Column("trial", "Int64", "number of the trial", since=3),
    Column("block", "Int64", "number of the block", since=3),
    Column("pass", "Int64", "number of the pass: in each, every server of the block gets one slice", since=3),
    Column("server", "string", "name of the server", since=3),
    Column("workload", "string", "name of the workload", since=3),
    Column("at_s", "Float64", "start of the slice, seconds since the first slice of the block that counts", since=3),
    Column("slice_s", "Float64", "from the slice's first send to its last reply, in seconds", since=3),
    Column("replies", "Int64", "correct replies in the slice", since=3),
    Column("server_cpu_s", "Float64", "CPU seconds of the server's processes in the slice", since=3),
    Column("response_p50_ns", "Float64", "median response time of the slice", since=3),
    Column("errors", "Int64", "failures in the slice", since=3),
)

AGENTS: tuple[Column, ...] = (
    Column("run", "string", "id of the run", since=5),
    Column("trial", "Int64", "number of the trial", since=5),
    Column("agent", "string", "name of the agent: its number in the cluster and its host", since=5),
    Column("host", "string", "address by which the coordinator reaches the agent's machine", since=5),
    Column("share", "string", "which part of connections and schedule it carried: 0/3 is the first of three", since=5),
    Column("connections", "Int64", "connections of its share that were established", since=5),
    Column("sent", "Int64", "requests of its share: they add up to those of the trial", since=5),
    Column("replies", "Int64", "correct replies to its share: they add up to those of the trial", since=5),
    Column("replies_per_s", "Float64", "correct replies to its share per second of its window", since=5),
    Column("response_p50_ns", "Float64", "median response time of its share", since=5),
    Column("response_p99_ns", "Float64", "99th percentile of the response time of its share", since=5),
    Column("lateness_p99_ns", "Float64", "99th percentile of its send lateness, NA in a closed loop", since=5),
    Column("client_cpu_s", "Float64", "CPU seconds that its load generator used in the window", since=5),
    Column("agent_offset_ns", "Int64", "its monotonic clock minus that of the coordinator", since=5),
    Column("agent_clock_error_ns", "Int64", "the true offset lies within so much of the one that is given", since=5),
)

TABLES = {"trials": TRIALS, "timeline": TIMELINE, "monitor": MONITOR, "slices": SLICES, "agents": AGENTS}
"""The tables of a run, by the name of the file without `.parquet`."""

SCHEMA_VERSION = max(column.since for columns in TABLES.values() for column in columns)


def document(table: str) -> str:
    """Return the columns of a table as Markdown, as results/README.md shows them."""
    rows = [f"| `{one.name}` | {one.dtype} | {one.unit} | {one.meaning} |" for one in TABLES[table]]
    return "\n".join(["| column | type | unit | meaning |", "| --- | --- | --- | --- |", *rows])


def documented(text: str) -> str:
    """Return a document with the table below each heading `## NAME.parquet` written anew."""

    def anew(found: re.Match[str]) -> str:
        return f"{found['heading']}{document(found['table'])}\n"

    below = rf"^(?P<heading>## (?P<table>{'|'.join(TABLES)})\.parquet\n\n)(?:\|.*\n)*"
    return re.sub(below, anew, text, flags=re.MULTILINE)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        Path(name).write_text(documented(Path(name).read_text(encoding="utf-8")), encoding="utf-8")
