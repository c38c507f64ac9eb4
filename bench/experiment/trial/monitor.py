"""Watches a trial from outside: what server, generator and machine used in its window, and every 0.1 s of it.

One thread of the bench, which otherwise waits. It reads the CPU clocks at the edges of the window, whose times are
known beforehand; what is dear to read is read outside the window. What it can no longer read it leaves out, and says
so: it never fails a trial.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from bench.experiment.host.cgroups import CgroupClock, Stops, stopped
from bench.experiment.trial.kinship import Kinship
from bench.experiment.trial.observed import observed
from bench.experiment.trial.orphans import adopted
from bench.experiment.trial.procfs import Counters, Cpu, Machine, MachineClock, spent
from bench.experiment.trial.side import Side

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping


INTERVAL_NS = 100_000_000
SAMPLING_SHARE = 0.02
"""Of the time, at most, that sampling may take: of many processes there are fewer samples."""
LEAD_NS = 50_000_000
"""So long before the window begins, and before it ends, the counters are read."""
EARLY_NS = 2_000_000
"""So long before the window ends, the CPU clocks are read: processes of a server may end with their connections."""
HELD_NS = 500_000_000
"""If we wake so late, we were stopped, and perhaps with us all else: a frozen container has no other sign."""
APART_SHARE = 0.25
"""The time between the readings of the CPU clocks is that of the window, to within this share. Else we woke late."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What was seen: metrics by the column names of `schema.TRIALS`, samples by those of `schema.MONITOR`.

    `is_cpu_lost` says that a process of the server ended, or may have, and took the count of its CPU time with it, and
    `was_stopped` that the server, the generator or the bench stood still for a while. In a block, `are_slices_blind`
    says that processes of the server came and went: the CPU time of its slices, which are those of the processes that
    were known when they began, is not to be used.
    """

    metrics: Mapping[str, Any]
    samples: tuple[Mapping[str, Any], ...]
    has_gaps: bool
    is_cpu_lost: bool = False
    was_stopped: bool = False
    are_slices_blind: bool = False

    @property
    def of_server(self) -> Usage:
        """The same without the generator's process: for one that only coordinates who makes the load."""
        metrics = {name: value for name, value in self.metrics.items() if not name.startswith("client_")}
        return replace(self, metrics=metrics, samples=tuple(one for one in self.samples if one["process"] != "client"))


class Edge(NamedTuple):
    """All clocks at one edge of the window; None for a side that could not be seen."""

    at_ns: int
    server: Cpu | None
    client: Cpu | None
    bench_s: float
    machine: Machine
    stops: Stops | None = None


def edge_metrics(before: Edge, after: Edge) -> dict[str, Any]:
    """Return what was used between two edges; a side that was not seen at both has no metrics."""
    elapsed_s, machine = (after.at_ns - before.at_ns) / 1e9, spent(before.machine, after.machine)
    stops = stopped(before.stops, after.stops, elapsed_s)
    if before.client is None or after.client is None or before.server is None or after.server is None:
        return stops | machine_shares(machine, elapsed_s, ours_s=None)
    server, client = spent(before.server, after.server), spent(before.client, after.client)
    ours_s = server.total_s + client.total_s + after.bench_s - before.bench_s
    ticks_s = server.user_s + server.system_s
    return {
        **stops,
        **machine_shares(machine, elapsed_s, ours_s=ours_s),
        "server_cpu_s": server.total_s,
        "server_cpu_user_s": server.total_s * server.user_s / ticks_s if ticks_s else None,
        "server_cpu_system_s": server.total_s * server.system_s / ticks_s if ticks_s else None,
        "server_cpu_share": server.total_s / elapsed_s,
    }


def machine_shares(machine: Machine, elapsed_s: float, *, ours_s: float | None) -> dict[str, float]:
    """Return which shares of the machine's CPU seconds were stolen, and taken by processes that are not ours.

    `machine` has what was spent in `elapsed_s`, and `ours_s` the part of server, generator and bench. If that is not
    known, foreign processes are not told from ours.
    """
    total_s = machine.total_s or elapsed_s  # of a window shorter than a tick
    shares = {"machine_steal_share": machine.steal_s / total_s}
    if ours_s is not None:
        shares["machine_foreign_cpu_share"] = max(0.0, machine.processes_s - ours_s) / total_s
    return shares


def machine_sample(machine: Machine) -> dict[str, Any]:
    """Return a sample of the machine by the column names of `schema.MONITOR`."""
    return {"process": "machine", "cpu_s": machine.processes_s, "steal_s": machine.steal_s}


def counted(side: str, before: Counters | None, after: Counters | None, scale: float = 1.0) -> dict[str, int]:
    """Return the metrics of what was counted between two readings, times `scale`; nothing that was not read twice."""
    if before is None or after is None:
        return {}
    return {
        f"{side}_{name}": max(0, round(scale * (last - first)))
        for name, first, last in zip(Counters._fields, before, after, strict=True)
        if first is not None and last is not None
    }


class Monitor(threading.Thread):
    """Samples two process trees and the machine until the window ends. Use as a context manager.

    `server_pid` is None for a server that is not ours: what it uses, and so foreign CPU, is not known then. Window
    edges are ns of CLOCK_MONOTONIC; `cpus` are those of the machine that count.
    """

    def __init__(
        self, server_pid: int | None, client_pid: int, window_ns: tuple[int, int], cpus: Collection[int]
    ) -> None:
        super().__init__(name="monitor", daemon=True)
        self._server, self._client = self._sides = (Side("server", server_pid), Side("client", client_pid))
        self._start_ns, self._end_ns = window_ns
        self._cpus = frozenset(cpus)
        self._metrics: dict[str, Any] = {}
        self._samples: list[dict[str, Any]] = []
        self._stopping, self._adopted = threading.Event(), ExitStack()
        self._is_whole = self._was_held = False

    def __enter__(self) -> Self:
        self._adopted.enter_context(adopted())
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopping.set()
        self.join()
        self._adopted.close()

    def result(self) -> Usage:
        """Return what was seen, after the window's end."""
        self.join()
        has_gaps = not self._is_whole or any(side.is_lost for side in self._sides)
        was_stopped = self._was_held or any(side.was_stopped for side in self._sides)
        is_cpu_lost = self._server.is_cpu_lost
        return Usage(self._metrics, tuple(self._samples), has_gaps, is_cpu_lost=is_cpu_lost, was_stopped=was_stopped)

    def run(self) -> None:
        """Wait for the window, sample it, and sum up. Called by `start`."""
        if not self._wait_until(self._start_ns - LEAD_NS):
            return
        try:
            kinship, self._machine, self._cgroup = Kinship(), MachineClock(self._cpus), CgroupClock()
        except OSError:
            return  # no descriptor is left for it
        for side in self._sides:
            side.refresh(kinship)
        first_ns, first = time.monotonic_ns(), self._counters()
        if not self._wait_until(self._start_ns):
            return
        before = self._edge()
        if not self._take_samples(self._end_ns - LEAD_NS):
            return
        self._server.look()
        last_ns, last = time.monotonic_ns(), self._counters()  # now: the threads end with their connections
        if not self._wait_until(self._end_ns - EARLY_NS):
            return
        after = self._edge()
        kinship = Kinship()
        server = self._server.last_cpu(after.server, kinship)
        is_in_time = abs((after.at_ns - before.at_ns) / (self._end_ns - self._start_ns) - 1) <= APART_SHARE
        after = after._replace(server=server if is_in_time and not self._server.is_cpu_lost else None)
        self._server.note_uss()
        self._metrics.update(edge_metrics(before, after) | observed(self._server.pid, kinship))
        self._note_counters(first, last, (after.at_ns - before.at_ns) / (last_ns - first_ns))
        for side in self._sides:
            self._metrics |= side.maxima
        self._is_whole = is_in_time

    def _wait_until(self, at_ns: int) -> bool:
        """Wait; False if the trial was given up before."""
        at_ns = max(at_ns, began_ns := time.monotonic_ns())
        is_given_up = self._stopping.wait((at_ns - began_ns) / 1e9)
        self._was_held |= time.monotonic_ns() - at_ns > HELD_NS
        return not is_given_up

    def _edge(self) -> Edge:
        server, client = self._server.cpu(), self._client.cpu()
        return Edge(time.monotonic_ns(), server, client, time.process_time(), self._machine.read(), self._cgroup.read())

    def _take_samples(self, end_ns: int) -> bool:
        """Take samples until then. False if the trial was given up before."""
        due_ns = self._start_ns
        while due_ns < end_ns:
            began_ns = time.monotonic_ns()
            self._take_sample(began_ns)
            cost_ns = time.monotonic_ns() - began_ns
            due_ns = max(due_ns, began_ns) + max(INTERVAL_NS, int(cost_ns / SAMPLING_SHARE))
            if not self._wait_until(min(due_ns, end_ns)):
                return False
        return True

    def _take_sample(self, at_ns: int) -> None:
        at_s = (at_ns - self._start_ns) / 1e9
        for side in self._sides:
            if seen := side.sample():
                self._samples.append({"at_s": at_s, **seen})
        self._samples.append({"at_s": at_s, **machine_sample(self._machine.read())})

    def _counters(self) -> dict[Side, Counters | None]:
        return {side: side.counters() for side in self._sides}

    def _note_counters(
        self, first: Mapping[Side, Counters | None], last: Mapping[Side, Counters | None], scale: float
    ) -> None:
        """Note what was counted in the window, from two readings near its edges."""
        for side in self._sides:
            self._metrics |= counted(side.name, first[side], last[side], scale)
