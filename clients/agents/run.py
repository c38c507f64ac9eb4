"""One load by agents, from what the command line asked to the merged result and what is said of each agent."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from clients.agents.asked import cluster_asked
from clients.agents.group import AgentGroup, AgentReport, doubts
from clients.agents.line import Line
from clients.arguments import agent_arguments, check_agents
from clients.clock import now_ns
from clients.coordination import coordinated, interruptible
from clients.summary import duration

if TYPE_CHECKING:
    import argparse

    from clients.result import Result
    from clients.target import Target
    from clients.workload import Workload


@dataclass(frozen=True, slots=True)
class Seen:
    """What is kept of the agents beside their merged result."""

    reports: list[AgentReport]
    doubts: dict[str, str]

    def to_json(self) -> dict[str, Any]:
        """Return a row for each agent, and the doubts by name."""
        return {"agents": [report.to_json() for report in self.reports], "agent_doubts": self.doubts}

    def text(self) -> str:
        """Return a table of the agents, and the doubts."""
        lines = [f"  {'agent':<20}{'replies/s':>12}{'p50':>10}{'p99':>10}{'late p99':>10}{'clock +-':>10}"]
        for one in self.reports:
            times = (one.response_p50_ns, one.response_p99_ns, one.lateness_p99_ns, one.agent_clock_error_ns)
            cells = "".join(f"{duration(value):>10}" for value in times)
            lines.append(f"  {one.agent:<20}{one.replies_per_s or 0:>12,.0f}{cells}")
        return "\n".join([*lines, *(f"\n  {name}: {sentence}" for name, sentence in self.doubts.items())])


def by_agents(options: argparse.Namespace, target: Target, workload: Workload) -> tuple[Result, Seen]:
    """Share the load over the agents of `--agents`, and return what they measured together, and each.

    Raise WorkloadError for what cannot be, AgentLostError or LoadError for a load that was not whole.
    """
    cluster = cluster_asked(options.agents, is_insecure=options.insecure_cluster)
    check_agents(options, max(1, cluster.agents), workload)
    from clients.agents.engine import seats  # noqa: PLC0415 - Dask is loaded for agents only

    with ExitStack() as stack:
        found = stack.enter_context(seats(cluster, target))
        check_agents(options, len(found), workload)
        lines = [stack.enter_context(Line(seat)) for seat in found]
        group = AgentGroup(lines, agent_arguments(options, workload, target))
        with interruptible(group.interrupt) as interrupts:
            announce = partial(coordinated, interrupts) if options.coordinated else partial(_ahead, group)
            result = group.run(workload, announce)
    slice_ns = max((interval.length_ns for interval in result.timeline), default=0)
    return result, Seen(group.reports, doubts(group.reports, slice_ns) if slice_ns else {})


def _ahead(group: AgentGroup, _established: int, _requested: int) -> int:
    """Start when all agents have surely heard of it."""
    return now_ns() + group.lead_ns
