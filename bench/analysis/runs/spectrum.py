"""The latency percentile spectrum of a cell, from the HDR interval log of its run. Knows no plot and no frame.

The histograms of a cell's trials are merged before a percentile is taken: percentiles of trials are never averaged
into a spectrum.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections import defaultdict
from collections.abc import Hashable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from bench.errors import MeasurementError
from clients import hlog
from clients.histogram import decoded, highest_quantile

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Counts = NDArray[np.int64]

C = TypeVar("C", bound=Hashable)

POINTS_PER_DECADE = 24
LOWEST_QUANTILE = 0.1

# Tag=<trial>.<kind>,<start>,<length>,<max>,<payload>: format 1.3 of the HdrHistogram log.
_LINE = re.compile(r"Tag=(\d+)\.(\w+),[\d.]+,[\d.]+,[\d.]+,(\S+)\n")
_MOST_PARTS = 8
"""Histograms of a cell that are held at a time."""

_HEAD_BYTES = 8
"""Of a payload: its cookie and its length, which stand before what is compressed."""


@dataclass(frozen=True, slots=True)
class Spectrum:
    """Latency by percentile: `quantile` in [0, 1) and `value_ns`, both of shape (points,); `count` samples in all.

    It begins at the 10th percentile and ends at the last that the samples support.
    """

    quantile: Floats
    value_ns: Floats
    count: int

    @property
    def tail(self) -> Floats:
        """1 / (1 - quantile), shape (points,): 10 at the 90th percentile, 100 at the 99th."""
        return 1 / (1 - self.quantile)


def spectra(log: Path, cells: Mapping[int, C], kind: str = "response") -> dict[C, Spectrum]:
    """Merge the histograms of one kind by cell, as `merged` does, and return their spectra."""
    return {cell: spectrum(values_ns, counts) for cell, (values_ns, counts) in merged(log, cells, kind).items()}


def merged(log: Path, cells: Mapping[int, C], kind: str = "response") -> dict[C, tuple[Counts, Counts]]:
    """Merge the histograms of one kind (response, service, lateness or connect) by cell.

    Returns the values in ns, each once, and how often it occurred, both of shape (n,).
    `cells` says to which cell each trial's number belongs; trials that are not in it are left out, and so are cells
    without a sample, and lines that are torn: `survey` names them. A log that does not exist gives none. Raises
    MeasurementError naming a line that is whole and holds something else.
    """
    if not log.is_file():
        return {}
    filled: defaultdict[C, list[tuple[Counts, Counts]]] = defaultdict(list)
    with log.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            match = _LINE.fullmatch(line)
            if match is None or match[2] != kind or int(match[1]) not in cells:
                continue
            try:
                found = decoded(match[3])
            except ValueError as error:
                if not _is_whole(match[3]):
                    continue
                raise MeasurementError(f"{log}, line {number}: not an HDR histogram ({error})") from error
            parts = filled[cells[int(match[1])]]
            parts.append(found)
            if len(parts) == _MOST_PARTS:  # a cell of many trials would hold most values that often
                parts[:] = [_pooled(parts)]
    pooled = {cell: _pooled(parts) for cell, parts in filled.items()}
    return {cell: (values, counts) for cell, (values, counts) in pooled.items() if values.size}


def _pooled(parts: list[tuple[Counts, Counts]]) -> tuple[Counts, Counts]:
    """Return each value of all parts once, with the sum of its counts."""
    values, places = np.unique(np.concatenate([values for values, _ in parts]), return_inverse=True)
    counts = np.concatenate([counts for _, counts in parts])
    return values, np.bincount(places, weights=counts, minlength=values.size).astype(np.int64)


def survey(log: Path) -> tuple[list[int], set[int]]:
    """Return the numbers of the lines that are torn, and the trials that have a whole line of response times.

    Only the checksum of a histogram is looked at, which takes microseconds, and not what it counts.
    """
    torn, trials = [], set()
    with log.open(encoding="utf-8", errors="replace") as lines:
        for number, line in enumerate(lines, start=1):
            match = _LINE.fullmatch(line)
            if match is not None and _is_whole(match[3]):
                if match[2] == "response":
                    trials.add(int(match[1]))
            elif not line.startswith("#") and line.rstrip("\n") != hlog.LEGEND:
                torn.append(number)
    return torn, trials


def _is_whole(payload: str) -> bool:
    try:
        zlib.decompress(base64.b64decode(payload, validate=True)[_HEAD_BYTES:])
    except (ValueError, zlib.error):
        return False
    return True


def spectrum(values_ns: Counts, counts: Counts) -> Spectrum:
    """Return the spectrum of weighted values, both of shape (n,), in any order.

    The value of quantile q is the smallest that at least a share q of the samples does not exceed.
    """
    order = np.argsort(values_ns, kind="stable")
    cumulative = np.cumsum(counts[order])
    total = int(cumulative[-1])
    decades = -np.log10(1 - highest_quantile(total))
    first = min(-np.log10(1 - LOWEST_QUANTILE), decades)
    quantile = 1 - 10 ** -np.linspace(first, decades, int(decades * POINTS_PER_DECADE) + 2)
    rank = np.clip(np.ceil(quantile * total - 1e-9), 1, total)
    return Spectrum(quantile, values_ns[order][np.searchsorted(cumulative, rank)].astype(float), total)
