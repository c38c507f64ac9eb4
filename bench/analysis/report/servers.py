"""The section of each server: what it is, what it ran on, what is doubted of it, and what it last said. No markup."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bench import units
from bench.analysis.figures.palette import styles
from bench.analysis.report.raw import of_server, said_last
from bench.analysis.report.tables import doubts, doubts_by_cell, failures
from bench.analysis.runs.kinds import Kind
from bench.experiment.doubts import Doubt
from bench.experiment.model import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from bench.analysis.estimates.ranking import Ranking
    from bench.analysis.report.raw import Linked
    from bench.analysis.report.tables import DoubtRow, FailedTrials
    from bench.analysis.runs.run_folder import Run


@dataclass(frozen=True, slots=True)
class ServerText:
    """A server as the page describes it: what it is, what it runs on, and what became of it.

    `facts` are pairs of a name and a value; `logs` has a sentence with the tail of a log for each kind of failure.
    `linked` are raw files beside the page, and `said` the last lines of the newest log there.
    """

    name: str
    anchor: str
    mark: str
    role: str
    summary: str
    teaching: bool
    docstring: str
    code: str
    facts: tuple[tuple[str, str], ...]
    doubts: tuple[DoubtRow, ...]
    logs: tuple[FailedTrials, ...]
    linked: tuple[Linked, ...]
    said: str


def servers(run: Run, ranking: Ranking, page: Path | None = None) -> list[ServerText]:
    """Return every server of the run that has a trial: those that one would use first, then those that teach.

    `page` is the folder that the page will be in. Without it no raw file is linked.
    """
    drawn = styles(ranking.servers, ranking.teaching)
    raised, failed = doubts(run), failures(run)
    by_cell = doubts_by_cell(run)
    statuses = {str(name): Counter(here) for name, here in run.trials.groupby("server")["status"]}
    found = []
    for name in sorted(ranking.servers, key=lambda server: (server in ranking.teaching, server)):
        kind = ranking.kinds.get(name, Kind(name=name))
        linked = of_server(run, name, page)
        mine = {code for (server, _), codes in by_cell.items() if server == name for code in codes}
        found.append(
            ServerText(
                name=name,
                anchor=f"server-{quote(name)}",
                mark=f"s{list(drawn).index(name)}",
                role=drawn[name].role,
                summary=kind.summary,
                teaching=kind.teaching,
                docstring=kind.docstring,
                code=kind.code,
                facts=tuple(_server_facts(run, kind, statuses.get(name, {}), is_marked=Doubt.NONCONFORMING in mine)),
                doubts=tuple(doubt for doubt in raised if doubt.code in mine),
                logs=tuple(one for one in failed if one.server == name),
                linked=tuple(linked),
                said=said_last(linked, page),
            )
        )
    return found


def _server_facts(run: Run, kind: Kind, counts: Mapping[str, int], *, is_marked: bool) -> Iterator[tuple[str, str]]:
    """Yield what the run kept of a server: its interpreter, its command, its limit, and what became of its trials."""
    described: Mapping[str, Any] = next((one for one in run.info.get("servers", ()) if one["name"] == kind.name), {})
    library = run.info.get("libraries", {}).get(kind.library) if kind.library else None
    if library:
        yield "library", f"{kind.library} {library}"
    if described.get("interpreter"):
        yield "interpreter", described["interpreter"]
    if described.get("command"):
        yield "command", shlex.join(described["command"])
    if kind.connections_max is not None:
        yield "connections at a time", f"at most {units.count(kind.connections_max)}"
    yield "trials", ", ".join(f"{count} {status}" for status, count in counts.items())
    yield "conformance", _conformance(run, counts, _check_command(kind, described), is_marked=is_marked)


def _conformance(run: Run, counts: Mapping[str, int], check: str, *, is_marked: bool) -> str:
    """Say what is known of a server's conformance: a run tries the basic cases before its first trial."""
    if counts.get(Status.NONCONFORMING):
        return f"it did not pass the basic cases, so it was not measured: {check} says which"
    if is_marked:
        return f"it did not pass the basic cases, and was measured all the same (--anyway): {check} says which"
    if "anyway" in run.info and counts.get(Status.MEASURED):
        return f"the run tried the basic cases first, and it passed them: {check} tries the others"
    return f"not checked: {check} does"


def _check_command(kind: Kind, described: Mapping[str, Any]) -> str:
    """Write the command that checks a server, as it was described to the run: by name, by address or by command."""
    if described.get("target"):
        return shlex.join(["echobench", "check", "--target", described["target"]])
    command: list[str] = described.get("command") or []
    is_named = bool(kind.docstring) or not command
    return shlex.join(["echobench", "check", kind.name if is_named else f"{kind.name}={shlex.join(command)}"])
