"""A checked plan file becomes a plan: names turn into commands, by asking each interpreter which servers it can run."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UsageError, unknown_name
from bench.experiment.model import AgentCluster
from bench.experiment.planning.catalog import catalog
from bench.experiment.planning.plan import ROUNDS_WITHOUT_END, Plan
from bench.experiment.planning.threshold_table import require_cells

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bench.experiment.model import Server
    from bench.experiment.planning.catalog import Catalog
    from bench.experiment.planning.plan import NamedWorkload
    from bench.experiment.planning.plan_file import PlanFile


UNTIL_MINUTES = 15.0
"""What `until` waits at most if nobody says: a server of two modes never becomes narrow."""

ROUNDS = {"blocks": 8, "solo": 3}
"""How often each cell is measured if nobody says. An interval over blocks needs 6 of them."""

EVERY = "*"
"""Among the names of servers: all that come with us."""


def resolve(file: PlanFile) -> Plan:
    """Return the plan of a file whose seed is known. Its thresholds stay in its `source`.

    Named servers and server files are crossed with the interpreters, and then called SERVER@INTERPRETER; what cannot
    run under one of them is a gap, as is an optional server. Raises UsageError for an unknown name, for values of the
    plan that do not go together, and for a server that was asked for and cannot run here.
    """
    assert file.seed is not None
    until, agents = _fraction(file.until), _agents(file)
    design = file.design or ("blocks" if agents is None else "solo")
    places = {python: catalog(python) for python in file.pythons or [sys.executable]}
    names = _names(file, list(places.values()))
    servers = tuple(_servers(file, list(places.values())))
    plan = Plan(
        name=file.name,
        servers=servers,
        workloads=_workloads(file, names),
        rounds=file.trials or (ROUNDS_WITHOUT_END if file.minutes or file.until else ROUNDS[design]),
        seed=file.seed,
        design=design,
        minutes=file.minutes or (UNTIL_MINUTES if file.until else None),
        until=until,
        workers=file.workers,
        generator=file.generator,
        agents=agents,
        source=file.source,
        interpreters={
            python: {"description": place.interpreter.description, "libraries": place.libraries}
            for python, place in places.items()
        },
    )
    if not plan.cells():
        measured = ", ".join(server.name for server in servers)
        raise UsageError(f"every workload of the plan is for other servers than those to be measured: {measured}")
    require_cells(file.threshold, [(server.name, named.name) for server, named in plan.cells()])
    if plan.until is not None and not any(len(together) > 1 for together, _ in plan.groups):
        raise UsageError(
            f"--until {file.until} waits for ratios of servers that are alive together, and this plan has none: "
            "measure several servers in blocks, or give --trials or --minutes"
        )
    return plan.with_baseline(file.baseline)


def _agents(file: PlanFile) -> AgentCluster | None:
    """Return the cluster that makes the load, if one does. Raise UsageError for what does not go with it."""
    if file.agents is None:
        if file.insecure_cluster:
            raise UsageError("--insecure-cluster is about the cluster of --agents: give that too, or leave it out")
        return None
    if file.design == "blocks":
        raise UsageError(
            f"--agents {file.agents} loads one server for a whole trial, and in blocks one generator loads several in "
            "turn: leave --design out, or give --design solo"
        )
    if file.workers > 1:
        raise UsageError("agents share the load, each with one process: leave workers out")
    if file.generator != "python":
        raise UsageError("agents make the load with the generator in Python: leave generator out")
    return AgentCluster(file.agents, is_insecure=file.insecure_cluster)


def _fraction(percent: str | None) -> float | None:
    """Return 0.02 for `2%`. Raise UsageError for a text that is no percentage, and for nothing."""
    if percent is None:
        return None
    try:
        fraction = float(percent.strip().removesuffix("%")) / 100
    except ValueError as error:
        raise UsageError(f"--until is {percent!r}, and must be a percentage, such as 2%") from error
    if not 0 < fraction < 1:
        raise UsageError(f"--until {percent} cannot be reached: give a percentage above 0 and below 100, such as 2%")
    return fraction


def _names(file: PlanFile, places: Sequence[Catalog]) -> Mapping[str, Collection[str]]:
    """Return what each server that a workload may name is called in the run. A server of ours may have no part in it.

    Raises UsageError if the plan has no server, or a name stands for two.
    """
    names: dict[str, list[str]] = {name: [] for name in places[0].entries}
    for name in _ours(file, places):
        names.setdefault(name, []).extend(name + _suffix(file, place) for place in places)
    for table in file.server:
        several = [table.name + _suffix(file, place) for place in places]
        names.setdefault(table.name, []).extend(several if table.file is not None else [table.name])
    called = Counter(name for several in names.values() for name in several)
    if not called:
        raise UsageError("there is no server to measure: name some in the plan, or give --server")
    for name, count in called.items():
        if count > 1:
            raise UsageError(f"two servers are named {name!r}: give each its own, as in --server NAME=COMMAND")
    for table in file.server:
        require_own_name(table.name, {name for place in places for name in place.entries})
    return names


def _ours(file: PlanFile, places: Sequence[Catalog]) -> Collection[str]:
    """Return the names in a plan of servers that come with us, each once."""
    given = [*file.servers, *file.optional_servers]
    every = sorted(places[0].entries)
    return dict.fromkeys(name for one in given for name in (every if one == EVERY else [one]))


def _workloads(file: PlanFile, names: Mapping[str, Collection[str]]) -> tuple[NamedWorkload, ...]:
    """Return the workloads of a plan, each once.

    A table names servers as the plan does, and `names` has what each of them is called in the run. Raises UsageError
    for an unknown server, and if a name stands for two workloads.
    """
    found: dict[str, NamedWorkload] = {}
    for named in itertools.chain.from_iterable(table.workloads for table in file.workload):
        only = None if named.only is None else _called(named.only, names)
        first = found.setdefault(named.name, dataclasses.replace(named, only=only))
        if first.workload != named.workload:
            raise UsageError(
                f"two workloads are named {named.name!r}: give each a [[workload]] table of its own, with its name"
            )
        both = None if first.only is None or only is None else frozenset({*first.only, *only})
        often = max(first.blocks_per_round, named.blocks_per_round)
        found[named.name] = dataclasses.replace(first, only=both, blocks_per_round=often)
    return tuple(found.values())


def _called(only: Collection[str], names: Mapping[str, Collection[str]]) -> frozenset[str]:
    """Return what servers that a table names are called in the run. Raise UsageError for an unknown one."""
    for name in only:
        if name not in names:
            raise unknown_name("server", name, names)
    return frozenset(called for name in only for called in names[name])


def _suffix(file: PlanFile, place: Catalog) -> str:
    return f"@{place.interpreter.label}" if file.pythons else ""


def require_own_name(name: str, ours: Collection[str]) -> None:
    """Raise UsageError if a server that is not ours has the name of one that is."""
    if name in ours:
        raise UsageError(
            f"{name!r} is the name of a server that comes with echobench: give yours another, as in mine=COMMAND"
        )


def _servers(file: PlanFile, places: Sequence[Catalog]) -> tuple[Server, ...]:
    """Return the servers of a plan: those of each interpreter, then those that no interpreter of ours starts.

    Raises UsageError for an unknown one, for one that was asked for and cannot run here, and if none can.
    """
    servers: list[Server] = []
    for place in places:
        suffix = _suffix(file, place)
        servers += [place.server(name, label=name + suffix, binds_itself=True) for name in _ours(file, places)]
        servers += [
            table.server(place.file(Path(table.file), label=table.name + suffix))
            for table in file.server
            if table.file is not None
        ]
    servers += [table.server() for table in file.server if table.file is None]
    if file.host is not None:
        servers = [one if one.target else dataclasses.replace(one, host=file.host) for one in servers]
    needed = set() if file.pythons else {*file.servers, *(table.name for table in file.server)}
    is_vain = all(server.gap is not None for server in servers)
    for server in servers:
        if is_vain or server.name in needed:
            require_runnable(server.name, server)
    return tuple(servers)


def require_runnable(name: str, server: Server) -> None:
    """Raise UsageError, with what would help, if a server that was asked for cannot run here."""
    if server.gap is not None:
        raise UsageError(f"{name} cannot run here: {server.gap}")
