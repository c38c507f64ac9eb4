"""Whether the arms of a comparison echo: asked of each before anything is measured. Nothing is measured here.

A server that does not echo is not compared. One that echoes, and fails another basic case, is compared with a doubt:
two revisions of it can still be told apart.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from bench.experiment.conformance import START, Outcome, basic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from bench.experiment.conformance import CaseResult
    from bench.experiment.model import Server
    from bench.regress.planner import PairedCell
    from clients.workload import Workload

    Check = Callable[[Server], Sequence[CaseResult]]

ECHO = ("echo", "bytes")
TURNS = "turns"
"""The case of several messages on a connection, which a server of one request per connection need not pass."""


@dataclass(frozen=True, slots=True)
class Conforming:
    """The cells, where a server that does not echo has a gap, and the names of servers that fail another case."""

    cells: tuple[PairedCell, ...]
    doubted: frozenset[str] = field(default_factory=frozenset)


def conforming(cells: Iterable[PairedCell], check: Check = basic) -> Conforming:
    """Run the basic conformance cases against every server of the cells that can run here.

    A server that does not start has not failed a case: its trials will say so.
    """
    found, doubted = [], set()
    for cell in cells:
        servers = {}
        for arm, server in cell.servers.items():
            failed = [] if server.gap is not None else _failed(check(server))
            echoless = next((one for one in failed if one.case in _needed(cell.workload)), None)
            servers[arm] = server if echoless is None else replace(server, gap=_why(echoless))
            if failed:
                doubted.add(server.name)
        found.append(replace(cell, servers=servers))
    return Conforming(tuple(found), frozenset(doubted))


def _failed(results: Sequence[CaseResult]) -> list[CaseResult]:
    return [one for one in results if one.outcome is Outcome.FAILED and one.case != START]


def _needed(workload: Workload) -> tuple[str, ...]:
    return ECHO if workload.requests_per_connection == 1 else (*ECHO, TURNS)


def _why(failed: CaseResult) -> str:
    return f"it failed the case {failed.case!r} of `echobench check`: {failed.detail}"
