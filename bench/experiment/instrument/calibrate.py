"""What the load generator itself costs, measured against the C reference generator on the C reference server.

Pairs of fresh launches in alternating order, cells in seeded shuffled rounds, like any other comparison here. This file
measures; `bench.analysis.calibration` says what the numbers mean, and `ceiling.py` keeps them.
"""

from __future__ import annotations

import math
import os
import random
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from bench.errors import MeasurementError, UsageError
from bench.experiment.instrument.ceiling import Ceilings
from bench.experiment.model import Server, Status, Trial
from bench.experiment.planning.catalog import ROOT
from bench.experiment.trial.child import Child
from bench.experiment.trial.live import LiveBench
from clients.workload import Workload

if TYPE_CHECKING:
    from collections.abc import Callable, Collection
    from pathlib import Path

    from bench.experiment.host.machine import Cores
    from bench.experiment.model import Generator
    from bench.experiment.planning.catalog import Catalog

CONNECTIONS = (1, 64, 1000)
MESSAGE_BYTES = (64, 1024, 16384)
PACED_SHARES = (0.25, 0.5, 0.75)
PACED_CELL = (64, 1024)
PACED_WINDOWS = 3
"""So many windows long are open-loop trials: of a short one, a single pause of the machine is more than 1 %."""
_WINDOW_MIN_S = 0.05
_RESULT_TIMEOUT_S = 30.0
_FALLBACKS = ("uvloop-protocol", "coroutines")


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

    generator: Generator
    share: float
    offered_per_s: float
    achieved_per_s: float
    lateness_p50_ns: float | None
    lateness_p99_ns: float | None
    steal_share: float | None


class Calibration:
    """Measures generators against `server`; without `has_reference` only our own.

    `cells` and `paces` hold what has been measured, pair by pair, so that whatever ends it loses nothing.
    """

    def __init__(
        self, server: Server, *, has_reference: bool, cores: Cores, effort: Effort, logs: Path, seed: int
    ) -> None:
        self._server, self._has_reference, self._cores, self._effort = server, has_reference, cores, effort
        self._ours = LiveBench(logs=logs, cores=cores)
        self._reference = LiveBench(logs=logs, cores=cores, generator="reference")
        self._random, self._number = random.Random(seed), 0
        self.cells = [CellPairs(connections=c, message_bytes=b) for c in CONNECTIONS for b in MESSAGE_BYTES]
        self.paces: list[Pace] = []

    def measure_cells(self, advance: Callable[[], None]) -> None:
        """Measure every cell, `advance` being called after each launch. Raise MeasurementError if one fails."""
        ours_first = self._random.random() < 0.5  # noqa: PLR2004 - a coin
        for pair in range(self._effort.pairs):
            for cell in self._random.sample(self.cells, len(self.cells)):
                self._measure_pair(cell, ours_first=ours_first ^ (pair % 2 == 1), advance=advance)

    def ceiling(self, connections: int, message_bytes: int) -> Rate:
        """Measure our generator once in one cell. Raise MeasurementError if that fails."""
        return self._rate(self._workload(connections, message_bytes), self._ours)

    def _measure_pair(self, cell: CellPairs, *, ours_first: bool, advance: Callable[[], None]) -> None:
        workload = self._workload(cell.connections, cell.message_bytes)
        rates: dict[Generator, Rate] = {}
        for bench in self._generators(ours_first=ours_first):
            rates[bench.generator] = self._rate(workload, bench)
            advance()
        cell.ours.append(rates["python"])
        if self._has_reference:
            cell.reference.append(rates["reference"])

    def _generators(self, *, ours_first: bool) -> list[LiveBench]:
        generators = [self._ours, self._reference] if self._has_reference else [self._ours]
        return generators if ours_first else generators[::-1]

    def measure_paces(self, advance: Callable[[], None]) -> None:
        """Measure how punctually both generators send at shares of our ceiling of PACED_CELL, in turn.

        The ceiling is measured anew before each share: a virtual machine may be half as fast a minute later, and half
        of what was its ceiling is then all that it can do.
        """
        for pair in range(self._effort.pairs):
            for share in self._random.sample(PACED_SHARES, len(PACED_SHARES)):
                rate_per_s = float(round(share * self.ceiling(*PACED_CELL).replies_per_s))
                advance()
                self.paces += self._paced_pair(share, rate_per_s, ours_first=pair % 2 == 0, advance=advance)

    def _paced_pair(
        self, share: float, rate_per_s: float, *, ours_first: bool, advance: Callable[[], None]
    ) -> list[Pace]:
        workload = self._workload(*PACED_CELL).replace(
            duration_s=PACED_WINDOWS * self._effort.window_s, rate_per_s=rate_per_s, arrivals="constant"
        )
        paces = []
        for generator in self._generators(ours_first=ours_first):
            paces.append(self._paced(share, workload, generator))
            advance()
        return paces

    def _workload(self, connections: int, message_bytes: int) -> Workload:
        return Workload(
            connections=connections,
            message_bytes=message_bytes,
            warmup_s=self._effort.warmup_s,
            duration_s=self._effort.window_s,
            seed=self._random.randrange(2**31),
        )

    def _rate(self, workload: Workload, generator: LiveBench) -> Rate:
        metrics = self._trial(workload, generator)
        if not metrics["replies_per_s"]:
            raise MeasurementError(f"no reply came within {workload.duration_s:g} s: give a longer window")
        return Rate(
            replies_per_s=metrics["replies_per_s"],
            response_p50_ns=metrics["response_p50_ns"],
            steal_share=metrics.get("machine_steal_share"),
        )

    def _paced(self, share: float, workload: Workload, generator: LiveBench) -> Pace:
        metrics = self._trial(workload, generator)
        return Pace(
            generator=generator.generator,
            share=share,
            offered_per_s=metrics["offered_per_s"],
            achieved_per_s=metrics["replies_per_s"],
            lateness_p50_ns=metrics.get("lateness_p50_ns"),
            lateness_p99_ns=metrics.get("lateness_p99_ns"),
            steal_share=metrics.get("machine_steal_share"),
        )

    def _trial(self, workload: Workload, generator: LiveBench) -> dict[str, float]:
        self._number += 1
        trial = Trial(number=self._number, round=0, server=self._server, workload_name="calibration", workload=workload)
        result = generator(trial)
        if result.status is not Status.MEASURED:
            raise MeasurementError(f"the calibration could not be measured: {result.detail}")
        return dict(result.metrics)


def build_reference(log: Path) -> str | None:
    """Compile the reference generator; return None, or why there is none."""
    with Child(
        [sys.executable, "-P", "-m", "clients.reference"], log=log, env={**os.environ, "PYTHONPATH": str(ROOT)}
    ) as compiler:
        compiler.ended_within(_RESULT_TIMEOUT_S)
        if compiler.returncode == 0:
            return None
    return log.read_text().strip() or "the reference generator could not be built"


def brief(server: Server, workloads: Collection[Workload], *, cores: Cores, logs: Path, seed: int) -> Ceilings:
    """Return the ceilings of just these workloads, measured in about a second each against the fastest server here.

    For a machine that `bench calibrate` never saw: two short trials each, the better of which counts, since what
    disturbs a trial lowers it.
    """
    calibration = Calibration(server, has_reference=False, cores=cores, effort=BRIEF, logs=logs, seed=seed)
    cells = {
        (workload.connections, workload.message_bytes)
        for workload in workloads
        if not workload.is_open_loop and workload.pipeline == 1 and not workload.message_sizes
    }
    rates = {cell: [calibration.ceiling(*cell).replies_per_s for _ in range(BRIEF.pairs)] for cell in sorted(cells)}
    return Ceilings({cell: max(of_cell) for cell, of_cell in rates.items()})


def fastest_server(known: Catalog, no_generator: str | None = None) -> tuple[Server, str | None]:
    """Return the C reference server and None, or the best other server and why the reference cannot be had.

    Raises UsageError if nothing can be calibrated against.
    """
    reference = known.server("reference")
    missing = no_generator or reference.gap
    if missing is None:
        return reference, None
    for name in _FALLBACKS:
        server = known.server(name)
        if server.gap is None:
            return server, missing
    raise UsageError(f"there is no server to calibrate against: {missing}")
