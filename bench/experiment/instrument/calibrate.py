"""The experiment of `calibrate`: what the load generator costs, beside the C reference generator. Pure.

Pairs of fresh launches in alternating order, cells in seeded shuffled rounds, like any other comparison here.
`bench.analysis.calibration` says what the numbers mean, and `ceiling.py` keeps them.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.errors import MeasurementError, UsageError
from bench.experiment.doubts import OF_THE_HOST, Doubt
from bench.experiment.instrument.ceiling import Ceilings
from bench.experiment.model import Block, Experiment, Results, Server, Status, Stop, StopReason, Trial
from clients.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bench.experiment.model import LoadGenerator

CONNECTIONS = (1, 64, 1000)
MESSAGE_BYTES = (64, 1024, 16384)
PACED_SHARES = (0.25, 0.5, 0.75)
PACED_CELL = (64, 1024)
PACED_WINDOWS = 3
"""So many windows long are open-loop trials: of a short one, a single pause of the machine is more than 1 %."""
_WINDOW_MIN_S = 0.05


@dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long to measure: pairs per cell, seconds of a window and of its warm-up."""

    pairs: int
    window_s: float
    warmup_s: float

    def __post_init__(self) -> None:
        """Raise UsageError for times that are none, or too short for a reply on a bad day."""
        if not _WINDOW_MIN_S <= self.window_s < math.inf:
            raise UsageError(f"a window of {self.window_s:g} s measures nothing: give {_WINDOW_MIN_S:g} or more")
        if not 0 <= self.warmup_s < math.inf:
            raise UsageError(f"a warm-up of {self.warmup_s:g} s cannot be: give 0 or more")

    @property
    def trials(self) -> int:
        """How many launches there will be, with a compiler."""
        return self.pairs * (2 * len(CONNECTIONS) * len(MESSAGE_BYTES) + 3 * len(PACED_SHARES))


BRIEF = Effort(pairs=2, window_s=0.4, warmup_s=0.15)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rate:
    """One closed-loop trial of one generator: replies/s, its median response time, and what the host took away."""

    replies_per_s: float
    response_p50_ns: float
    steal_share: float | None = None


@dataclass(slots=True, kw_only=True)
class CellPairs:
    """The trials of one cell; `reference` is empty without a compiler. Positions pair up."""

    connections: int
    message_bytes: int
    ours: list[Rate] = field(default_factory=list)
    reference: list[Rate] = field(default_factory=list)


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """One open-loop trial at a share of what our ceiling was just before.

    What the reference cannot do here, the machine does not allow.
    """

    generator: LoadGenerator
    share: float
    offered_per_s: float
    achieved_per_s: float
    lateness_p50_ns: float | None
    lateness_p99_ns: float | None
    steal_share: float | None


@dataclass(slots=True, kw_only=True)
class Calibrated:
    """What was measured, pair by pair: the cells of the grid, and the paced trials. It is not all if interrupted.

    `doubts` counts, of so many `trials`, those that carry a doubt about the host.
    """

    cells: list[CellPairs]
    paces: list[Pace] = field(default_factory=list)
    doubts: Counter[Doubt] = field(default_factory=Counter)
    trials: int = 0
    was_interrupted: bool = False


def calibration(
    server: Server, *, has_reference: bool, effort: Effort, seed: int, message_bytes: Sequence[int] = MESSAGE_BYTES
) -> Experiment[Calibrated]:
    """Ask for pairs of trials against `server`, ours and the reference's in turn; without a reference only for ours.

    Raises MeasurementError if a trial cannot be measured, since a pair without it says nothing.
    """
    run = _Run(server, has_reference=has_reference, effort=effort, seed=seed)
    found = Calibrated(cells=[CellPairs(connections=c, message_bytes=b) for c in CONNECTIONS for b in message_bytes])
    try:
        yield from run.cells(found.cells)
        yield from run.paces(found.paces)
    except Stop as stop:
        found.was_interrupted = stop.reason is StopReason.INTERRUPTED
    found.doubts, found.trials = run.doubts, run.measured
    return found


def brief(server: Server, cells: Collection[tuple[int, int]], *, seed: int) -> Experiment[Ceilings]:
    """Ask for the ceilings of just these cells (connections, message bytes), in about a second each.

    For a machine that `bench calibrate` never saw: two short trials each, the better of which counts, since what
    disturbs a trial lowers it. Raises MeasurementError as `calibration` does.
    """
    run = _Run(server, has_reference=False, effort=BRIEF, seed=seed)
    grid: dict[tuple[int, int], float] = {}
    for cell in sorted(cells):
        for _ in range(BRIEF.pairs):
            rate = yield from run.ceiling(*cell)
            grid[cell] = max(grid.get(cell, 0.0), rate.replies_per_s)
    return Ceilings(grid)


class _Run:
    """The trials of a calibration under way: their numbers, their seeds and their order."""

    def __init__(self, server: Server, *, has_reference: bool, effort: Effort, seed: int) -> None:
        self._server, self._effort = server, effort
        self._generators: list[LoadGenerator] = ["python", "reference"] if has_reference else ["python"]
        self._random, self._number = random.Random(seed), 0
        self.doubts: Counter[Doubt] = Counter()
        self.measured = 0

    def cells(self, cells: list[CellPairs]) -> Experiment[None]:
        """Measure every cell in every round, and add the pairs to them."""
        ours_first = self._random.random() < 0.5  # noqa: PLR2004 - a coin
        for pair in range(self._effort.pairs):
            for cell in self._random.sample(cells, len(cells)):
                workload = self._workload(cell.connections, cell.message_bytes)
                rates: dict[LoadGenerator, Rate] = {}
                for generator in self._in_turn(ours_first=ours_first ^ (pair % 2 == 1)):
                    metrics = yield from self._trial(workload, generator, continues=bool(rates))
                    rates[generator] = _rate(metrics, workload)
                cell.ours.append(rates["python"])
                cell.reference += [rates["reference"]] if "reference" in rates else []

    def ceiling(self, connections: int, message_bytes: int) -> Experiment[Rate]:
        """Measure our generator once in one cell."""
        workload = self._workload(connections, message_bytes)
        metrics = yield from self._trial(workload, "python")
        return _rate(metrics, workload)

    def paces(self, paces: list[Pace]) -> Experiment[None]:
        """Measure how punctually both generators send at shares of our ceiling of PACED_CELL, and add that.

        The ceiling is measured anew before each share: a virtual machine may be half as fast a minute later, and half
        of what was its ceiling is then all that it can do.
        """
        for pair in range(self._effort.pairs):
            for share in self._random.sample(PACED_SHARES, len(PACED_SHARES)):
                ceiling = yield from self.ceiling(*PACED_CELL)
                workload = self._workload(*PACED_CELL).replace(
                    duration_s=PACED_WINDOWS * self._effort.window_s,
                    rate_per_s=float(round(share * ceiling.replies_per_s)),
                    arrivals="constant",
                )
                both = []
                for generator in self._in_turn(ours_first=pair % 2 == 0):
                    metrics = yield from self._trial(workload, generator, continues=True)
                    both.append(_pace(metrics, generator, share))
                paces += both

    def _in_turn(self, *, ours_first: bool) -> list[LoadGenerator]:
        return self._generators if ours_first else self._generators[::-1]

    def _workload(self, connections: int, message_bytes: int) -> Workload:
        return Workload(
            connections=connections,
            message_bytes=message_bytes,
            warmup_s=self._effort.warmup_s,
            duration_s=self._effort.window_s,
            seed=self._random.randrange(2**31),
        )

    def _trial(
        self, workload: Workload, generator: LoadGenerator, *, continues: bool = False
    ) -> Experiment[Mapping[str, Any]]:
        """Measure one trial and return its metrics. Raises MeasurementError if it has none."""
        self._number += 1
        trial = Trial(
            number=self._number,
            round=self._number,
            server=self._server,
            workload_name="calibration",
            workload=workload,
            generator=generator,
        )
        results: Results = yield Block(trials=(trial,), continues=continues)
        if results[0].status is not Status.MEASURED:
            raise MeasurementError(f"the calibration could not be measured: {results[0].detail}")
        self.measured += 1
        self.doubts.update(doubt for doubt in results[0].doubts if doubt in OF_THE_HOST)
        return results[0].metrics


def _rate(metrics: Mapping[str, Any], workload: Workload) -> Rate:
    if not metrics["replies_per_s"]:
        raise MeasurementError(f"no reply came within {workload.duration_s:g} s: give a longer window")
    return Rate(
        replies_per_s=metrics["replies_per_s"],
        response_p50_ns=metrics["response_p50_ns"],
        steal_share=metrics.get("machine_steal_share"),
    )


def _pace(metrics: Mapping[str, Any], generator: LoadGenerator, share: float) -> Pace:
    return Pace(
        generator=generator,
        share=share,
        offered_per_s=metrics["offered_per_s"],
        achieved_per_s=metrics["replies_per_s"],
        lateness_p50_ns=metrics.get("lateness_p50_ns"),
        lateness_p99_ns=metrics.get("lateness_p99_ns"),
        steal_share=metrics.get("machine_steal_share"),
    )
