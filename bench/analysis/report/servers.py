"""The section of each server: what it is, what it ran on, what is doubted of it, and what it last said. No markup."""

from __future__ import annotations

import shlex
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from bench import units
from bench.analysis.figures.palette import styles
from bench.analysis.report.tables import doubts, doubts_by_cell, failures
from bench.analysis.runs.kinds import Kind
from bench.experiment.model import Status

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.analysis.estimates.ranking import Ranking
    from bench.analysis.report.tables import DoubtRow, FailedTrials
    from bench.analysis.runs.run_folder import Run


@dataclass(frozen=True, slots=True)
class ServerText:
    """A server as the page describes it: what it is, what it runs on, and what became of it.

    `facts` are pairs of a name and a value; `logs` has a sentence with the tail of a log for each kind of failure.
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


def servers(run: Run, ranking: Ranking) -> list[ServerText]:
    """Return every server of the run that has a trial: those that one would use first, then those that teach."""
    drawn = styles(ranking.servers, ranking.teaching)
    raised, failed = doubts(run), failures(run)
    by_cell = doubts_by_cell(run)
    found = []
    for name in sorted(ranking.servers, key=lambda server: (server in ranking.teaching, server)):
        kind = ranking.kinds.get(name, Kind(name=name))
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
                facts=tuple(_server_facts(run, kind)),
                doubts=tuple(doubt for doubt in raised if doubt.code in mine),
                logs=tuple(one for one in failed if one.server == name),
            )
        )
    return found


def _server_facts(run: Run, kind: Kind) -> Iterator[tuple[str, str]]:
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
    here = run.trials[run.trials["server"] == kind.name]
    counts = Counter(here["status"])
    yield "trials", ", ".join(f"{count} {status}" for status, count in counts.items())
    if counts[Status.NONCONFORMING]:
        yield "conformance", "it failed the basic cases, so it was not measured"
