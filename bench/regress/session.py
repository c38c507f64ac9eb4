"""The experiment of `regress`: rounds of pairs, with planned looks at the data. Pure.

Laws of this file:
- A pair is one block: both arms are launched together and get the load in turn, slice by slice. Arms that cannot be
  alive together are measured solo: the pair is two blocks, and the second follows the first at once.
- The numbers never decide what is measured next, except at a planned look. A round visits the cells in a seeded
  shuffled order. Of every four pairs of a cell two are AB and two are BA, in an order that is drawn, so that no
  disturbance with a period keeps step with it.
- Both trials of a pair share a seed. The seed draws the memory layout of a launch, which can change a speed
  severalfold. So equal code is compared under equal conditions, and each pair gets a new layout.
- If one trial of a pair fails, the whole pair is measured again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

from bench.experiment.model import Block, Experiment, Results, Stop, Trial
from bench.regress.planner import Knowledge, PairedCell, PairPlan, make_plan
from bench.regress.validity import (
    CellPairs,
    cell_problem,
    gap,
    generator_was_the_limit,
    host_problem,
    lost,
    mean,
    seen_past_the_generator,
)
from bench.verdict.foresight import has_ended
from bench.verdict.judge import ALPHA, Problem, judge
from bench.verdict.pairs import Arm, Observation
from bench.verdict.words import Word

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.experiment.model import StopReason
    from bench.verdict.rules import Rule
    from bench.verdict.values import Comparison
    from clients.workload import Workload

ORDERS = 4
"""Pairs of a cell among which both orders are balanced."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked: which cells, by which rules, in how many pairs or seconds.

    `same` says that both arms are the same code. `same_interpreter` asks for equal interpreters in both arms. `looks`
    are the numbers of pairs at which the data are judged. They follow from the numbers of pairs and tests if they are
    None.
    """

    cells: tuple[PairedCell, ...]
    rules: tuple[Rule, ...]
    seed: int
    machine: str
    pairs: int | None = None
    seconds: float | None = None
    looks: tuple[int, ...] | None = None
    may_leave_out: bool = False
    same: bool = False
    same_interpreter: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Compared:
    """The verdict and what it rests on: the plan, the trials by cell, and why it ended early, or None."""

    comparison: Comparison
    plan: PairPlan
    pairs: dict[str, CellPairs]
    trials: int
    stopped: StopReason | None = None

    def share(self, metric: str) -> float:
        """Return the mean of a metric of the machine over all whole pairs; NaN if it was not seen."""
        whole = (pair for pairs in self.pairs.values() for pair in pairs.whole)
        return mean((result for pair in whole for result in pair.values()), metric)


def session(question: Question, knowledge: Knowledge) -> Experiment[Compared]:
    """Ask for pairs until every cell has its word or the planned number of pairs, and return the verdict.

    The plan is told before the first pair. A plan that cannot decide anything measures nothing. Raises Stop if it is
    stopped before it has a pair: then there is nothing to say.
    """
    plan = make_plan(
        question.cells,
        question.rules,
        knowledge=knowledge,
        seed=question.seed,
        pairs=question.pairs,
        seconds=question.seconds,
        looks=question.looks,
        may_leave_out=question.may_leave_out,
    )
    under_way = _Session(question, plan)
    yield plan
    stopped = None
    try:
        if plan.pairs >= plan.fewest_pairs:
            yield from under_way.measure()
        else:
            under_way.refuse(plan.too_few)
    except Stop as stop:
        if not any(pairs.whole for pairs in under_way.pairs.values()):
            raise
        stopped = stop.reason
        under_way.give_up()
    return Compared(
        comparison=under_way.judge(), plan=plan, pairs=under_way.pairs, trials=under_way.trials, stopped=stopped
    )


class _Visit(NamedTuple):
    """A pair of a cell that is to be measured, and the round in which it is."""

    round: int
    cell: PairedCell


@dataclass(slots=True)
class _Session:
    """A comparison under way: the cells that are still measured, their trials, and the problems of the others."""

    question: Question
    plan: PairPlan
    problems: dict[str, Problem] = field(default_factory=dict)
    pairs: dict[str, CellPairs] = field(default_factory=dict)
    trials: int = 0
    _live: list[PairedCell] = field(default_factory=list)
    _orders: dict[str, list[tuple[Arm, Arm]]] = field(default_factory=dict)
    _drawn: dict[str, Workload] = field(default_factory=dict)
    _random: random.Random = field(default_factory=random.Random)
    _round: int = 0
    _blocks: int = 0

    def __post_init__(self) -> None:
        self._random.seed(self.question.seed)
        for cell in self.plan.cells:
            self.pairs[cell.name] = CellPairs()
            self._orders[cell.name] = []
            problem = gap(cell.servers)
            if problem is None:
                self._live.append(cell)
            else:
                self.problems[cell.name] = problem

    def refuse(self, why: str) -> None:
        """Record for every cell without another problem why it cannot be decided."""
        for cell in self._live:
            self.problems[cell.name] = Problem(Word.INCONCLUSIVE, why)

    def give_up(self) -> None:
        """Say of every cell without a pair that it was not reached."""
        for cell in self._live:
            if not self.pairs[cell.name].whole:
                self.problems[cell.name] = Problem(Word.INCONCLUSIVE, "the check was stopped before it had a pair")

    def measure(self) -> Experiment[None]:
        """Measure the live cells from look to look. A cell whose word its other pairs would not change ends there.

        A look asks only the rules that decide.
        """
        deciding = [rule for rule in self.plan.rules if rule.gating]
        for look in self.plan.looks:
            yield from self._grow(look)
            if self._live and look != self.plan.looks[-1]:
                found = self._judge(deciding)
                ended = {cell.cell for cell in found.cells if has_ended(cell, found)}
                self._live = [cell for cell in self._live if cell.name not in ended]

    def judge(self) -> Comparison:
        """Return the verdict on the pairs that there are now."""
        return self._judge(self.plan.rules)

    def _judge(self, rules: Sequence[Rule]) -> Comparison:
        names = [cell.name for cell in self.plan.cells]
        problems = dict(self.problems)
        for name in names:
            found = cell_problem(self.pairs[name], rules, same_interpreter=self.question.same_interpreter)
            if found is not None:
                problems.setdefault(name, found)
        blunt = [name for name in names if name not in problems and generator_was_the_limit(self.pairs[name])]
        return judge(
            [row for name in names for row in observations(name, self.pairs[name])],
            cells=names,
            looks=self.plan.looks,
            rules=rules,
            alpha=ALPHA,
            cell_rules=dict.fromkeys(blunt, seen_past_the_generator(rules)),
            problems=problems,
            host_problem=host_problem(self.pairs.values()),
        )

    def _grow(self, pairs: int) -> Experiment[None]:
        """Ask for rounds until every live cell has this many pairs."""
        while visits := self._visits(pairs):
            while visits:
                visit = visits.pop(0)
                yield from self._pair(visit, visits[0] if visits else None)
                visits = [other for other in visits if other.cell in self._live]

    def _visits(self, pairs: int) -> list[_Visit]:
        """Return the rounds that it takes if no pair is lost, each in an order of its own."""
        visits: list[_Visit] = []
        missing = [pairs - len(self.pairs[cell.name].whole) for cell in self._live]
        for number in range(max(missing, default=0)):
            waiting = [cell for cell, lacks in zip(self._live, missing, strict=True) if lacks > number]
            self._random.shuffle(waiting)
            self._round += 1
            visits += [_Visit(self._round, cell) for cell in waiting]
        return visits

    def _pair(self, visit: _Visit, after: _Visit | None) -> Experiment[None]:
        """Ask for a pair; `after` is the visit that comes next if this one succeeds."""
        cell, order = visit.cell, self._order(visit.cell)
        workload = self._drawn.pop(cell.name, None) or self._draw(cell)
        results: Results = ()
        for arms in [order] if cell.together else [order[:1], order[1:]]:
            block = self._block(visit, arms, workload, continues=bool(results))
            self._blocks += 1
            self.trials += len(arms)
            results += yield replace(block, following=self._following(cell, after))
        pairs = self.pairs[cell.name]
        if pairs.add(dict(zip(order, results, strict=True))):
            self._orders[cell.name].pop()
        elif problem := lost(pairs, self.plan.pairs):
            self.problems[cell.name] = problem
            self._live.remove(cell)

    def _following(self, cell: PairedCell, after: _Visit | None) -> tuple[Trial, ...]:
        """Return the trials of the next block, if both arms are alive in it: servers of solo trials are alone."""
        if after is None or not (cell.together and after.cell.together):
            return ()
        order = self._order(after.cell, ahead=1 if after.cell is cell else 0)
        workload = self._drawn[after.cell.name] = self._draw(after.cell)
        return self._block(after, order, workload).trials

    def _draw(self, cell: PairedCell) -> Workload:
        return cell.workload.replace(seed=self._random.randrange(2**31))

    def _order(self, cell: PairedCell, ahead: int = 0) -> tuple[Arm, Arm]:
        """Return the order of a pair of a cell that comes next; a pair that is measured again keeps its order."""
        orders = self._orders[cell.name]
        if len(orders) <= ahead:
            fresh = [(Arm.BASELINE, Arm.CANDIDATE), (Arm.CANDIDATE, Arm.BASELINE)] * (ORDERS // 2)
            self._random.shuffle(fresh)
            orders[:0] = fresh
        return orders[-1 - ahead]

    def _block(self, visit: _Visit, arms: Sequence[Arm], workload: Workload, *, continues: bool = False) -> Block:
        """Return the block that is asked for next, if it is of these arms."""
        trials = tuple(
            Trial(
                number=self.trials + number,
                round=visit.round,
                block=self._blocks + 1,
                server=visit.cell.servers[arm],
                workload_name=visit.cell.workload_name,
                workload=workload,
            )
            for number, arm in enumerate(arms, start=1)
        )
        return Block(trials=trials, continues=continues)


def observations(cell: str, pairs: CellPairs) -> list[Observation]:
    """Return the rows of the whole pairs, for the verdict."""
    return [
        Observation(cell=cell, pair=number, arm=arm, values=result.metrics, slices=result.slices)
        for number, pair in enumerate(pairs.whole)
        for arm, result in pair.items()
    ]
