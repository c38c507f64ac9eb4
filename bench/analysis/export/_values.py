"""Values for charts over time: each has an interval, and a name that is never changed.

A run gives the geometric mean of every series. A comparison gives the candidate's median. Both also give ratios to a
baseline that was measured in turn: in the pairs of a comparison, or the blocks or rounds of a run. Only a ratio may be
compared with that of another day or machine, because what slowed both sides has cancelled.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import msgspec

from bench import metrics, units
from bench.analysis.estimates.ratios import Ratio, Ratios
from bench.analysis.export._series import Series, series
from bench.errors import MeasurementError, UsageError
from bench.stats import Estimate

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.analysis.runs.run_folder import Run
    from bench.metrics import Exported, Metric

THE_BASELINE = "baseline"
"""The name of a comparison's baseline, whatever its revision: a name that changed would start a new chart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ChartValue:
    """One number of one cell. `against` names the baseline of a ratio; it is empty for a value in the metric's unit."""

    cell: str
    metric: Metric
    estimate: Estimate
    remark: str
    against: str = ""

    @property
    def exported(self) -> Exported:
        """What other tools call the metric."""
        assert self.metric.exported is not None
        return self.metric.exported


def of_run(run: Run, baseline: str | None) -> list[ChartValue]:
    """Return the values of a run, with the ratios to the server `baseline` if one is named.

    Raises UsageError if no trial of that server was measured, MeasurementError if no trial at all was.
    """
    found = series(run)
    values = [ChartValue(cell=one.cell, metric=one.metric, estimate=one.estimate, remark=one.remark) for one in found]
    if baseline is None:
        return values
    ratios = Ratios(run)
    ratios.require(baseline)
    pairs = (
        (one, ratios.of(one.metric, one.workload, one.server, baseline)) for one in found if one.server != baseline
    )
    return values + [_of_ratio(one, ratio, baseline) for one, ratio in pairs if ratio.values]


def _of_ratio(one: Series, ratio: Ratio, baseline: str) -> ChartValue:
    remark = units.plural(len(ratio.values), ratio.pairing.unit)
    if ratio.limited:
        remark = f"{remark}; the load generator was the limit with {' and '.join(ratio.limited)}"
    return ChartValue(cell=one.cell, metric=one.metric, estimate=ratio.estimate, remark=remark, against=baseline)


class _Estimate(msgspec.Struct):
    value: float | None
    low: float | None
    high: float | None
    level: float

    def known(self) -> Estimate:
        value, low, high = (math.nan if number is None else number for number in (self.value, self.low, self.high))
        return Estimate(value, low, high, self.level)


class _Rule(msgspec.Struct):
    metric: str


class _Metric(msgspec.Struct):
    rule: _Rule
    word: str
    pairs: int
    change: _Estimate | None
    candidate: _Estimate | None


class _Cell(msgspec.Struct):
    cell: str
    metrics: list[_Metric]


class _Comparison(msgspec.Struct):
    cells: list[_Cell]
    host_problem: str
    facts: dict[str, Any]


def of_comparison(path: Path) -> list[ChartValue]:
    """Return the values of what `echobench regress --json` printed.

    Raises UsageError if the file is no such thing, MeasurementError if nothing in it was measured validly.
    """
    try:
        found = msgspec.json.decode(path.read_bytes(), type=_Comparison)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}") from error
    except msgspec.DecodeError as error:
        raise UsageError(f"{path} is not what `echobench regress --json` prints: {error}") from error
    if found.host_problem:
        raise MeasurementError(f"{path} has no number to export: {found.host_problem}")
    label = str(found.facts.get("baseline", "unknown"))
    values = [value for cell in found.cells for metric in cell.metrics for value in _of_metric(cell, metric, label)]
    if not values:
        raise MeasurementError(f"{path} has no number to export: no cell was measured validly")
    return values


def _of_metric(cell: _Cell, found: _Metric, label: str) -> Iterator[ChartValue]:
    metric = next((metric for metric in metrics.EXPORTED if metric.column == found.rule.metric), None)
    if metric is None or found.change is None or found.candidate is None:
        return
    remark = f"{found.pairs} pairs; {found.word}"
    yield ChartValue(cell=cell.cell, metric=metric, estimate=found.candidate.known(), remark=remark)
    yield ChartValue(
        cell=cell.cell,
        metric=metric,
        estimate=found.change.known().map(lambda change: 1 + change),
        remark=f"{remark} against {label}",
        against=THE_BASELINE,
    )
