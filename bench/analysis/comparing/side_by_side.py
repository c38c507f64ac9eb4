"""Runs side by side: each cell as its ratio to the baseline of its own run, because ratios can be held against others.

What a machine did on a day falls on both sides of such a ratio, and cancels. Levels do not, so none is given here.
Which runs may stand beside each other is decided in `two_runs`. Nothing is judged: `echobench regress` does that.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations
from typing import TYPE_CHECKING

from bench import metrics, units
from bench.analysis.comparing.two_runs import cells_of, require_comparable, rules_of, trials_of, why_not_alike
from bench.analysis.estimates.ranking import rank
from bench.analysis.estimates.ratios import Ratio, Ratios
from bench.errors import NoBaselineError, UsageError
from bench.experiment.store import State

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.analysis.runs.run_folder import Run
    from bench.metrics import Metric

_TWO = 2


@dataclass(frozen=True, slots=True)
class Side:
    """A cell in one run: its ratio to the baseline of that run, or in `reason` why there is none to be compared."""

    run: str
    ratio: Ratio | None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Cell:
    """One metric of one cell in each of the runs, in the order in which they were given."""

    server: str
    workload: str
    metric: Metric
    sides: tuple[Side, ...]

    @property
    def apart(self) -> list[tuple[Side, Side]]:
        """The pairs of runs whose intervals do not meet, the lower first. Bounds of a generator are not among them."""
        told = [(side, side.ratio.estimate) for side in self.sides if side.ratio is not None and not side.reason]
        return [
            (one, other) if a.value < b.value else (other, one)
            for (one, a), (other, b) in combinations(told, _TWO)
            if a.high < b.low or b.high < a.low
        ]

    @property
    def untold(self) -> list[Side]:
        """The runs that cannot be told from others here; each has its reason."""
        return [side for side in self.sides if side.reason]

    @property
    def is_untold(self) -> bool:
        """Whether fewer than two runs are left to be told apart."""
        return len(self.sides) - len(self.untold) < _TWO


@dataclass(frozen=True, slots=True)
class SideBySide:
    """The runs by their names, which differ, and their cells as ratios to `baseline`."""

    runs: dict[str, Run]
    baseline: str
    cells: tuple[Cell, ...]


def side_by_side(runs: Sequence[Run], baseline: str | None = None) -> SideBySide:
    """Hold the cells of two or more runs against each other, as ratios to `baseline`, else to that of the runs.

    Raises UsageError if there are fewer than two runs, one is given twice, one is being written, `baseline` was not
    measured in one, or the runs have different ones; NoBaselineError, naming the fields, if they cannot be compared or
    share no cell.
    """
    if len({run.path for run in runs}) < max(_TWO, len(runs)):
        raise UsageError("a page of several runs needs two or more, each once")
    for run in runs:
        if run.info.get("state") == State.RUNNING:
            raise UsageError(
                f"{run.path} is being written, or was killed: wait, or end it with `echobench run --resume`"
            )
    for run in runs[1:]:
        require_comparable(runs[0], run)
    named = _named(runs)
    to = _baseline(named, baseline)
    found = tuple(cell for cell in _cells(named, to) if sum(side.ratio is not None for side in cell.sides) >= _TWO)
    if not found:
        raise NoBaselineError(
            f"no server has a ratio to {to} under one workload in two of these runs: nothing is shared"
        )
    return SideBySide(named, to, found)


def _named(runs: Sequence[Run]) -> dict[str, Run]:
    """Name each run by its folder, and by the path where two folders have one name."""
    ids = [run.id for run in runs]
    return {run.id if ids.count(run.id) == 1 else str(run.path): run for run in runs}


def _baseline(runs: dict[str, Run], asked: str | None) -> str:
    own = {name: rank(run, asked).baseline for name, run in runs.items()}
    for name, server in own.items():
        if server is None:
            raise UsageError(f"{name} has no measured trial: leave it out")
    if len(set(own.values())) > 1:
        listed = units.listed(f"{server} in {name}" for name, server in own.items())
        raise UsageError(f"the baseline is {listed}: name one that all have, with --baseline SERVER")
    return str(next(iter(own.values())))


def _cells(runs: dict[str, Run], baseline: str) -> list[Cell]:
    ratios = {name: Ratios(run) for name, run in runs.items()}
    return [
        Cell(cell[0], cell[1], metric, _sides(runs, ratios, cell, metric, baseline))
        for cell in cells_of(runs.values())
        if cell[0] != baseline
        for metric in (metrics.BY_COLUMN[rule.metric] for rule in rules_of(list(runs.values()), cell))
    ]


def _sides(
    runs: dict[str, Run], ratios: dict[str, Ratios], cell: tuple[str, str], metric: Metric, baseline: str
) -> tuple[Side, ...]:
    """Return the ratio in each run. One whose load or interpreter is not that of the first run has none."""
    server, workload = cell
    sides: list[Side] = []
    first: Run | None = None
    for name, run in runs.items():
        ratio = ratios[name].of(metric, workload, server, baseline)
        if not ratio.values:
            sides.append(Side(name, None, f"it has no {metric.noun} of {server} beside {baseline} under this workload"))
            continue
        first = first or run
        unlike = _unlike(first, run, workload, (server, baseline))
        sides.append(Side(name, None, unlike) if unlike else Side(name, ratio, _why_untold(ratio)))
    return tuple(sides)


def _unlike(first: Run, run: Run, workload: str, servers: tuple[str, str]) -> str:
    said = (
        why_not_alike((first, run), workload, [trials_of(one, (server, workload)) for one in (first, run)])
        for server in servers
    )
    return next(filter(None, said), "")


def _why_untold(ratio: Ratio) -> str:
    if ratio.limited:
        return f"the load generator was the limit with {units.listed(ratio.limited)}"
    if ratio.estimate.bounded:
        return ""
    return f"{units.plural(len(ratio.values), ratio.pairing.unit)}: too few for an interval"
