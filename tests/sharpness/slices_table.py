"""The tables of `nox -s slices`: what the slices of a server come to, beside itself and beside another one. Pure."""

from __future__ import annotations

import math
import statistics
from typing import TYPE_CHECKING, Any

import numpy as np
from sharpness.slice_block import INSTANTS_S

from bench import units
from bench.slices import location, log_ratios
from bench.stats import hodges_lehmann

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bench.stats import Estimate

RATE, CPU = "replies_per_s", "server_cpu_us_per_reply"
COLUMNS = (
    "connections",
    "slice",
    "lasts",
    "passes",
    "metric",
    "sd of a pass",
    "± after 1 s",
    "A/A ratio [95 %]",
    "other / A [95 %]",
    "level",
)
"""`passes` are those of all launches. `± after 1 s` is half of the 95 % interval that a launch's median has after a
second of measuring, as its passes vary. `level` is of both together."""
_IQR_OF_SD = 1.349
_TRIMMED_SE = 1.07  # of a mean trimmed by 20 % on either side, to that of a mean, for normal noise
Launch = "dict[str, Any]"


def lengths_table(rows: Sequence[tuple[int, float, list[dict[str, Any]] | str]]) -> str:
    """Return a row for each number of connections, planned length in seconds and metric; or why there is none."""
    lines = [line(COLUMNS), line(["---:"] * len(COLUMNS))]
    for connections, slice_s, launches in rows:
        first = [f"{connections:,}", units.duration(slice_s * 1e9)]
        if isinstance(launches, str):
            lines.append(line([*first, *["NA"] * (len(COLUMNS) - 3), launches]))
        else:
            lines += [line([*first, *_cells(launches, metric)]) for metric in (RATE, CPU)]
    return "\n".join(lines) + "\n"


def _cells(launches: list[dict[str, Any]], metric: str) -> list[str]:
    ratios, others = _beside(launches, 1, metric), _beside(launches, 2, metric)
    every = [one for launch in launches for server in launch["slices"][:2] for one in server]
    lasts_s = statistics.median(one["slice_s"] for one in every)
    known = [one for one in every if metric == RATE or one["server_cpu_s"]]
    replies = sum(one["replies"] for one in known)
    used_s = sum(one["slice_s" if metric == RATE else "server_cpu_s"] for one in known)
    level = (
        f"{replies / used_s:,.0f}/s"
        if metric == RATE
        else f"{1e6 * used_s / replies:.1f} µs"
        if replies
        else units.NOT_KNOWN
    )
    sd = spread(ratios)
    after_1_s = 1.96 * _TRIMMED_SE * sd * math.sqrt(2 * lasts_s)
    return [
        units.duration(lasts_s * 1e9),
        str(sum(map(len, ratios))),
        "throughput" if metric == RATE else "CPU per reply",
        *("NA" if math.isnan(one) else f"{100 * one:.1f} %" for one in (sd, after_1_s)),
        _over_launches(ratios),
        _over_launches([[-one for one in launch] for launch in others]),
        level,
    ]


def _beside(launches: list[dict[str, Any]], other: int, metric: str) -> list[list[float]]:
    """Return the log ratios of the first server to another one, pass by pass, for each launch."""
    every = [launch["slices"] for launch in launches]
    return [log_ratios(servers[0], servers[other], metric) for servers in every if len(servers) > other]


def _over_launches(ratios: list[list[float]]) -> str:
    return _written(hodges_lehmann([location(one) for one in ratios if one], 0.95).map(math.exp))


def spread(ratios: Sequence[Sequence[float]]) -> float:
    """Return the sd of log ratios about the median of their launch, from their quartiles; NaN below two of a launch."""
    rest = [one - statistics.median(launch) for launch in ratios if len(launch) > 1 for one in launch]
    if not rest:
        return math.nan
    low, high = np.percentile(rest, [25, 75])
    return float(high - low) / _IQR_OF_SD


def instants_table(rows: Sequence[tuple[int, list[list[list[float]]] | str]]) -> str:
    """Return the rate until each instant, as a ratio to that after the last; a row for each number of connections."""
    lines = [line(["connections", *(f"first {1e3 * instant:g} ms" for instant in INSTANTS_S)])]
    lines.append(line(["---:"] * (1 + len(INSTANTS_S))))
    for connections, launches in rows:
        if isinstance(launches, str):
            cells = [*["NA"] * (len(INSTANTS_S) - 1), launches]
        else:
            cells = [_written(_beside_the_rest(number, launches)) for number in range(len(INSTANTS_S))]
        lines.append(line([f"{connections:,}", *cells]))
    return "\n".join(lines) + "\n"


def _beside_the_rest(number: int, launches: list[list[list[float]]]) -> Estimate:
    """Return the ratio of two rates over all slices of a launch, over launches."""
    found = []
    for slices in launches:
        early = sum(one[number] for one in slices) / (INSTANTS_S[number] * len(slices))
        rest = sum(one[-2] for one in slices) / sum(one[-1] for one in slices)
        found.append(early / rest)
    return hodges_lehmann(found, 0.95)


def _written(ratio: Estimate) -> str:
    bounds = f" [{ratio.low:.3f}, {ratio.high:.3f}]" if ratio.bounded else " [NA]"
    return f"{ratio.value:.3f}{bounds}"


def line(cells: Sequence[str]) -> str:
    """Return a row in Markdown."""
    return f"| {' | '.join(cells)} |"
