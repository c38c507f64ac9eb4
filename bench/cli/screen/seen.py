"""What a run has shown so far, as its watcher heard it: the state that the screen is a picture of. Draws nothing.

Ratios are those of `bench.experiment.precision`, which `--until` waits for.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from bench.experiment.model import Status
from bench.experiment.precision import Measured, Precision
from bench.metrics import THROUGHPUT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from bench.experiment.doubts import Doubt
    from bench.experiment.model import Block, TrialResult
    from bench.experiment.planning.extent import Extent

BARS = 8
"""Of so many last trials of a cell the throughput is remembered."""


@dataclass(slots=True)
class Cell:
    """A server under a workload: its trials that ended, its last measured metrics, its errors, its last rates."""

    trials: int = 0
    last: Mapping[str, Any] = field(default_factory=dict)
    errors: int = 0
    rates: list[float] = field(default_factory=list)

    def add(self, result: TrialResult) -> None:
        """Take note of a trial. One that was not measured leaves the numbers of the one before."""
        self.trials += 1
        if result.status is Status.MEASURED:
            self.last = result.metrics
            self.errors += result.metrics.get("errors") or 0
            rate = result.metrics.get(THROUGHPUT.column)
            self.rates = [*self.rates, *([rate] if rate else [])][-BARS:]


class Seen:
    """What there is to show."""

    def __init__(
        self,
        extent: Extent,
        clock: Callable[[], float],
        *,
        baseline: str | None = None,
        earlier: Iterable[Sequence[Measured]] = (),
    ) -> None:
        """Begin now, by the `clock`, with the ratios of the `earlier` blocks of a run that is gone on with."""
        self.extent, self.baseline = extent, baseline
        self.block: Block | None = None
        self.cells: defaultdict[tuple[str, str], Cell] = defaultdict(Cell)
        self.doubts: Counter[tuple[str, Doubt]] = Counter()
        self.trials = 0
        self._clock, self._began_s, self._loads_s = clock, clock(), 0.0
        self._together: list[TrialResult] = []
        self.precision = None if baseline is None else Precision(baseline, earlier)

    def began(self, block: Block) -> None:
        """Take note of the block that is measured now. What ended before is a block that is whole."""
        self._count_in()
        self.block = block

    def ended(self, result: TrialResult) -> None:
        """Take note of a trial. A gap is no trial."""
        if not result.trial.round:
            return
        self.trials += 1
        workload = result.trial.workload
        self._loads_s += workload.warmup_s + workload.duration_s
        self.cells[result.trial.cell].add(result)
        self._together.append(result)
        for doubt in result.doubts:
            key = result.trial.server.name, doubt
            self.doubts[key] = self.doubts.pop(key, 0) + 1  # the latest stands last

    def left_s(self) -> float | None:
        """Return how long the rest takes if it goes as what is done, or as expected; None if nothing tells."""
        spent_s = self._clock() - self._began_s
        ends = []
        if self._loads_s and self.extent.loads_s is not None:
            ends.append(spent_s / self._loads_s * (self.extent.loads_s - self._loads_s))
        elif self.extent.expected_s is not None:
            ends.append(self.extent.expected_s - spent_s)
        if self.extent.limit_s is not None:
            ends.append(self.extent.limit_s - spent_s)
        return max(0.0, min(ends)) if ends else None

    def _count_in(self) -> None:
        if self.precision is not None:
            self.precision.add(Measured.of(self._together))
        self._together = []
