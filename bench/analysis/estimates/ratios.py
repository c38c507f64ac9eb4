"""One server's metric over another's under one workload. All ratios within a run are made here.

What a machine does falls on both sides of a pair that was measured at one time, so it cancels in their ratio. Pairs are
made of what was measured closest together, in this order:

- **slices** of the same pass, for servers that were alive together and metrics that a slice can tell. Their trimmed
  mean over the passes of a block is one number, and blocks are the replicates: the interval inverts the exact rank
  test.
- **trials of the same block**, for the other metrics of such servers: Student's t interval on the log scale.
- **trials of the same round**, where one of the two was measured solo: likewise, with less precision.

Nothing is ranked here, and nothing is said to people.
"""

from __future__ import annotations

import math
from collections import defaultdict
from dataclasses import dataclass, field
from enum import Enum
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.analysis.estimates.cells import LEVEL, is_limited, measured_solo
from bench.analysis.runs.run_folder import plain, plain_rows
from bench.errors import MeasurementError, unknown_name
from bench.slices import READ, VALUE_OF, log_ratio_of, values
from bench.stats import Estimate, geometric_mean_interval, hodges_lehmann

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence

    import pandas as pd

    from bench.analysis.runs.run_folder import Run
    from bench.metrics import Metric


_OF_A_LAUNCH = ["trial", "round", "block", "server", "workload", "solo"]


class Pairing(Enum):
    """What was divided by what; the most precise first. The value names what a pair is of, and what replicates it."""

    SLICES = "slices of the same pass", "block"
    BLOCKS = "trials of the same block", "block"
    ROUNDS = "trials of the same round", "round"

    @property
    def of(self) -> str:
        """What two sides of a pair have in common, in words."""
        return self.value[0]

    @property
    def unit(self) -> str:
        """What the ratios are replicated over."""
        return self.value[1]


@dataclass(frozen=True, slots=True)
class Ratio:
    """A metric over that of another server, with its interval; NaN where the two have no pair.

    `values` has the ratio of each block, or round, that both were measured in. `limited` names those of the two that
    the load generator held down; with both the ratio may be anything.
    """

    server: str
    estimate: Estimate
    values: tuple[float, ...]
    pairing: Pairing
    limited: tuple[str, ...]

    @property
    def is_lower_bound(self) -> bool:
        """Whether the generator limited the server, and not what it is compared with."""
        return self.limited == (self.server,)


@dataclass(frozen=True, slots=True, eq=False)
class _Launch:
    """A measured trial: its place among the rows, its round, the block that it shared with others, its slices."""

    place: int
    round: int
    block: Hashable | None
    slices: _Slices
    _values: dict[str, dict[int, float]] = field(default_factory=dict)

    def values(self, column: str) -> dict[int, float]:
        """Return what the slices say of a metric. It is read once, for the ratios to all other servers."""
        if column not in self._values:
            self._values[column] = values(self.slices.rows(), column)
        return self._values[column]


@dataclass(frozen=True, slots=True)
class _Slices:
    """The slices of a trial, as a part of columns that all trials share: a row of each would take 100 MB at 10,000."""

    columns: Mapping[str, Sequence[Any]]
    start: int = 0
    stop: int = 0

    def rows(self) -> list[dict[str, Any]]:
        """Return the slices as rows, of the columns that a ratio reads."""
        parts = (column[self.start : self.stop] for column in self.columns.values())
        return [dict(zip(self.columns, row, strict=True)) for row in zip(*parts, strict=True)]


class Ratios:
    """All ratios between the servers of one run."""

    def __init__(self, run: Run) -> None:
        """Sort the measured trials and their slices by server and workload."""
        slices, none = _by_trial(run.slices), _Slices({})
        rows = run.trials.assign(solo=measured_solo(run.trials)).loc[run.measured.index]
        self._rows, self._columns = rows, dict[str, list[Any]]()
        self._launches: defaultdict[tuple[str, str], list[_Launch]] = defaultdict(list)
        for place, row in enumerate(plain_rows(rows[_OF_A_LAUNCH])):
            block = None if row["solo"] else (row["round"], row["block"])
            launch = _Launch(place, row["round"], block, slices.get(row["trial"], none))
            self._launches[row["server"], row["workload"]].append(launch)
        cells = rows[["server", "workload", "throughput_is_lower_bound"]].groupby(["server", "workload"])
        self._limited = {cell for cell, trials in cells if is_limited(trials)}
        self._known: dict[tuple[str, str, str, str], Ratio] = {}

    def of(self, metric: Metric, workload: str, server: str, baseline: str) -> Ratio:
        """Return the metric of `server` over that of `baseline` under a workload; NaN if they have no pair.

        A ranking asks for one ratio several times, so each is made once.
        """
        asked = (metric.column, workload, server, baseline)
        if asked not in self._known:
            self._known[asked] = self._made(metric, workload, server, baseline)
        return self._known[asked]

    def _made(self, metric: Metric, workload: str, server: str, baseline: str) -> Ratio:
        ours, theirs = (self._launches.get((name, workload), ()) for name in (server, baseline))
        pairing, logs = self._logs(ours, theirs, metric.column)
        values = tuple(math.exp(log) for log in logs)
        if pairing is Pairing.SLICES:
            estimate = hodges_lehmann(logs, LEVEL).map(math.exp)
        else:
            estimate = geometric_mean_interval(values, LEVEL)
        names = (server, baseline) if metric.is_bounded_by_generator else ()
        held = (name for name in names if (name, workload) in self._limited)
        return Ratio(server, estimate, values, pairing, tuple(held))

    def _logs(self, ours: Sequence[_Launch], theirs: Sequence[_Launch], column: str) -> tuple[Pairing, list[float]]:
        """Return the logarithm of each pair's ratio, from the closest pairing that has any."""
        together = _pairs(ours, theirs, lambda one: one.block)
        if column in VALUE_OF:
            by_slices = [log_ratio_of(one.values(column), other.values(column)) for one, other in together]
            if known := [log for log in by_slices if log is not None]:
                return Pairing.SLICES, known
        known_of = self._known_of(column)
        if logs := _of_trials(together, known_of):
            return Pairing.BLOCKS, logs
        return Pairing.ROUNDS, _of_trials(_pairs(ours, theirs, lambda one: one.round), known_of)

    def _known_of(self, column: str) -> list[Any]:
        """Return a metric of all measured trials, None where it is not known. It is read once it is asked for."""
        if column not in self._columns:
            self._columns[column] = plain(self._rows[column])
        return self._columns[column]

    def require(self, server: str) -> None:
        """Raise UsageError if a server was not measured, with the nearest name; MeasurementError if none was."""
        servers = {server for server, _ in self._launches}
        if not servers:
            raise MeasurementError("no trial of this run was measured: there is nothing to take a ratio of")
        if server not in servers:
            raise unknown_name("measured server of this run", server, servers)


def _pairs(
    ours: Iterable[_Launch], theirs: Iterable[_Launch], key: Callable[[_Launch], Hashable | None]
) -> list[tuple[_Launch, _Launch]]:
    """Return the trials of both that have the same key; None is none."""
    others = {key(one): one for one in theirs}
    return [(one, others[where]) for one in ours if (where := key(one)) is not None and where in others]


def _of_trials(pairs: Iterable[tuple[_Launch, _Launch]], known_of: Sequence[Any]) -> list[float]:
    values = ((known_of[one.place], known_of[other.place]) for one, other in pairs)
    return [math.log(a / b) for a, b in values if a is not None and b is not None and min(a, b) > 0]


def _by_trial(slices: pd.DataFrame) -> dict[int, _Slices]:
    if slices.empty:
        return {}
    ordered = slices[["trial", *READ]].sort_values("trial", kind="stable")
    trials = ordered["trial"].to_numpy(dtype=int)
    columns = {name: plain(ordered[name]) for name in READ}
    starts = [0, *(np.flatnonzero(np.diff(trials)) + 1).tolist(), len(trials)]
    return {int(trials[start]): _Slices(columns, start, stop) for start, stop in pairwise(starts)}
