"""What is to be measured, and in which order: servers crossed with workloads, in seeded shuffled rounds. Pure.

A plan is resolved and frozen: its servers are commands. Where it comes from is the business of `plan_file.py`.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.experiment.model import Server, Status, Trial, TrialResult
from bench.units import count

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from bench.experiment.model import LoadGenerator
    from clients.workload import Workload

SEED_BITS = 31


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedWorkload:
    """A workload and what tables call it; `only` names the servers it is for, None means all."""

    name: str
    workload: Workload
    only: Collection[str] | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that a run needs to know before its first trial.

    `workers` is the number of processes that the load `generator` uses. `refused` names servers that are not measured
    because they are no echo servers, each with the reason; `nonconforming` names those that are measured all the same.
    `source` is the plan as it was asked for, from which the same plan can be resolved again, and `interpreters` what
    was found out about the Pythons that run its servers: both as plain JSON types.
    """

    name: str
    servers: tuple[Server, ...]
    workloads: tuple[NamedWorkload, ...]
    trials_per_cell: int
    seed: int
    workers: int = 1
    generator: LoadGenerator = "python"
    refused: Mapping[str, str] = field(default_factory=dict)
    nonconforming: frozenset[str] = frozenset()
    source: Mapping[str, Any] = field(default_factory=dict)
    interpreters: Mapping[str, Any] = field(default_factory=dict)

    def cells(self) -> list[tuple[Server, NamedWorkload]]:
        """Return each server with each workload that is for it."""
        return [
            (server, workload)
            for workload in self.workloads
            for server in self.servers
            if workload.only is None or server.name in workload.only
        ]

    def gaps(self) -> list[TrialResult]:
        """Return a result of round 0 for each cell that will not be measured, with the reason. They come first."""
        missing = [(cell, gap) for cell in self.cells() if (gap := self._gap(*cell)) is not None]
        return [
            TrialResult(trial=self._trial(number, 0, server, workload, seed=0), status=status, detail=why)
            for number, ((server, workload), (status, why)) in enumerate(missing, start=1)
        ]

    def trials(self) -> Iterator[Trial]:
        """Yield the trials in their order: each round visits every cell once, shuffled, so that drift falls on all.

        Everything is drawn from the seed: the same plan gives the same trials.
        """
        draw = random.Random(self.seed)
        cells = [cell for cell in self.cells() if self._gap(*cell) is None]
        number = len(self.cells()) - len(cells)
        for round_number in range(1, self.trials_per_cell + 1):
            for server, workload in draw.sample(cells, len(cells)):
                number += 1
                yield self._trial(number, round_number, server, workload, seed=draw.getrandbits(SEED_BITS))

    def _trial(self, number: int, round_number: int, server: Server, named: NamedWorkload, seed: int) -> Trial:
        return Trial(
            number=number,
            round=round_number,
            server=server,
            workload_name=named.name,
            workload=named.workload.replace(seed=seed),
            generator=self.generator,
        )

    def _gap(self, server: Server, named: NamedWorkload) -> tuple[Status, str] | None:
        """Say why a cell will not be measured: it cannot be, or the server does not hold so many connections."""
        if server.gap is not None:
            return Status.SKIPPED, server.gap
        if server.name in self.refused:
            return Status.NONCONFORMING, self.refused[server.name]
        if server.connections_max is not None and named.workload.connections > server.connections_max:
            return Status.SKIPPED, f"{server.name} serves {count(server.connections_max)} at a time, at most"
        return None

    @property
    def connections_most(self) -> int:
        """The most connections that any trial holds."""
        wanted = (named.workload.connections for server, named in self.cells() if self._gap(server, named) is None)
        return max(wanted, default=0)
