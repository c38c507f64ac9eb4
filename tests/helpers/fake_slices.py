"""How the slices of a block come out on a fake host: what the machine, a launch, a slice and a neighbour do to them.

The sizes are those of two asyncio servers on a virtual machine of two CPUs, 64 connections, slices of 20 ms: raw slices
vary by 20 to 40 %, because the machine changes its speed by 1.5 times within a second and because single slices stall.
The log ratio of a block has a standard deviation of 1 to 1.5 % from its launches alone.
"""

from __future__ import annotations

import math
import statistics
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from clients.workload import Workload

    Floats = NDArray[np.float64]

SLICE_S = 0.02
"""Longer than those of the default load, so that a pair has fewer passes here, and is no sharper than a real one."""
OVERHEAD_S = 0.6


@dataclass(frozen=True)
class Neighbour:
    """Somebody else on the server's core, who is busy for a `share` of the time.

    With `period_s` it is busy from the beginning of each period, else in bursts of `burst_s` on average. While it is
    busy the server has `left` of the core, and `dearer` is by how much its CPU per reply grows (log): caches are cold,
    or stolen time is counted as used.
    """

    share: float
    burst_s: float = 0.03
    period_s: float | None = None
    left: float = 0.5
    dearer: float = 0.1

    def busy(self, draw: np.random.Generator, edges_s: Floats) -> Floats:
        """Return the share of each interval between neighbouring edges in which it is busy."""
        if self.share == 0:
            return np.zeros(edges_s.size - 1)
        if self.period_s is not None:
            whole, rest = np.divmod(edges_s, self.period_s)
            used = self.share * self.period_s * whole + np.minimum(rest, self.share * self.period_s)
        else:
            idle_s = self.burst_s * (1 - self.share) / self.share
            cycles = 4 + round(2 * (edges_s[-1] - edges_s[0]) / (self.burst_s + idle_s))
            lengths = draw.exponential(size=(cycles, 2)) * (idle_s, self.burst_s)
            knots = edges_s[0] - self.burst_s - idle_s + np.concatenate([[0.0], np.cumsum(lengths)])
            used = np.interp(edges_s, knots, np.concatenate([[0.0], np.cumsum((lengths * (0, 1)).ravel())]))
        return np.diff(used) / np.diff(edges_s)


@dataclass(frozen=True)
class Slices:
    """The noise of a block, as standard deviations on the log scale. `stall_chance` is per slice."""

    launch_sd: float = 0.009
    state_sd: float = 0.2
    state_tau_s: float = 0.5
    slice_sd: float = 0.06
    cpu_sd: float = 0.04
    stall_chance: float = 0.10
    stall_sd: float = 0.8
    neighbour: Neighbour = Neighbour(0.0)


QUIET = Slices()


def block_s(workload: Workload) -> float:
    """Wall time of a block of two, in seconds."""
    return 2 * (workload.warmup_s + workload.duration_s) + OVERHEAD_S


def measure(
    noise: Slices, draw: np.random.Generator, workload: Workload, log_slower: tuple[float, float], now_s: float
) -> list[tuple[dict[str, Any], tuple[dict[str, Any], ...]]]:
    """Return the metrics and the slices of two trials that share a block which begins at `now_s`."""
    passes = max(1, round(workload.duration_s / SLICE_S))
    shape = (passes, 2)
    edges = now_s + OVERHEAD_S / 2 + 2 * workload.warmup_s + SLICE_S * np.arange(2 * passes + 1)
    turns = draw.random(shape).argsort(axis=1)
    busy = np.take_along_axis(noise.neighbour.busy(draw, edges).reshape(shape), turns, axis=1)
    at_s = np.take_along_axis(edges[:-1].reshape(shape), turns, axis=1) - edges[0]
    own = np.array(log_slower) + draw.normal(size=2) * noise.launch_sd
    stalls = np.abs(draw.normal(size=shape)) * noise.stall_sd * (draw.random(shape) < noise.stall_chance)
    taken = -np.log1p(-busy * (1 - noise.neighbour.left))
    state = _state(noise, draw, passes)[:, None]
    slow = own + state + stalls + taken + draw.normal(size=shape) * noise.slice_sd
    dear = own + state / 4 + stalls / 8 + busy * noise.neighbour.dearer + draw.normal(size=shape) * noise.cpu_sd
    waits = own + state + stalls / 2 + taken + draw.normal(size=shape) * noise.slice_sd
    replies, cpu_us, p50_ns = 1e4 * SLICE_S * np.exp(-slow), 20 * np.exp(dear), 1e6 * np.exp(waits)
    return [_trial(at_s[:, arm], replies[:, arm], cpu_us[:, arm], p50_ns[:, arm]) for arm in (0, 1)]


def _trial(at_s: Floats, replies: Floats, cpu_us: Floats, p50_ns: Floats) -> tuple[dict[str, Any], tuple[Any, ...]]:
    columns = (at_s.tolist(), replies.tolist(), (cpu_us * replies * 1e-6).tolist(), p50_ns.tolist())
    slices = tuple(
        {"pass": i, "at_s": at, "slice_s": SLICE_S, "replies": n, "server_cpu_s": cpu, "response_p50_ns": p50}
        for i, (at, n, cpu, p50) in enumerate(zip(*columns, strict=True))
    )
    metrics = {
        "replies_per_s": float(replies.sum() / (SLICE_S * replies.size)),
        "server_cpu_us_per_reply": float((cpu_us * replies).sum() / replies.sum()),
        "response_p50_ns": statistics.median(columns[3]),
    }
    return metrics, slices


def _state(noise: Slices, draw: np.random.Generator, passes: int) -> Floats:
    """Draw how slow the machine is in each pass (log): an Ornstein-Uhlenbeck process."""
    keep = math.exp(-2 * SLICE_S / noise.state_tau_s)
    shocks = (draw.normal(size=passes) * noise.state_sd).tolist()
    state, fresh = shocks[:1], math.sqrt(1 - keep * keep)
    for shock in shocks[1:]:
        state.append(keep * state[-1] + fresh * shock)
    return np.array(state)
