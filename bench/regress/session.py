"""The experiment of `regress`: rounds of adjacent pairs, with planned looks at the data. Pure.

Laws of this file:
- The numbers never decide what is measured next, except at a planned look. A round visits the cells in a seeded
  shuffled order. The pairs of a cell are AB and BA in turn, from a random start.
- The trials of a pair follow each other at once and share a seed. The seed draws the memory layout of a launch, which
  can change a speed severalfold. So equal code is compared under equal conditions, and each pair gets a new layout.
- If one trial of a pair fails, the whole pair is measured again.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.experiment.model import Block, Experiment, Results, Status, Stop, Trial, TrialResult
from bench.regress.planner import Knowledge, PairedCell, PairPlan, make_plan
from bench.regress.validity import Log, cell_problem, gap, host_problem, lost, mean
from bench.verdict.judge import ALPHA, Problem, judge
from bench.verdict.pairs import Arm, Observation
from bench.verdict.words import Word

if TYPE_CHECKING:
    from bench.experiment.model import StopReason
    from bench.verdict.rules import Rule
    from bench.verdict.values import Comparison


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked: which cells, by which rules, in how many pairs or seconds.

    `same` says that both arms are the same code. `same_interpreter` asks for equal interpreters in both arms. `looks`
    are the numbers of pairs at which the data are judged. They follow from the number of pairs if they are None.
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
    logs: dict[str, Log]
    trials: int
    stopped: StopReason | None = None

    def share(self, metric: str) -> float:
        """Return the mean of a metric of the machine over all whole pairs; NaN if it was not seen."""
        return mean((result for log in self.logs.values() for pair in log.pairs for result in pair.values()), metric)


def session(question: Question, knowledge: Knowledge) -> Experiment[Compared]:
    """Ask for pairs until every cell has its word or the planned number of pairs, and return the verdict.

    The plan is told before the first pair. A plan that cannot decide anything measures nothing.
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
        stopped = stop.reason
    return Compared(
        comparison=under_way.judge(), plan=plan, logs=under_way.logs, trials=under_way.trials, stopped=stopped
    )


@dataclass(slots=True)
class _Session:
    """A comparison under way: the cells that are still measured, their trials, and the problems of the others."""

    question: Question
    plan: PairPlan
    problems: dict[str, Problem] = field(default_factory=dict)
    logs: dict[str, Log] = field(default_factory=dict)
    trials: int = 0
    _live: list[PairedCell] = field(default_factory=list)
    _baseline_first: dict[str, bool] = field(default_factory=dict)
    _random: random.Random = field(default_factory=random.Random)
    _round: int = 0

    def __post_init__(self) -> None:
        self._random.seed(self.question.seed)
        for cell in self.plan.cells:
            self.logs[cell.name] = Log()
            self._baseline_first[cell.name] = self._random.random() < 0.5  # noqa: PLR2004 - a coin
            problem = gap(cell.servers)
            if problem is None:
                self._live.append(cell)
            else:
                self.problems[cell.name] = problem

    def refuse(self, why: str) -> None:
        """Record for every cell without another problem why it cannot be decided."""
        for cell in self._live:
            self.problems[cell.name] = Problem(Word.INCONCLUSIVE, why)

    def measure(self) -> Experiment[None]:
        """Measure the live cells from look to look. A cell whose word is found stops there."""
        for look in self.plan.looks:
            yield from self._grow(look)
            if self._live and look != self.plan.looks[-1]:
                settled = {cell.cell for cell in self.judge().cells if cell.settled}
                self._live = [cell for cell in self._live if cell.name not in settled]

    def judge(self) -> Comparison:
        """Return the verdict on the pairs that there are now."""
        names = [cell.name for cell in self.plan.cells]
        problems = dict(self.problems)
        for name in names:
            found = cell_problem(self.logs[name], self.plan.rules, same_interpreter=self.question.same_interpreter)
            if found is not None:
                problems.setdefault(name, found)
        return judge(
            [row for name in names for row in observations(name, self.logs[name])],
            cells=names,
            looks=self.plan.looks,
            rules=self.plan.rules,
            alpha=ALPHA,
            problems=problems,
            host_problem=host_problem(self.logs.values()),
        )

    def _grow(self, pairs: int) -> Experiment[None]:
        """Ask for rounds until every live cell has this many pairs."""
        while waiting := [cell for cell in self._live if len(self.logs[cell.name].pairs) < pairs]:
            self._random.shuffle(waiting)
            for cell in waiting:
                yield from self._pair(cell)
            self._round += 1

    def _pair(self, cell: PairedCell) -> Experiment[None]:
        log = self.logs[cell.name]
        baseline_first = self._baseline_first[cell.name] == (len(log.pairs) % 2 == 0)
        seed = self._random.randrange(2**31)
        pair: dict[Arm, TrialResult] = {}
        order = (Arm.BASELINE, Arm.CANDIDATE) if baseline_first else (Arm.CANDIDATE, Arm.BASELINE)
        for arm in order:
            results: Results = yield Block(trials=(self._trial(cell, arm, seed),), continues=arm is order[1])
            if results[0].status is Status.MEASURED:
                pair[arm] = results[0]
            else:
                log.failed.append((arm, results[0]))
        if len(pair) == len(Arm):
            log.pairs.append(pair)
        elif problem := lost(log, self.plan.pairs):
            self.problems[cell.name] = problem
            self._live.remove(cell)

    def _trial(self, cell: PairedCell, arm: Arm, seed: int) -> Trial:
        self.trials += 1
        return Trial(
            number=self.trials,
            round=self._round + 1,
            server=cell.servers[arm],
            workload_name=cell.workload_name,
            workload=cell.workload.replace(seed=seed),
        )


def observations(cell: str, log: Log) -> list[Observation]:
    """Return the rows of the whole pairs. Which trial of a pair ran first is read from the trial numbers."""
    return [
        Observation(
            cell=cell,
            pair=number,
            arm=arm,
            position=int(result.trial.number > pair[_other(arm)].trial.number),
            values=result.metrics,
        )
        for number, pair in enumerate(log.pairs)
        for arm, result in pair.items()
    ]


def _other(arm: Arm) -> Arm:
    return Arm.CANDIDATE if arm is Arm.BASELINE else Arm.BASELINE
