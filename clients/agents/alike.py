"""What agents are refused for before the first load: too few, unlike this machine, or out of reach of what is loaded.

Pure, over what the workers said of themselves: nothing here asks them.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from clients.agents.asked import is_loopback
from clients.agents.clocks import relation
from clients.workload import Workload, WorkloadError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from clients.agents.asked import Cluster
    from clients.agents.clocks import Relation, Trip
    from clients.target import Target

CLOCK_ERROR_MAX_NS = 100_000_000
"""Clocks that are known less well have no common moment to begin at: the shortest slice of a timeline is as long."""
SHARED = ("echobench", "Python", "Dask")


def check_number(there_are: int, cluster: Cluster) -> None:
    """Raise WorkloadError for a cluster without workers, or with fewer than were asked for."""
    where = "the local cluster" if cluster.is_local else f"the cluster at {cluster.address}"
    if not there_are:
        raise WorkloadError(f"{where} has no workers: start `dask worker` on each machine")
    if there_are < cluster.agents:
        raise WorkloadError(
            f"{where} has {there_are} of the {cluster.agents} workers that were asked for: start more, or ask for fewer"
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


def check_free(alone: Mapping[str, bool]) -> None:
    """Raise WorkloadError for a worker, by address, on which we are not alone: two loads would share what it can."""
    for address, is_alone in alone.items():
        if not is_alone:
            raise WorkloadError(
                f"the worker {address} is an agent of another load: wait until that has ended, or use another cluster"
            )


def check_clock(name: str, trips: Sequence[Trip]) -> Relation:
    """Return how an agent's clock relates to ours. Raise WorkloadError for one that goes back, or is hardly known."""
    if any(later.theirs_ns < earlier.theirs_ns for earlier, later in pairwise(trips)):
        raise WorkloadError(f"the clock of agent {name} went back: it cannot be related to ours. Leave its machine out")
    found = relation(trips)
    if found.error_ns > CLOCK_ERROR_MAX_NS:
        raise WorkloadError(
            f"the clock of agent {name} is known to {found.error_ns / 1e6:.0f} ms only, and may be off by "
            f"{CLOCK_ERROR_MAX_NS / 1e6:.0f} ms at most: its answers take too long. Use a machine that is nearer"
        )
    return found


def check_reach(target: Target, networks: Mapping[str, str], here: str) -> None:
    """Raise WorkloadError for an agent, by name, in another network than ours, where the target is not ours."""
    for name, network in networks.items():
        if network != here and (not target.is_tcp or is_loopback(target.host)):
            raise WorkloadError(
                f"agent {name} is on another machine, where {target.text} is not this one: give an address of "
                "this machine that the agents reach, and have the server listen at it"
            )
