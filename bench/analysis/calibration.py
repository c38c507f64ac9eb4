"""The estimates of a calibration: the generator's ceiling, its ratio to the reference in C, its punctuality. Pure."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from bench.plain import flat, plain
from bench.stats import Estimate, geometric_mean_interval, hodges_lehmann, median_interval

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from bench.experiment.instrument.calibrate import CellPairs, Pace
    from bench.experiment.model import LoadGenerator

LEVEL = 0.95


@dataclass(frozen=True, slots=True, kw_only=True)
class CellAnswer:
    """One cell: the median rates of both generators, their ratio over pairs, and the response time that ours adds.

    `ratio` and `added_ns` are None without a reference. `added_ns` is stated at one connection only: with more, the
    response time is the inverse of throughput and no latency.
    """

    connections: int
    message_bytes: int
    ceiling_per_s: Estimate
    reference_per_s: Estimate | None
    ratio: Estimate | None
    added_ns: Estimate | None


@dataclass(frozen=True, slots=True, kw_only=True)
class PaceAnswer:
    """Punctuality of one generator at one share of our ceiling, over trials. None is what no trial could tell."""

    generator: LoadGenerator
    share: float
    offered_per_s: Estimate
    achieved_ratio: Estimate
    lateness_p50_ns: Estimate | None
    lateness_p99_ns: Estimate | None
    steal_share: Estimate | None


def answer_cell(cell: CellPairs) -> CellAnswer:
    """Summarise the pairs of a cell. The interval of the ratio inverts the exact signed-rank test on log ratios."""
    ours = [rate.replies_per_s for rate in cell.ours]
    reference = [rate.replies_per_s for rate in cell.reference]
    ratio = added = None
    if reference:
        logs = [math.log(mine / theirs) for mine, theirs in zip(ours, reference, strict=True)]
        ratio = hodges_lehmann(logs, LEVEL).map(math.exp)
        if cell.connections == 1:
            pairs = zip(cell.ours, cell.reference, strict=True)
            added = hodges_lehmann([mine.response_p50_ns - theirs.response_p50_ns for mine, theirs in pairs], LEVEL)
    return CellAnswer(
        connections=cell.connections,
        message_bytes=cell.message_bytes,
        ceiling_per_s=median_interval(ours, LEVEL),
        reference_per_s=_median(reference),
        ratio=ratio,
        added_ns=added,
    )


def answer_paces(paces: Sequence[Pace]) -> list[PaceAnswer]:
    """Summarise the open-loop trials by share of the ceiling and generator, ours first."""
    return [
        _answer_pace([pace for pace in paces if (pace.share, pace.generator) == (share, generator)])
        for share, generator in sorted({(pace.share, pace.generator) for pace in paces})
    ]


def _answer_pace(paces: Sequence[Pace]) -> PaceAnswer:
    return PaceAnswer(
        generator=paces[0].generator,
        share=paces[0].share,
        offered_per_s=median_interval([pace.offered_per_s for pace in paces], LEVEL),
        achieved_ratio=geometric_mean_interval([pace.achieved_per_s / pace.offered_per_s for pace in paces], LEVEL),
        lateness_p50_ns=_median(pace.lateness_p50_ns for pace in paces),
        lateness_p99_ns=_median(pace.lateness_p99_ns for pace in paces),
        steal_share=_median(pace.steal_share for pace in paces),
    )


def _median(values: Iterable[float | None]) -> Estimate | None:
    """Return the median of the values that are known; None without any."""
    known = [value for value in values if value is not None]
    return median_interval(known, LEVEL) if known else None


_ONCE_A_NUMBER = ("ceiling_per_s", "reference_per_s", "offered_per_s", "steal_share")


def to_json(answer: CellAnswer | PaceAnswer) -> dict[str, Any]:
    """Return an answer as JSON types. A bound that could not be stated is None.

    An estimate is an object. Four keys held a number in earlier versions: they still do, and their bounds stand in keys
    beside them.
    """
    found: dict[str, Any] = plain(asdict(answer))
    for name in _ONCE_A_NUMBER:
        if hasattr(answer, name):
            found |= flat(name, getattr(answer, name))
    return found
