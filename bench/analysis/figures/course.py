"""What servers, load generator and machine did within the window, on one clock. Frames in, frames out; draws nothing.

The clock is that of the wall. In a block a server has its turn in slices, and between them the load goes to others. So
what was measured under load (rate, p99, CPU of the server) is put at the time of its slice, and stands beside what the
monitor sampled all the while.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.analysis.runs.run_folder import Run

CELL = ["server", "workload"]


LOAD_TIME, WALL_TIME = "of load", "by the clock"
"""The two times that a figure may count: those of a server's own slices, put end to end, or those of the wall."""


def clock_of(run: Run, time: str) -> str:
    """Say in a sentence which of the two a figure counts; nothing if no server had turns, since they are one then."""
    if run.slices.empty:
        return ""
    if time == LOAD_TIME:
        return "From left to right: seconds of load on this server, without the turns of the others in its block."
    return "From left to right: seconds of the window by the clock, with the turns of the others in its block."


@dataclass(frozen=True, slots=True)
class Measure:
    """A quantity that is followed through the window: its key, what it is, and its unit (a key of `live.STEPS`).

    `is_shared` says that all servers of a block have it in common.
    """

    key: str
    title: str
    unit: str
    is_shared: bool = False


MEASURES = (
    Measure("rate", "Replies per second", "rate"),
    Measure("p99", "p99 of the response time", "duration"),
    Measure("server", "CPU of the server while it has load, in cores", "cores"),
    Measure("memory", "Memory of the server (resident set)", "size"),
    Measure("generator", "CPU of the load generator, in cores", "cores", is_shared=True),
    Measure("machine", "CPU of all processes of the machine, in cores", "cores", is_shared=True),
    Measure("steal", "Steal: CPU that the hypervisor took away, in cores", "cores", is_shared=True),
)
"""All that is followed, in the order in which it is shown."""


def points(run: Run) -> dict[str, pd.DataFrame]:
    """Return, by the key of each measure, a row per point: server, workload, trial, at_s, value.

    `at_s` is in seconds since the window began, at the middle of what the point is of. `value` is in replies per
    second, ns, bytes or cores, and NaN where it is not known. Only measured trials are in it.
    """
    slices = _slices(run)
    pieces = timeline(run)
    used = _used(run)
    machine = used[used["process"] == "machine"]
    servers = used[used["process"] == "server"]
    alone = servers[~servers["trial"].isin(slices["trial"])]
    found = {
        "rate": pieces.assign(value=pieces["replies"] / pieces["slice_s"]),
        "p99": pieces.assign(value=pieces["response_p99_ns"]),
        "server": pd.concat([_of_slices(slices), alone.assign(value=alone["cpu"])[["trial", "at_s", "value"]]]),
        "memory": servers.assign(value=servers["rss_bytes"]),
        "generator": used[used["process"] == "client"].assign(value=lambda rows: rows["cpu"]),
        "machine": machine.assign(value=machine["cpu"]),
        "steal": machine.assign(value=machine["steal"]),
    }
    of_trial = cells_of_trials(run)
    return {key: rows[["trial", "at_s", "value"]].merge(of_trial, on="trial") for key, rows in found.items()}


def cells_of_trials(run: Run) -> pd.DataFrame:
    """Return the server and the workload of each measured trial, with plain types."""
    return run.measured[["trial", *CELL]].astype({"trial": int, **dict.fromkeys(CELL, str)})


def _typed(frame: pd.DataFrame, numbers: list[str]) -> pd.DataFrame:
    """Return columns as plain floats, NaN where nothing is known, in the order of the trials and of time."""
    return frame.astype({"trial": int, **dict.fromkeys(numbers, float)}).sort_values(
        ["trial", "at_s"], ignore_index=True
    )


def _slices(run: Run) -> pd.DataFrame:
    return _typed(run.slices, ["at_s", "slice_s", "server_cpu_s"])


def timeline(run: Run) -> pd.DataFrame:
    """Return the timeline on the clock of the wall, without a last stretch that is shorter than half a usual one.

    A row is a slice of a trial; `at_s` is its middle, in seconds since the window began.
    """
    slices = _slices(run)
    pieces = _typed(run.timeline, ["at_s", "slice_s", "replies", "response_p50_ns", "response_p99_ns"])
    usual = pieces.groupby("trial")["slice_s"].transform("median")
    pieces = pieces[pieces["slice_s"] >= usual / 2]
    if not slices.empty:
        loaded = slices.groupby("trial")["slice_s"].cumsum() - slices["slice_s"]
        turns = slices.assign(load_s=loaded, wall_s=slices["at_s"])[["trial", "load_s", "wall_s"]]
        pieces = pd.merge_asof(
            pieces.sort_values("at_s"),
            turns.sort_values("load_s"),
            left_on="at_s",
            right_on="load_s",
            by="trial",
            direction="nearest",
        )
        pieces["at_s"] = pieces["wall_s"].fillna(pieces["at_s"])
    return pieces.assign(at_s=pieces["at_s"] + pieces["slice_s"] / 2)


def _of_slices(slices: pd.DataFrame) -> pd.DataFrame:
    """Return the cores that each server used in its slices."""
    cores = slices["server_cpu_s"] / slices["slice_s"]
    return pd.DataFrame({"trial": slices["trial"], "at_s": slices["at_s"] + slices["slice_s"] / 2, "value": cores})


def _used(run: Run) -> pd.DataFrame:
    """Return the samples of the monitor, with the cores used (`cpu`) and taken (`steal`) since the sample before."""
    samples = _typed(run.monitor, ["at_s", "cpu_s", "steal_s", "rss_bytes"])
    samples = samples.sort_values(["trial", "process", "at_s"], ignore_index=True)
    moved = samples.groupby(["trial", "process"])[["at_s", "cpu_s", "steal_s"]].diff()
    cores = moved[["cpu_s", "steal_s"]].clip(lower=0).div(moved["at_s"].where(moved["at_s"] > 0), axis=0)
    middle = samples["at_s"] - moved["at_s"].fillna(0) / 2
    return samples.assign(cpu=cores["cpu_s"], steal=cores["steal_s"], at_s=middle)


def thinned(rows: pd.DataFrame, bins: Mapping[str, int]) -> tuple[pd.DataFrame, dict[str, float]]:
    """Thin points to moments: of all trials of a cell together, the lowest, the median and the highest of each moment.

    No mean is taken, and the lowest and the highest are kept, so that a peak stays however short it was. `bins` is the
    number of moments of each workload. Returns a row per cell and moment (server, workload, bin, low, value, high; NaN
    if no point there is known) and the length in seconds of a moment, by workload. A moment without points has no row.
    """
    end_s = rows.groupby("workload")["at_s"].max()
    length = {str(workload): float(end) * (1 + 1e-9) / bins[str(workload)] for workload, end in end_s.items()}
    step = rows["workload"].map(length).to_numpy(dtype=float)
    moment = np.floor(rows["at_s"].clip(lower=0).to_numpy() / np.where(step > 0, step, 1)).astype(int)
    found = rows.assign(bin=moment).groupby([*CELL, "bin"], sort=True)["value"].agg(["min", "median", "max"])
    return found.rename(columns={"min": "low", "median": "value", "max": "high"}).reset_index(), length


def usual_points(rows: pd.DataFrame) -> dict[str, int]:
    """Return how many points a trial of each workload usually has: more moments than that would be gaps."""
    counts = rows.groupby(["workload", "trial"]).size()
    return {str(workload): int(number) for workload, number in counts.groupby("workload").median().items()}
