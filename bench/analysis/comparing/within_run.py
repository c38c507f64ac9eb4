"""The servers of one run as ratios to one of them: what a comparison within a run comes down to. Judges nothing."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bench.analysis.estimates.cells import METRICS
from bench.analysis.estimates.ranking import rank
from bench.errors import unknown_name
from bench.stats import ratio_by_round
from bench.verdict.values import known

if TYPE_CHECKING:
    import pandas as pd

    from bench.stats import Estimate


@dataclass(frozen=True, slots=True)
class Against:
    """A server's metric over the baseline's; `is_bound` if either is only a lower bound, because of the generator."""

    estimate: Estimate
    is_bound: bool

    @property
    def text(self) -> str:
        """Write it with its interval, where one can be stated."""
        value, low, high = self.estimate.value, self.estimate.low, self.estimate.high
        if math.isnan(value):
            return "-"
        interval = f" [{low:.2f}, {high:.2f}]" if self.estimate.bounded else ""
        return f"{value:.2f}{interval}{'*' if self.is_bound else ''}"

    def to_json(self) -> dict[str, Any]:
        """Return plain JSON types; a number that is not known is null."""
        plain: dict[str, Any] = known({**asdict(self.estimate), "is_bound": self.is_bound})
        return plain


Ratios = dict[tuple[str, str], dict[str, Against]]
"""By workload and server, and then by the column of the metric."""


def against(trials: pd.DataFrame, baseline: str) -> Ratios:
    """Return every other server's ratios to `baseline`, paired by round. Raise UsageError if that has no trial here."""
    found = rank(trials)
    if baseline not in found.servers:
        raise unknown_name("server of this run", baseline, found.servers)
    rows: Ratios = {}
    for metric in METRICS:
        theirs = {cell.workload: cell for cell in found.cells[metric.column] if cell.server == baseline}
        for cell in found.cells[metric.column]:
            if cell.server != baseline and cell.workload in theirs:
                other = theirs[cell.workload]
                one = Against(
                    ratio_by_round(cell.by_round, other.by_round), is_bound=cell.lower_bound or other.lower_bound
                )
                rows.setdefault((cell.workload, cell.server), {})[metric.column] = one
    return rows
