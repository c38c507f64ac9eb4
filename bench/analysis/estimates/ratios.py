"""One server's metric over another's, by trials of the same round. All ratios within a run are made here.

A drift of the machine falls on both trials of a round, so it cancels in their ratio. Nothing is ranked here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

from bench.analysis.estimates.cells import LEVEL
from bench.errors import unknown_name
from bench.stats import Estimate, ratio_by_round

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


class Measured(Protocol):
    """One metric of one server under one workload: a number for each round, and whether the generator limited it."""

    @property
    def server(self) -> str:
        """Name of the server."""

    @property
    def workload(self) -> str:
        """Name of the workload."""

    @property
    def by_round(self) -> Mapping[int, float]:
        """The metric of each trial, by the number of its round."""

    @property
    def lower_bound(self) -> bool:
        """Whether the load generator was the limit."""


M = TypeVar("M", bound=Measured)


@dataclass(frozen=True, slots=True)
class Ratio:
    """A metric over that of another server; `limited` names those of the two that the load generator limited."""

    estimate: Estimate
    rounds: int
    limited: tuple[str, ...]


def ratio(one: Measured, other: Measured, level: float = LEVEL) -> Ratio:
    """Return `one` over `other` from the rounds that both have; NaN without any."""
    return Ratio(
        estimate=ratio_by_round(one.by_round, other.by_round, level),
        rounds=len(one.by_round.keys() & other.by_round.keys()),
        limited=tuple(side.server for side in (one, other) if side.lower_bound),
    )


def to_baseline(found: Sequence[M], baseline: str) -> Iterator[tuple[M, Ratio]]:
    """Yield what is not of `baseline`, each with its ratio to `baseline` under the same workload, if there is one.

    All of `found` are of one metric.
    """
    theirs = {one.workload: one for one in found if one.server == baseline}
    for one in found:
        if one.server != baseline and one.workload in theirs:
            yield one, ratio(one, theirs[one.workload])


def require_server(baseline: str, found: Sequence[Measured]) -> None:
    """Raise UsageError, with the nearest name, if none of `found` is of the server `baseline`."""
    servers = {one.server for one in found}
    if baseline not in servers:
        raise unknown_name("server of this run", baseline, servers)
