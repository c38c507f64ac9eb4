"""What the load generator can do at most on this machine, as `bench calibrate` measured and kept it.

A trial that stands near this ceiling while the generator's core is busy measured the generator, not the server. Knows
nothing of how the numbers were measured.
"""

from __future__ import annotations

import json
import math
import platform
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bench.errors import UsageError, unwritable
from bench.experiment.host import machine
from bench.files import cache_folder, write_atomically

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from clients.workload import Workload

SCHEMA_VERSION = 1
Grid = dict[tuple[int, int], float]
"""Replies per second by (connections, message bytes)."""


@dataclass(frozen=True, slots=True)
class Ceilings:
    """The generator's ceiling on a grid of connections and message sizes, for a closed loop without pipelining."""

    grid: Grid

    def of(self, workload: Workload) -> float | None:
        """Return the ceiling in replies/s under a workload; None where the grid says nothing.

        Between the points of the grid it is linear in the logarithms of all three; beyond its last number of
        connections, and below its smallest message, it is level.
        """
        cell = cell_of(workload)
        if cell is None or not self.grid:
            return None
        sizes = sorted({size for _, size in self.grid})
        connections, message_bytes = cell
        if message_bytes > sizes[-1]:
            return None
        return self._between(connections, max(message_bytes, sizes[0]))

    def _between(self, connections: int, size: int) -> float | None:
        columns = sorted({size for _, size in self.grid})
        below, above = _neighbours(columns, size)
        ends = [self._along_connections(connections, column) for column in (below, above)]
        if ends[0] is None or ends[1] is None:
            return None
        return _interpolate(size, (below, ends[0]), (above, ends[1]))

    def _along_connections(self, connections: int, size: int) -> float | None:
        rows = sorted(row for row, column in self.grid if column == size)
        if not rows:
            return None
        below, above = _neighbours(rows, min(max(connections, rows[0]), rows[-1]))
        nearest = min(max(connections, rows[0]), rows[-1])
        return _interpolate(nearest, (below, self.grid[below, size]), (above, self.grid[above, size]))


def cell_of(workload: Workload) -> tuple[int, int] | None:
    """Return where a workload lies in a grid: connections and message bytes. None if a grid says nothing about it."""
    return (workload.connections, workload.message_bytes) if workload.is_plain_closed_loop else None


def _neighbours(points: list[int], at: int) -> tuple[int, int]:
    below = max(point for point in points if point <= at)
    return below, min(point for point in points if point >= at)


def _interpolate(at: int, left: tuple[int, float], right: tuple[int, float]) -> float:
    if left[0] == right[0]:
        return left[1]
    share = math.log(at / left[0]) / math.log(right[0] / left[0])
    return math.exp((1 - share) * math.log(left[1]) + share * math.log(right[1]))


def fingerprint() -> dict[str, Any]:
    """Return what a ceiling depends on: another value of any of these makes it another machine's."""
    facts = machine.facts(machine.cores())
    kept = ("cpu_model", "cpus", "kernel", "cgroup_cpu_quota", "server_cpus", "client_cpus")
    return {name: facts[name] for name in kept} | {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
    }


def default_path() -> Path:
    """Return where the calibration of this user's machine is kept."""
    return cache_folder() / "calibration.json"


def save(document: Mapping[str, Any], path: Path) -> None:
    """Keep a calibration, atomically. Raise UsageError if that cannot be, MeasurementError if there is no room."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(path, json.dumps({"schema": SCHEMA_VERSION, **document}, indent=1) + "\n")
    except OSError as error:
        raise unwritable(path, error, "choose another file with --out") from error


def load(path: Path) -> Ceilings | None:
    """Return the ceilings kept in `path`; None if there are none, or another machine or Python made them.

    Raises UsageError if the file is damaged.
    """
    if not path.exists():
        return None
    try:
        document = json.loads(path.read_text())
        if document["schema"] != SCHEMA_VERSION or document["fingerprint"] != fingerprint():
            return None
        cells = document["cells"]
        return Ceilings({(cell["connections"], cell["message_bytes"]): cell["ceiling_per_s"] for cell in cells})
    except (ValueError, KeyError, TypeError) as error:
        raise UsageError(f"{path} is damaged ({error!r}): delete it, and run `bench calibrate` again") from error
