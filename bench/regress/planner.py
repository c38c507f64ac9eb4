"""The plan of a comparison: how many pairs its time allows, and which changes they will see. Pure.

It is told before the first trial. Nothing is started or judged here.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.experiment.model import News
from bench.experiment.planning.plan import can_share
from bench.stats import minimal_effect, pairs_needed, smallest_firing
from bench.units import percent
from bench.verdict.interim import nominal_alpha, planned
from bench.verdict.judge import ALPHA

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.experiment.model import Server
    from bench.verdict.pairs import Arm
    from bench.verdict.rules import Rule
    from clients.workload import Workload

OVERHEAD_S = 0.6
"""Seconds for launch, connecting and stop of a block, until a comparison has measured them."""

SOLO = "measured solo, one arm after the other: so is a fixed port, and a number of connections that grows"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedCell:
    """One server under one workload, once for each arm. Both arms get the same workload.

    `source` is what the two servers were made from, in words that are the same whenever the same is compared.
    """

    name: str
    servers: Mapping[Arm, Server]
    workload_name: str
    workload: Workload
    source: tuple[str, ...] = ()

    @property
    def together(self) -> bool:
        """Whether both arms can be alive together, and so share a block."""
        return all(can_share(server, self.workload) for server in self.servers.values())

    @property
    def measurement(self) -> str:
        """A key of all that a pair's noise depends on: what is compared, the whole load, and the design."""
        load = {**self.workload.to_json(), "seed": None}
        parts = [self.name, *self.source, json.dumps(load, sort_keys=True), "block" if self.together else "solo"]
        return hashlib.sha256(repr(parts).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """What is remembered: standard deviation of the log ratio of a pair by cell and metric, wall seconds of a trial."""

    pair_sd: Mapping[tuple[str, str], float]
    trial_s: Mapping[str, float]

    def pair_seconds(self, cell: PairedCell) -> float:
        """Return the remembered wall time of a pair, or what its parts add up to."""
        if cell.name in self.trial_s:
            return 2 * self.trial_s[cell.name]
        loads_s = 2 * (cell.workload.warmup_s + cell.workload.duration_s)
        return loads_s + OVERHEAD_S * (1 if cell.together else 2)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """The slowdown of one gating metric that the planned pairs find with 80 % probability, and its budget."""

    cell: str
    rule: Rule
    minimal_effect: float
    pairs_needed: int

    @property
    def blind(self) -> bool:
        """Whether a slowdown of one budget would more likely than not be missed."""
        return not self.minimal_effect <= self.rule.budget


@dataclass(frozen=True, slots=True, kw_only=True)
class PairPlan(News):
    """The cells, the pairs of each, the looks, the seconds that a round takes, and what the pairs will see."""

    cells: tuple[PairedCell, ...]
    left_out: tuple[str, ...]
    rules: tuple[Rule, ...]
    pairs: int
    looks: tuple[int, ...]
    round_s: float
    seed: int
    sights: tuple[Sight, ...]

    @property
    def family(self) -> int:
        """Number of tests that can turn the gate red."""
        return len(self.cells) * sum(rule.gating for rule in self.rules)

    @property
    def fewest_pairs(self) -> int:
        """The number of pairs below which no result could be called REGRESSED."""
        return smallest_firing(nominal_alpha(ALPHA / self.family, self.looks))

    @property
    def trials(self) -> int:
        """The number of trials if no cell is settled early."""
        return 2 * self.pairs * len(self.cells)

    @property
    def lines(self) -> list[str]:
        """The plan in words, for a person, before it starts."""
        cells, looks = _count(len(self.cells), "cell"), ", ".join(map(str, self.looks))
        amount = f"{cells} x {self.pairs} pairs, at most {_minutes(self.pairs * self.round_s)}"
        lines = [f"plan: {amount}; looks at {looks} pairs; seed {self.seed}"]
        if self.left_out:
            lines.append(f"left out for lack of time: {', '.join(self.left_out)}")
        lines += [f"{cell.name}: {SOLO}" for cell in self.cells if not cell.together]
        if self.pairs < self.fewest_pairs:
            lines.append(self.too_few)
        if not self.sights:
            lines.append("the noise of these cells is not known yet: the end of the comparison says what it could see")
        return lines + [self._sight(sight) for sight in self.sights]

    @property
    def too_few(self) -> str:
        """A sentence that says how many pairs could decide, where these pairs could not."""
        duration = _minutes(self.fewest_pairs * self.round_s)
        return (
            f"{_count(self.pairs, 'pair')} cannot decide anything among {_count(self.family, 'test')}, "
            f"at least {self.fewest_pairs} are needed, about {duration}"
        )

    def _sight(self, sight: Sight) -> str:
        seen = percent(sight.minimal_effect, signed=False)
        line = f"{sight.cell}: {sight.rule.title}: slowdowns from {seen} are seen"
        budget = percent(sight.rule.budget, signed=False)
        if not sight.blind:
            return f"{line} (budget {budget})"
        more = _minutes(sight.pairs_needed * self.round_s)
        return f"{line}, the budget of {budget} is not: that takes {sight.pairs_needed} pairs, about {more}"


def make_plan(
    cells: Sequence[PairedCell],
    rules: Sequence[Rule],
    *,
    knowledge: Knowledge,
    seed: int,
    pairs: int | None = None,
    seconds: float | None = None,
    looks: tuple[int, ...] | None = None,
    may_leave_out: bool = False,
) -> PairPlan:
    """Turn `pairs`, or else `seconds`, into a plan.

    With `may_leave_out`, cells are dropped from the end until the others have enough pairs to see their budgets, or
    enough to decide anything if the noise is not known. A given number of pairs is never changed, even if it cannot
    decide anything.
    """
    assert (pairs is None) != (seconds is None)
    kept = list(cells)
    while True:
        round_s = sum(knowledge.pair_seconds(cell) for cell in kept)
        affordable = max(1, math.floor((seconds or 0.0) / round_s)) if pairs is None else pairs
        alpha = ALPHA / (len(kept) * sum(rule.gating for rule in rules))
        chosen_looks = looks or planned(affordable, alpha)
        strict = nominal_alpha(alpha, chosen_looks)
        needed = _needed(kept, rules, knowledge, strict)
        if pairs is not None or not may_leave_out or len(kept) == 1 or affordable >= needed:
            break
        kept.pop()
    return PairPlan(
        cells=tuple(kept),
        left_out=tuple(cell.name for cell in cells[len(kept) :]),
        rules=tuple(rules),
        pairs=affordable,
        looks=chosen_looks,
        round_s=round_s,
        seed=seed,
        sights=_sights(kept, rules, knowledge, affordable, strict),
    )


def _needed(cells: Sequence[PairedCell], rules: Sequence[Rule], knowledge: Knowledge, strict: float) -> int:
    fewest = smallest_firing(strict)
    return max([fewest, *(sight.pairs_needed for sight in _sights(cells, rules, knowledge, fewest, strict))])


def _sights(
    cells: Sequence[PairedCell], rules: Sequence[Rule], knowledge: Knowledge, pairs: int, strict: float
) -> tuple[Sight, ...]:
    return tuple(
        Sight(
            cell=cell.name,
            rule=rule,
            minimal_effect=math.expm1(minimal_effect(sd, pairs, alpha=strict)),
            pairs_needed=pairs_needed(sd, math.log1p(rule.budget), alpha=strict),
        )
        for cell in cells
        for rule in rules
        if rule.gating and (sd := knowledge.pair_sd.get((cell.name, rule.metric))) is not None
    )


def _minutes(seconds: float) -> str:
    return f"{seconds:.0f} s" if seconds < 120 else f"{seconds / 60:.0f} min"  # noqa: PLR2004 - two minutes read as 2 min


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
