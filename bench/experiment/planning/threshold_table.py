"""A threshold as people describe it: a `[[threshold]]` of a plan, or a `--fail-if` of the command line. Pure.

What the texts mean stands in `clients.thresholds`. What a run says of a threshold is not known here.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from bench import metrics
from bench.errors import UsageError, unknown_name
from bench.experiment.planning.values import convert
from clients.thresholds import COMPARISONS, EXAMPLE, NAMES, Threshold, made
from clients.workload import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

COLUMNS: Mapping[str, str] = {
    **NAMES,
    "cpu": metrics.CPU.column,
    "memory": metrics.MEMORY.column,
    **{metric.column: metric.column for metric in metrics.ALL},
}
"""What a threshold of a run may be about: the metrics of a trial by their columns, and short names."""

Sign = Literal[">", ">=", "<", "<="]
_RULE = re.compile(
    rf"(?:(?P<server>[^\s:]+)(?:\s+(?P<workload>[^:]+?))?\s*:\s*)?"
    rf"(?P<metric>\S+?)\s*(?P<comparison>{'|'.join(COMPARISONS)})\s*(?P<value>.+?)"
)
EVERY = "*"
"""Of a `--fail-if`: every server."""


class ThresholdTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is bad: a `metric` in this `comparison` to a `value` with its unit, in one cell or in many."""

    metric: Annotated[
        str, Meta(description="the name of a metric, such as p99", extra_json_schema={"enum": sorted(COLUMNS)})
    ]
    comparison: Annotated[Sign, Meta(description='">", ">=", "<" or "<="')]
    value: Annotated[
        str | int | float, Meta(description='a value with its unit, such as "5ms"', extra_json_schema={"minimum": 0})
    ]
    server: Annotated[str | None, Meta(description="the name of a server of the plan")] = None
    workload: Annotated[str | None, Meta(description="the name of a workload of the plan")] = None

    @classmethod
    def read(cls, raw: Mapping[str, Any], where: str) -> ThresholdTable:
        """Read a table of plain values that stands at `where`. Raises UsageError."""
        return convert(raw, cls, where).checked(where)

    @property
    def rule(self) -> Threshold:
        """The limit in the metric's own unit. Raises WorkloadError for an unknown metric, or a unit of another kind."""
        return made(self.metric, self.comparison, str(self.value), COLUMNS)

    @property
    def words(self) -> str:
        """Say it with the cells that it is about: `p99 > 5ms with threads under c16`."""
        parts = (("with", self.server), ("under", self.workload))
        return " ".join([self.rule.text, *(f"{word} {name}" for word, name in parts if name is not None)])

    def checked(self, where: str) -> ThresholdTable:
        """Return it if it can be read. Raises UsageError otherwise, naming `where`."""
        try:
            self.rule  # noqa: B018 - it raises
        except WorkloadError as error:
            raise UsageError(f"{where}: {error}") from error
        return self

    def covers(self, server: str, workload: str) -> bool:
        """Whether it is about a cell. A server's name stands for that server under every interpreter."""
        servers = {server, server.rpartition("@")[0]}
        return (self.server is None or self.server in servers) and self.workload in {None, workload}


def read_rule(text: str) -> ThresholdTable:
    """Read `[SERVER [WORKLOAD]:] METRIC COMPARISON VALUE`, as `--fail-if` has it. Raises UsageError."""
    match = _RULE.fullmatch(text.strip())
    if match is None:
        form = "[SERVER [WORKLOAD]:] METRIC, one of > >= < <=, and VALUE"
        raise UsageError(f"--fail-if {text!r} is not understood: write {form}, as in {EXAMPLE!r}")
    parts = {name: part for name, part in match.groupdict().items() if part not in {None, EVERY}}
    return ThresholdTable.read(parts, f"--fail-if {text!r}")


def require_cells(tables: Collection[ThresholdTable], cells: Collection[tuple[str, str]]) -> None:
    """Raise UsageError, with the nearest name, for a threshold that is about no cell (server, workload) of a plan."""
    servers = {name for server, _ in cells for name in (server, server.rpartition("@")[0]) if name}
    workloads = {workload for _, workload in cells}
    for table in tables:
        if table.server is not None and table.server not in servers:
            raise unknown_name("server of a threshold", table.server, servers)
        if table.workload is not None and table.workload not in workloads:
            raise unknown_name("workload of a threshold", table.workload, workloads)
        if not any(table.covers(*cell) for cell in cells):
            raise UsageError(f"no cell for a threshold: {table.server} is not measured under {table.workload}")
