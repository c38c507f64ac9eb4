"""A checked plan file becomes a plan: names turn into commands, by asking each interpreter which servers it can run."""

from __future__ import annotations

import dataclasses
import itertools
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError, unknown_name
from bench.experiment.model import Server
from bench.experiment.planning.catalog import Catalog, catalog
from bench.experiment.planning.plan import ROUNDS_WITHOUT_END, NamedWorkload, Plan
from bench.experiment.planning.workload_table import WorkloadTable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Sequence

    from bench.experiment.planning.plan_file import PlanFile
    from bench.experiment.planning.server_table import ServerTable


UNTIL_MINUTES = 15.0
"""What `until` waits at most if nobody says: a server of two modes never becomes narrow."""

ROUNDS = {"blocks": 8, "solo": 3}
"""How often each cell is measured if nobody says. An interval over blocks needs 6 of them."""

EVERY = "*"
"""Among the names of servers: all that come with us."""


@dataclasses.dataclass(frozen=True, slots=True)
class Chosen:
    """A server and the name that the plan gives it, which is the same under every interpreter."""

    base: str
    server: Server
    is_ours: bool = False


def resolve(file: PlanFile) -> Plan:
    """Return the plan of a file whose seed is known.

    Named servers and server files are crossed with the interpreters, and then called SERVER@INTERPRETER; what cannot
    run under one of them is a gap, as is an optional server. Raises UsageError for an unknown name, for values of a
    workload that do not go together, and for a server that was asked for and cannot run here.
    """
    assert file.seed is not None
    places = {python: catalog(python) for python in file.pythons or [sys.executable]}
    catalogs = list(places.values())
    chosen = list(_chosen(file, catalogs))
    _check_names(chosen, catalogs)
    tables = file.workload or [WorkloadTable({})]
    workloads = itertools.chain.from_iterable(table.workloads() for table in tables)
    known = {*(one.base for one in chosen), *catalogs[0].entries}
    plan = Plan(
        name=file.name,
        servers=tuple(one.server for one in chosen),
        workloads=_distinct(_restricted(workload, chosen, known) for workload in workloads),
        rounds=file.trials or (ROUNDS_WITHOUT_END if file.minutes or file.until else ROUNDS[file.design]),
        seed=file.seed,
        design=file.design,
        minutes=file.minutes or (UNTIL_MINUTES if file.until else None),
        until=_fraction(file.until),
        workers=file.workers,
        generator=file.generator,
        source=file.to_json(),
        interpreters={
            python: {"description": place.interpreter.description, "libraries": place.libraries}
            for python, place in places.items()
        },
    )
    if plan.until is not None and not any(len(servers) > 1 for servers, _ in plan.groups):
        raise UsageError(
            f"--until {file.until} waits for ratios of servers that are alive together, and this plan has none: "
            "measure several servers in blocks, or give --trials or --minutes"
        )
    return dataclasses.replace(plan, baseline=_baseline(plan, file.baseline))


def _fraction(percent: str | None) -> float | None:
    """Return 0.02 for `2%`. Raise UsageError for nothing."""
    if percent is None:
        return None
    fraction = float(percent.strip().removesuffix("%")) / 100
    if not 0 < fraction < 1:
        raise UsageError(f"--until {percent} cannot be reached: give a percentage above 0 and below 100, such as 2%")
    return fraction


def _baseline(plan: Plan, name: str | None) -> str | None:
    """Return the server that the others are ratios to: the one named, else the first that has every workload."""
    if name is not None:
        if name not in (names := [server.name for server in plan.servers]):
            raise unknown_name("server of this plan", name, names)
        return name
    gaps = {gap.trial.cell for gap in plan.gaps()}
    cells = {(server.name, named.name) for server, named in plan.cells()} - gaps
    for server in plan.servers:
        if all((server.name, named.name) in cells for named in plan.workloads):
            return server.name
    return None


def _chosen(file: PlanFile, places: Sequence[Catalog]) -> Iterator[Chosen]:
    names = dict.fromkeys(
        name
        for given in [*file.servers, *file.optional_servers]
        for name in (sorted(places[0].entries) if given == EVERY else [given])
    )
    for place in places:
        suffix = f"@{place.interpreter.label}" if file.pythons else ""
        for name in names:
            server = place.server(name, label=name + suffix)
            if name in file.servers and not file.pythons:
                require_runnable(name, server)
            yield Chosen(name, server, is_ours=True)
        for table in file.server:
            if table.file is not None:
                server = place.file(Path(table.file), label=table.name + suffix)
                if not file.pythons:
                    require_runnable(table.name, server)
                yield Chosen(table.name, dataclasses.replace(server, **_common(table, server)))
    for table in file.server:
        if table.file is None:
            yield Chosen(table.name, from_table(table))


def from_table(table: ServerTable) -> Server:
    """Return the server that a command or a target describes."""
    if table.target is not None:
        return Server(name=table.name, target=table.target, pid=table.pid, connections_max=table.connections_max)
    server = Server(name=table.name, command=table.words, cwd=table.cwd, ready="either" if table.knows_port else "line")
    return dataclasses.replace(server, **_common(table, server))


def _common(table: ServerTable, server: Server) -> dict[str, Any]:
    """Return what a table says about a server, whatever starts it."""
    return {
        "env": {**server.env, **table.env},
        "ready": table.ready or server.ready,
        "ready_timeout_s": table.ready_timeout_s,
        "stop_signal": table.stop_signal,
        "host": table.host,
        "port": table.port,
        "connections_max": table.connections_max or server.connections_max,
    }


def require_runnable(name: str, server: Server) -> None:
    """Raise UsageError, with what would help, if a server that was asked for cannot run here."""
    if server.gap is not None:
        raise UsageError(f"{name} cannot run here: {server.gap}")


def require_own_name(name: str, ours: Collection[str]) -> None:
    """Raise UsageError if a server that is not ours has the name of one that is."""
    if name in ours:
        raise UsageError(
            f"{name!r} is the name of a server that comes with echobench: give yours another, as in mine=COMMAND"
        )


def _check_names(chosen: Sequence[Chosen], places: Sequence[Catalog]) -> None:
    """Raise UsageError if there is no server, none that can run anywhere, or a name stands for two."""
    if not chosen:
        raise UsageError("there is no server to measure: name some in the plan, or give --server")
    if all(one.server.gap is not None for one in chosen):
        require_runnable(chosen[0].server.name, chosen[0].server)
    ours = {name for place in places for name in place.entries}
    seen: set[str] = set()
    for one in chosen:
        name = one.server.name
        if name in seen:
            raise UsageError(f"two servers are named {name!r}: give each its own, as in --server NAME=COMMAND")
        if not one.is_ours:
            require_own_name(one.base, ours)
        seen.add(name)


def _restricted(named: NamedWorkload, chosen: Collection[Chosen], known: Collection[str]) -> NamedWorkload:
    """Return the workload restricted to servers by the names they have in the end."""
    if named.only is None:
        return named
    for name in named.only:
        if name not in known:
            raise unknown_name("server", name, known)
    return dataclasses.replace(named, only=frozenset(one.server.name for one in chosen if one.base in named.only))


def _distinct(workloads: Iterable[NamedWorkload]) -> tuple[NamedWorkload, ...]:
    """Merge what is listed twice. Raise UsageError if a name stands for two workloads."""
    found: dict[str, NamedWorkload] = {}
    for named in workloads:
        first = found.setdefault(named.name, named)
        if first.workload != named.workload:
            raise UsageError(
                f"two workloads are named {named.name!r}: give each a [[workload]] table of its own, with its name"
            )
        if first.only != named.only:
            only = None if first.only is None or named.only is None else {*first.only, *named.only}
            found[named.name] = dataclasses.replace(first, only=only)
    return tuple(found.values())
