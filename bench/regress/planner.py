"""From time to pairs, and from noise to what they can see: said before the first trial.

Plans only; it starts nothing and judges nothing.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

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

OVERHEAD_S = 0.4
"""Launch, connect and stop of a trial, until a comparison has measured them."""

FEWEST_PAIRS = 10
ROOM_FOR_NOISE = 2
"""Plan this many times the pairs that the noise asks for: noise varies, and early looks give back the time."""

SCREENED_CELLS = 10
"""From so many cells on, time is spent better by a screen: some pairs of each, then more of what looks slower."""

SCREEN_PAIRS = 15
SUSPICION = 0.10
"""One-sided p at which a test looks slower. Unchanged code gets there in a tenth of the tests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One server under one workload, once per arm. Both arms get the same workload from the same generator."""

    name: str
    servers: Mapping[Arm, Server]
    workload_name: str
    workload: Workload


@dataclass(frozen=True, slots=True, kw_only=True)
class Knowledge:
    """What is known of the noise: standard deviation of the log ratio of a pair, and wall seconds of a trial."""

    pair_sd: Mapping[tuple[str, str], float]
    trial_s: Mapping[str, float]

    def trial_seconds(self, cell: Cell) -> float:
        """Return the remembered wall time of a trial, or what its parts add up to."""
        return self.trial_s.get(cell.name, cell.workload.warmup_s + cell.workload.duration_s + OVERHEAD_S)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sight:
    """What the planned pairs see of one gating metric: the slowdown found with 80 % probability, and its budget."""

    cell: str
    rule: Rule
    minimal_effect: float
    pairs_needed: int

    @property
    def blind(self) -> bool:
        """Whether a slowdown of one budget would more likely than not be missed."""
        return not self.minimal_effect <= self.rule.budget


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Which cells, how many pairs of each, when to look, how long it takes, and what it will see.

    With a `screen`, after so many pairs, which is the first look, the cells that do not look slower wait until those
    that do are done. 0 is no screen.
    """

    cells: tuple[Cell, ...]
    left_out: tuple[str, ...]
    rules: tuple[Rule, ...]
    pairs: int
    looks: tuple[int, ...]
    round_s: float
    seed: int
    sights: tuple[Sight, ...]
    screen: int = 0

    @property
    def family(self) -> int:
        """Number of tests that can turn the gate red."""
        return len(self.cells) * sum(rule.gating for rule in self.rules)

    @property
    def fewest_pairs(self) -> int:
        """Pairs below which no outcome whatever could be called REGRESSED."""
        return smallest_firing(nominal_alpha(ALPHA / self.family, self.looks))

    @property
    def trials(self) -> int:
        """Trials that are to be expected if no cell is settled early."""
        followed = _followed(self.cells, self.rules) if self.screen else len(self.cells)
        return 2 * (self.screen * len(self.cells) + math.ceil((self.pairs - self.screen) * followed))

    def sentences(self) -> list[str]:
        """Say the plan to a person, before it starts."""
        cells, looks = _count(len(self.cells), "cell"), ", ".join(map(str, self.looks))
        amount = f"{cells} x {self.pairs} pairs, at most {_minutes(self.pairs * self.round_s)}"
        if self.screen:
            first = f"{cells} x {self.screen} pairs, {_minutes(self.screen * self.round_s)}"
            amount = f"{first}; up to {self.pairs} of what looks slower then, and of the rest while there is time"
        lines = [f"plan: {amount}; looks at {looks} pairs; seed {self.seed}"]
        if self.left_out:
            lines.append(f"left out for lack of time: {', '.join(self.left_out)}")
        if self.pairs < self.fewest_pairs:
            lines.append(self.too_few)
        if not self.sights:
            lines.append("the noise of these cells is not known yet: what can be seen is said after the first pairs")
        return lines + [self._sight(sight) for sight in self.sights]

    @property
    def too_few(self) -> str:
        """Say that these pairs could not turn the gate red, whatever they showed."""
        duration = _minutes(self.fewest_pairs * self.round_s)
        return (
            f"{_count(self.pairs, 'pair')} cannot decide anything among {_count(self.family, 'test')}: "
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
    cells: Sequence[Cell],
    rules: Sequence[Rule],
    *,
    knowledge: Knowledge,
    seed: int,
    pairs: int | None = None,
    seconds: float | None = None,
    looks: tuple[int, ...] | None = None,
    may_leave_out: bool = False,
) -> Plan:
    """Turn `pairs`, or else `seconds`, into a plan.

    From SCREENED_CELLS cells on, `seconds` that suffice for it buy a screen, and more pairs of what looks slower.
    With `may_leave_out` cells are dropped from the end, as long as those that stay could not see their budgets
    (10 pairs if the noise is not known). Pairs asked for are never changed, even if they cannot decide anything.
    """
    assert (pairs is None) != (seconds is None)
    kept = list(cells)
    while True:
        round_s = sum(2 * knowledge.trial_seconds(cell) for cell in kept)
        screen, affordable = (0, pairs) if pairs is not None else _affordable((seconds or 0.0) / round_s, kept, rules)
        chosen_looks = looks or _looks(screen, affordable)
        strict = nominal_alpha(ALPHA / (len(kept) * sum(rule.gating for rule in rules)), chosen_looks)
        needed = _needed(kept, rules, knowledge, strict)
        if pairs is not None or not may_leave_out or len(kept) == 1 or affordable >= needed:
            break
        kept.pop()
    if pairs is None and knowledge.pair_sd:
        enough = max(2 * FEWEST_PAIRS, ROOM_FOR_NOISE * needed)
        affordable = min(affordable, max(enough, screen + FEWEST_PAIRS))
        chosen_looks = looks or _looks(screen, affordable)
    return Plan(
        cells=tuple(kept),
        left_out=tuple(cell.name for cell in cells[len(kept) :]),
        rules=tuple(rules),
        pairs=affordable,
        looks=chosen_looks,
        round_s=round_s,
        seed=seed,
        sights=_sights(kept, rules, knowledge, affordable, strict),
        screen=0 if looks else screen,
    )


def _affordable(rounds: float, cells: Sequence[Cell], rules: Sequence[Rule]) -> tuple[int, int]:
    """Return after how many pairs to screen, 0 for not at all, and how many pairs of a cell the rounds buy."""
    more = math.floor((rounds - SCREEN_PAIRS) * len(cells) / _followed(cells, rules))
    if len(cells) >= SCREENED_CELLS and more >= FEWEST_PAIRS:
        return SCREEN_PAIRS, SCREEN_PAIRS + more
    return 0, max(1, math.floor(rounds))


def _followed(cells: Sequence[Cell], rules: Sequence[Rule]) -> float:
    """Return how many cells go on after a screen: as many as equal code gives, and one that is slower."""
    return min(len(cells), 1 + SUSPICION * len(cells) * sum(rule.gating for rule in rules))


def _looks(screen: int, pairs: int) -> tuple[int, ...]:
    """Return the planned looks; that of a screen is the first."""
    return (screen, *(screen + look for look in planned(pairs - screen))) if screen else planned(pairs)


def _needed(cells: Sequence[Cell], rules: Sequence[Rule], knowledge: Knowledge, strict: float) -> int:
    known = [sight.pairs_needed for sight in _sights(cells, rules, knowledge, FEWEST_PAIRS, strict)]
    return max(FEWEST_PAIRS, smallest_firing(strict), *known)


def _sights(
    cells: Sequence[Cell], rules: Sequence[Rule], knowledge: Knowledge, pairs: int, strict: float
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
