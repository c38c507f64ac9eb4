"""One comparison from the first trial to the verdict: rounds of pairs, planned looks, and nothing between them.

Laws of this file:
- The order is fixed before it is needed: rounds visit the cells in a seeded shuffled order, a pair is AB or BA in turn
  from a random start. What the numbers say never decides what is measured next, except at a planned look.
- Both trials of a pair follow each other at once, and share a seed: the layout of memory that it draws for a launch can
  change a speed severalfold, and equal code meets equal layouts. The next pair draws anew, so that no layout rules.
- A pair of which one trial failed is measured again, whole.
- A screen decides who is measured next, and nothing else: who looked slower has no easier terms, who did not may still
  be convicted. So it takes power at most, and a limited time gives more back than that.
- `measure` is the only door to the world, `clock` the only clock.
"""

from __future__ import annotations

import random
import time
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Protocol

from bench.experiment.model import Measure, Status, Trial, TrialResult
from bench.regress.planner import SUSPICION, Cell, Knowledge, Plan, make_plan
from bench.regress.validity import Log, cell_problem, gap, host_problem, lost, mean, not_steady
from bench.verdict.judge import ALPHA, Problem, judge
from bench.verdict.pairs import Arm, Observation
from bench.verdict.words import Word

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from bench.regress.ledger import Ledger
    from bench.verdict.rules import Rule
    from bench.verdict.values import Comparison
    from clients.workload import Workload

PILOT_PAIRS = 4
PILOT_LEVEL = 0.98
"""Of the interval that lengthens a warm-up, which does no harm where it was not needed."""

LONGER_WARMUP = 3.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """What is asked: which cells, by which rules, in how many pairs or seconds.

    `same` says that both arms are the same code. `same_interpreter` asks for equal interpreters in both arms.
    """

    cells: tuple[Cell, ...]
    rules: tuple[Rule, ...]
    seed: int
    machine: str
    pairs: int | None = None
    seconds: float | None = None
    looks: tuple[int, ...] | None = None
    may_leave_out: bool = False
    same: bool = False
    same_interpreter: bool = True


class Watcher(Protocol):
    """Who is told how far the comparison is. It may print; it cannot change anything."""

    def planned(self, plan: Plan) -> None:
        """Hear the plan, once it is known."""

    def measured(self, cell: Cell, arm: Arm, result: TrialResult, done: int, of: int) -> None:
        """Hear of a trial that ended; `of` is the number planned for all cells together."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """The verdict and what it rests on: the plan as it was in the end, every trial, and the seconds it took."""

    comparison: Comparison
    plan: Plan
    logs: dict[str, Log]
    seconds: float
    trials: int

    def share(self, metric: str) -> float:
        """Return the mean of a metric of the machine over all whole pairs; NaN if it was not seen."""
        return mean((result for log in self.logs.values() for pair in log.pairs for result in pair.values()), metric)


@dataclass(slots=True)
class Session:
    """A comparison under way. Call `run` once."""

    question: Question
    measure: Measure
    ledger: Ledger | None = None
    watcher: Watcher | None = None
    clock: Callable[[], float] = time.monotonic
    problems: dict[str, Problem] = field(default_factory=dict)
    logs: dict[str, Log] = field(default_factory=dict)
    _cells: dict[str, Cell] = field(default_factory=dict)
    _live: list[str] = field(default_factory=list)
    _baseline_first: dict[str, bool] = field(default_factory=dict)
    _random: random.Random = field(default_factory=random.Random)
    _trials: int = 0
    _round: int = 0
    _began_s: float = 0.0

    def run(self) -> Outcome:
        """Measure, look when planned, and judge. A plan that cannot decide anything ends as soon as that is known."""
        self._random.seed(self.question.seed)
        self._began_s = self.clock()
        plan = self._plan(self.question.cells, self._remembered())
        self._start(plan)
        if plan.pairs >= plan.fewest_pairs:
            plan = self._pilot(plan)
        if plan.pairs >= plan.fewest_pairs:
            comparison = self._measure(plan)
        else:
            self.problems = {name: Problem(Word.INCONCLUSIVE, plan.too_few) for name in self._cells} | self.problems
            comparison = self._judge(plan)
        return Outcome(
            comparison=comparison, plan=plan, logs=self.logs, seconds=self.clock() - self._began_s, trials=self._trials
        )

    def _start(self, plan: Plan) -> None:
        self._cells = {cell.name: cell for cell in plan.cells}
        self.problems = {
            name: problem for name, cell in self._cells.items() if (problem := gap(cell.servers)) is not None
        }
        self._live = [name for name in self._cells if name not in self.problems]
        self.logs = {name: Log() for name in self._cells}
        self._baseline_first = {name: self._random.random() < 0.5 for name in self._cells}  # noqa: PLR2004 - a coin
        if self.watcher is not None:
            self.watcher.planned(plan)

    def _plan(self, cells: Sequence[Cell], knowledge: Knowledge) -> Plan:
        asked = self.question
        return make_plan(
            cells,
            asked.rules,
            knowledge=knowledge,
            seed=asked.seed,
            pairs=asked.pairs,
            seconds=asked.seconds,
            looks=asked.looks,
            may_leave_out=asked.may_leave_out,
        )

    def _remembered(self) -> Knowledge:
        """Ask the ledger for the noise and the pace of each cell on this machine."""
        if self.ledger is None:
            return Knowledge(pair_sd={}, trial_s={})
        ledger, machine = self.ledger, self.question.machine
        sds = {
            (cell.name, rule.metric): ledger.pair_sd(cell.name, rule.metric, machine)
            for cell in self.question.cells
            for rule in self.question.rules
        }
        paces = {cell.name: ledger.trial_s(cell.name, machine) for cell in self.question.cells}
        return Knowledge(
            pair_sd={key: sd for key, sd in sds.items() if sd is not None},
            trial_s={name: pace for name, pace in paces.items() if pace is not None},
        )

    def _pilot(self, plan: Plan) -> Plan:
        """Measure the first pairs, mend the warm-up once where it was too short, and plan again from what they cost.

        The pairs stay in the comparison: the new plan depends on their spread and pace, not on which arm was slower.
        """
        if plan.pairs < 2 * PILOT_PAIRS or not self._grow(PILOT_PAIRS, plan):
            return plan
        for name in [name for name in self._live if not_steady(self.logs[name], PILOT_LEVEL)]:
            cell = self._cells[name]
            longer = cell.workload.replace(warmup_s=LONGER_WARMUP * max(cell.workload.warmup_s, 0.1))
            self._cells[name] = replace(cell, workload=longer)
            self.logs[name] = Log()
        if plan.sights or self.question.pairs is not None:
            return plan
        spent_s = self.clock() - self._began_s
        pace_s = spent_s / max(1, self._trials)
        found = Knowledge(pair_sd=self._pair_sds(plan), trial_s=dict.fromkeys(self._cells, pace_s))
        again = self._plan(plan.cells, found)
        kept = {cell.name for cell in again.cells}
        again = replace(again, left_out=plan.left_out + again.left_out)
        self._live = [name for name in self._live if name in kept]
        if self.watcher is not None:
            self.watcher.planned(again)
        return again

    def _pair_sds(self, plan: Plan) -> dict[tuple[str, str], float]:
        comparison = self._judge(plan, gates=False)
        return {
            (cell.cell, metric.rule.metric): metric.noise.sd
            for cell in comparison.cells
            for metric in cell.metrics
            if metric.noise is not None and metric.noise.sd > 0
        }

    def _measure(self, plan: Plan) -> Comparison:
        if plan.screen:
            self._follow(plan, plan.looks[:1])
            suspects = self._suspects(plan)
            rest = [name for name in self._live if name not in suspects]
            self._live = [name for name in self._live if name in suspects]
            self._follow(plan, plan.looks[1:])
            self._live = rest
            self._follow(plan, plan.looks[1:])
        else:
            self._follow(plan, plan.looks)
        return self._judge(plan)

    def _follow(self, plan: Plan, looks: Sequence[int]) -> None:
        """Measure the live cells from look to look; those whose word is found stop there."""
        for look in looks:
            if not self._live or not self._grow(look, plan):
                return
            if look != plan.looks[-1]:
                found = self._judge(plan).cells
                self._live = [cell.cell for cell in found if not cell.settled and cell.cell in self._live]

    def _suspects(self, plan: Plan) -> set[str]:
        """Name the cells of which a gating metric looks slower. That the others wait can only lower false alarms."""
        return {
            cell.cell
            for cell in self._judge(plan).cells
            if any(metric.rule.gating and metric.suspicion <= SUSPICION for metric in cell.metrics)
        }

    def _grow(self, pairs: int, plan: Plan) -> bool:
        """Run rounds until every live cell has this many pairs; False if the time was up before."""
        while waiting := [name for name in self._live if len(self.logs[name].pairs) < pairs]:
            if self._is_late(len(waiting)):
                return False
            self._random.shuffle(waiting)
            for name in waiting:
                self._pair(self._cells[name], plan)
            self._round += 1
        return True

    def _is_late(self, cells: int) -> bool:
        """Whether a pair of so many cells would end beyond the time asked for."""
        limit_s = self.question.seconds
        if limit_s is None or self._trials == 0:
            return False
        spent_s = self.clock() - self._began_s
        return spent_s + 2 * cells * spent_s / self._trials > limit_s

    def _pair(self, cell: Cell, plan: Plan) -> None:
        log = self.logs[cell.name]
        baseline_first = self._baseline_first[cell.name] == (len(log.pairs) % 2 == 0)
        workload = cell.workload.replace(seed=self._random.randrange(2**31))
        results: dict[Arm, TrialResult] = {}
        for arm in (Arm.BASELINE, Arm.CANDIDATE) if baseline_first else (Arm.CANDIDATE, Arm.BASELINE):
            result = self.measure(self._trial(cell, arm, workload))
            self._trials += 1
            if self.watcher is not None:
                self.watcher.measured(cell, arm, result, self._trials, plan.trials)
            if result.status is Status.MEASURED:
                results[arm] = result
            else:
                log.failed.append((arm, result))
        if len(results) == len(Arm):
            log.pairs.append(results)
        elif problem := lost(log, plan.pairs):
            self.problems[cell.name] = problem
            self._live.remove(cell.name)

    def _trial(self, cell: Cell, arm: Arm, workload: Workload) -> Trial:
        return Trial(
            number=self._trials,
            round=self._round,
            server=cell.servers[arm],
            workload_name=cell.workload_name,
            workload=workload,
        )

    def _judge(self, plan: Plan, *, gates: bool = True) -> Comparison:
        problems = dict(self.problems)
        if gates:
            for name in plan_names(plan):
                found = cell_problem(self.logs[name], plan.rules, same_interpreter=self.question.same_interpreter)
                if found is not None:
                    problems.setdefault(name, found)
        return judge(
            [row for name in plan_names(plan) for row in observations(name, self.logs[name])],
            cells=plan_names(plan),
            looks=plan.looks,
            rules=plan.rules,
            alpha=ALPHA,
            problems=problems,
            host_problem=host_problem(self.logs.values()) if gates else "",
        )


def plan_names(plan: Plan) -> list[str]:
    """Names of the cells of a plan, in its order."""
    return [cell.name for cell in plan.cells]


def observations(cell: str, log: Log) -> list[Observation]:
    """Rows for the verdict, from whole pairs. Which ran first is read from the trial numbers."""
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
