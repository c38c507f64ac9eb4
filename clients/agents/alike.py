"""What agents are refused for before the first load: too few, unlike this machine, or out of reach of what is loaded.

Pure, over what the workers said of themselves: nothing here asks them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from clients.agents.asked import is_loopback
from clients.workload import Workload, WorkloadError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from clients.agents.asked import Cluster
    from clients.target import Target

SHARED = ("echobench", "Python", "Dask")


def check_number(there_are: int, cluster: Cluster) -> None:
    """Raise WorkloadError for a cluster without workers, or with fewer than were asked for."""
    where = "the local cluster" if cluster.is_local else f"the cluster at {cluster.address}"
    if not there_are:
        raise WorkloadError(f"{where} has no workers: start `dask worker` on each machine")
    if there_are < cluster.agents:
        raise WorkloadError(
            f"{where} has {there_are} workers, and {cluster.agents} agents were asked for: start more, or ask for fewer"
        )


def check_shares(agents: int, workload: Workload) -> None:
    """Raise WorkloadError for more agents than connections: one without any would have nothing to do."""
    if agents > workload.connections:
        raise WorkloadError(
            f"{agents} agents cannot share {workload.connections} connections: use more connections or fewer agents"
        )


def check_alike(found: Mapping[str, Mapping[str, str]], here: Mapping[str, str]) -> None:
    """Raise WorkloadError for a worker, by address, that has another version of something than this machine."""
    for address, theirs in found.items():
        for name in SHARED:
            if theirs[name] != here[name]:
                raise WorkloadError(
                    f"the worker {address} has {name} {theirs[name]}, and this machine {here[name]}: agents that are "
                    "unlike make loads that are unlike. Install the same there"
                )


def check_reach(target: Target, networks: Mapping[str, str], here: str) -> None:
    """Raise WorkloadError for an agent, by name, in another network than ours, where the target is not ours."""
    for name, network in networks.items():
        if network != here and (not target.is_tcp or is_loopback(target.host)):
            raise WorkloadError(
                f"agent {name} is on another machine, where {target.text} is not this one: give an address of "
                "this machine that the agents reach, and have the server listen at it"
            )
