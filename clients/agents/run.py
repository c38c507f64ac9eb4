"""One load by agents, from what the command line asked to the merged result and what is said of each agent."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from clients.agents.alike import check_shares
from clients.agents.asked import cluster_asked
from clients.agents.session import session
from clients.arguments import TAG, agent_arguments, check_agents
from clients.coordination import coordinated, interruptible

if TYPE_CHECKING:
    import argparse

    from clients.agents.session import Carried
    from clients.target import Target
    from clients.workload import Workload


def by_agents(options: argparse.Namespace, target: Target, workload: Workload) -> Carried:
    """Share the load over the agents of `--agents`, and return what they measured together, and each.

    Raise WorkloadError for what cannot be, AgentLostError or LoadError for a load that was not whole.
    """
    cluster = cluster_asked(options.agents, is_insecure=options.insecure_cluster)
    check_agents(options)
    check_shares(cluster.agents, workload)
    with (
        session(options.agents, is_insecure=options.insecure_cluster) as agents,
        interruptible(agents.interrupt) as interrupts,
    ):
        announce = partial(coordinated, interrupts, meanwhile=agents.look) if options.coordinated else None
        carried = agents.carry(target, workload, announce, arguments=agent_arguments(options))
    if options.hlog is not None:
        carried.write_log(options.hlog, options.tag or TAG)
    return carried
