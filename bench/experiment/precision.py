"""The ratios of a run so far: `--until` waits for their width, and the screen shows them. It only reads results.

A ratio is that of a server to the baseline, of throughput and of CPU per reply, over the blocks that both were in. It
is as narrow as half the width of its interval, on the logarithmic scale, which is a fraction.
"""

from __future__ import annotations

import math
from collections import defaultdict
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from bench import metrics
from bench.experiment.model import News, Status
from bench.slices import log_ratio

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from bench.experiment.model import TrialResult
    from bench.stats import Estimate

LEVEL = 0.95


class Measured(NamedTuple):
    """A server that was measured in a block, with its slices."""

    workload: str
    server: str
    slices: Sequence[Mapping[str, Any]]

    @classmethod
    def of(cls, results: Iterable[TrialResult]) -> list[Self]:
        """Return what was measured in a block that was alive together."""
        return [
            cls(result.trial.workload_name, result.trial.server.name, result.slices)
            for result in results
            if result.status is Status.MEASURED and result.slices
        ]


class Precision:
    """The ratios to a baseline, block by block."""

    def __init__(self, baseline: str, earlier: Iterable[Sequence[Measured]] = ()) -> None:
        """Begin with the blocks of an `earlier` run that is gone on with."""
        self._baseline = baseline
        self._ratios: dict[tuple[str, str, str], list[float]] = defaultdict(list)
        for block in earlier:
            self.add(block)

    def add(self, block: Sequence[Measured]) -> None:
        """Take note of a block. One without the baseline says nothing."""
        theirs = next((one for one in block if one.server == self._baseline), None)
        if theirs is None:
            return
        for one in block:
            if one is not theirs:
                for column in (metric.column for metric in metrics.WATCHED):
                    ratio = log_ratio(one.slices, theirs.slices, column)
                    if ratio is not None:
                        self._ratios[one.workload, one.server, column].append(ratio)

    def ratio(self, workload: str, server: str, column: str) -> Estimate | None:
        """Return the ratio of a server's metric to the baseline's so far; None as long as no block had both."""
        found = self._log_ratio(self._ratios.get((workload, server, column), ()))
        return None if math.isnan(found.value) else found.map(math.exp)

    @property
    def widest(self) -> float:
        """Half the width of the widest interval, as a fraction; infinite as long as one cannot be stated."""
        found = map(self._log_ratio, self._ratios.values())
        return max(((one.high - one.low) / 2 if one.bounded else math.inf for one in found), default=math.inf)

    @staticmethod
    def _log_ratio(ratios: Sequence[float]) -> Estimate:
        from bench.stats import hodges_lehmann  # noqa: PLC0415 - scipy only for a run that shows its precision

        return hodges_lehmann(ratios, LEVEL)


class Narrowed(News):
    """How narrow the ratios are after a round, told to whoever watches."""

    __slots__ = ("rounds", "widest")

    def __init__(self, rounds: int, widest: float) -> None:
        self.rounds, self.widest = rounds, widest

    @property
    def lines(self) -> list[str]:
        """The widest ratio in words; nothing as long as there is no interval."""
        if not math.isfinite(self.widest):
            return []
        return [f"after {self.rounds} rounds every ratio is known to within {100 * self.widest:.1f} %"]
