"""What is to be measured, and in which order: servers crossed with workloads, in seeded rounds of blocks. Pure.

A plan is resolved and frozen: its servers are commands. Where it comes from is the business of `plan_file.py`.
"""

from __future__ import annotations

import dataclasses
import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.errors import unknown_name
from bench.experiment.model import Block, Server, Status, Trial, TrialResult
from bench.units import count

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from bench.experiment.model import AgentCluster, Design, LoadGenerator
    from clients.workload import Workload

SEED_BITS = 31
ROUNDS_WITHOUT_END = 100_000
"""Of a plan that ends when its time is over, or its ratios are narrow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NamedWorkload:
    """A workload and what tables call it; `only` names the servers it is for, None means all.

    `blocks_per_round` is how many fresh launches of its servers together a round has. More of them narrow what differs
    between launches, longer trials what differs between slices. A server that is measured solo has one trial a round.
    """

    name: str
    workload: Workload
    only: Collection[str] | None = None
    blocks_per_round: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Everything that a run needs to know before its first trial.

    There are so many `rounds`, fewer if the `minutes` are over before, or if every ratio to the `baseline` is known to
    within the fraction `until`. With the `design` "blocks" the servers of a workload are alive together, with "solo"
    each trial is measured alone. `workers` is the number of processes that the load `generator` uses, or `agents` the
    cluster that makes the load instead. `refused` names servers that are not measured because they are no echo servers,
    each with the reason; `nonconforming` names those that are measured all the same. `source` is the plan as it was
    asked for, from which the same plan can be resolved again, and `interpreters` what was found out about the Pythons
    that run its servers: both as plain JSON types.
    """

    name: str
    servers: tuple[Server, ...]
    workloads: tuple[NamedWorkload, ...]
    rounds: int
    seed: int
    baseline: str | None = None
    design: Design = "blocks"
    minutes: float | None = None
    until: float | None = None
    workers: int = 1
    generator: LoadGenerator = "python"
    agents: AgentCluster | None = None
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

    def measured_cells(self) -> list[tuple[Server, NamedWorkload]]:
        """Return the cells that can be measured here: all but the gaps."""
        return [cell for cell in self.cells() if self._gap(*cell) is None]

    def gaps(self) -> list[TrialResult]:
        """Return a result of round 0 for each cell that will not be measured, with the reason. They come first."""
        missing = [(cell, gap) for cell in self.cells() if (gap := self._gap(*cell)) is not None]
        return [
            TrialResult(trial=self._trial(number, 0, server, workload, seed=0), status=status, detail=why)
            for number, ((server, workload), (status, why)) in enumerate(missing, start=1)
        ]

    def with_baseline(self, name: str | None) -> Plan:
        """Return it with its baseline: the server of this name, else the first that has every workload.

        Raises UsageError, with the nearest name, if the plan has no such server.
        """
        names = [server.name for server in self.servers]
        if name is not None and name not in names:
            raise unknown_name("server of this plan", name, names)
        cells = {(server.name, named.name) for server, named in self.measured_cells()}
        whole = (one for one in names if all((one, named.name) in cells for named in self.workloads))
        return dataclasses.replace(self, baseline=name or next(whole, None))

    def to_json(self) -> dict[str, Any]:
        """Return what run.json says of the plan, as plain JSON types."""
        measured = self.measured_cells()
        return {
            "plan": self.source,
            "servers": [dataclasses.asdict(server) for server in self.servers],
            "workloads": [{"name": named.name, **named.workload.to_json()} for named in self.workloads],
            "cells": [
                {"server": server.name, "workload": named.name, "measured": (server, named) in measured}
                for server, named in self.cells()
            ],
            "interpreters": self.interpreters,
        }

    def trials(self) -> Iterator[Trial]:
        """Yield the trials of all blocks in their order. Without an end if there is none to the rounds."""
        for block in self.blocks():
            yield from block.trials

    def blocks(self, done: Collection[int] = ()) -> Iterator[Block]:
        """Yield the blocks in their order: each round visits every cell, shuffled, so that drift falls on all.

        A block whose trials all have numbers that are `done` is left out. Everything is drawn from the seed: the same
        plan gives the same blocks, and more rounds only add to them.
        """
        draw = random.Random(self.seed)
        groups = self.groups
        number = len(self.gaps())
        for block_number in range(1, len(groups) * self.rounds + 1):
            round_number, place = divmod(block_number - 1, len(groups))
            if not place:
                order = draw.sample(groups, len(groups))
            servers, named = order[place]
            trials, seed = [], draw.getrandbits(SEED_BITS)
            for server in servers:
                number += 1
                trials.append(self._trial(number, round_number + 1, server, named, seed=seed, block=block_number))
            if any(trial.number not in done for trial in trials):
                yield Block(trials=tuple(trials))

    def _groups(self, named: NamedWorkload) -> list[tuple[tuple[Server, ...], NamedWorkload]]:
        """Return the servers of a workload by who is measured together: those that can be, and each other one alone."""
        here = [server for server, one in self.measured_cells() if one is named]
        together = tuple(server for server in here if self.can_share(server, named))
        if len(together) <= 1:
            return [((server,), named) for server in here]
        alone = [((server,), named) for server in here if server not in together]
        return [(together, named)] * named.blocks_per_round + alone

    @property
    def is_endless(self) -> bool:
        """Whether the time, or the precision, ends it, and not the number of rounds."""
        return self.rounds >= ROUNDS_WITHOUT_END

    @property
    def size(self) -> int:
        """How many trials it has, if nothing ends it before."""
        return self.rounds * sum(len(servers) for servers, _ in self.groups)

    def can_share(self, server: Server, named: NamedWorkload) -> bool:
        """Whether a server may share blocks of a workload with others."""
        is_shared = self.design == "blocks" and self.workers == 1 and self.agents is None
        return is_shared and can_share(server, named.workload)

    @property
    def processes(self) -> int:
        """How many processes of this machine make the load."""
        return max(self.workers, 0 if self.agents is None else self.agents.made_here)

    def _trial(
        self, number: int, round_number: int, server: Server, named: NamedWorkload, *, seed: int, block: int = 0
    ) -> Trial:
        return Trial(
            number=number,
            round=round_number,
            block=block,
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
    def groups(self) -> list[tuple[tuple[Server, ...], NamedWorkload]]:
        """The servers that are alive at one time, with their workload, for every block of a round."""
        return [group for named in self.workloads for group in self._groups(named)]


def can_share(server: Server, workload: Workload) -> bool:
    """Whether a server may be alive beside others under a workload.

    Not if its port is fixed, or if it runs already. Nor if the number of connections grows, because a ramp is a matter
    of one uninterrupted load.
    """
    return server.target is None and server.port is None and workload.connections_profile is None
