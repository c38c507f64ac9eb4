"""Watches a block from outside: what each of its servers, the generator and the machine used while the load ran.

Samples are rarer than beside a trial alone, because each of them takes time from the server whose turn it is. The CPU
of a slice is read by the generator, at the slice's edges, from the processes that it knows. If processes of a server
come and go, what is read here around the whole load takes its place.
"""

from __future__ import annotations

import threading
import time
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from bench.experiment.host.cgroups import CgroupClock, stopped
from bench.experiment.trial.kinship import Kinship
from bench.experiment.trial.monitor import HELD_NS, SAMPLING_SHARE, Usage, counted
from bench.experiment.trial.observed import observed
from bench.experiment.trial.orphans import adopted
from bench.experiment.trial.procfs import MachineClock
from bench.experiment.trial.side import Side

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bench.experiment.host.cgroups import Stops
    from bench.experiment.trial.procfs import Counters, Machine

INTERVAL_S = 0.5
START_TICK_S = 0.02
"""The kernel tells the time at which a process was started in ticks of 10 ms."""


class BlockMonitor(threading.Thread):
    """Samples several process trees and the machine until it is stopped. Use as a context manager.

    A `pid` is None for a server that is not ours. `cpus` are those of the machine that count.
    """

    def __init__(self, server_pids: Sequence[int | None], client_pid: int, cpus: Collection[int]) -> None:
        super().__init__(name="block-monitor", daemon=True)
        self._servers = [Side("server", pid) for pid in server_pids]
        self._client = Side("client", client_pid)
        self._machine, self._cgroup = MachineClock(frozenset(cpus)), CgroupClock()
        self._samples: dict[Side, list[dict[str, Any]]] = {side: [] for side in self._sides}
        self._machine_samples: list[dict[str, Any]] = []
        self._was_held, self._adopted = False, ExitStack()
        self._begun, self._stopping = threading.Event(), threading.Event()

    @property
    def _sides(self) -> list[Side]:
        return [*self._servers, self._client]

    def __enter__(self) -> Self:
        self._adopted.enter_context(adopted())
        self.start()  # before the trees are looked up, because a thread of ours takes an id too
        kinship = Kinship()
        for side in self._sides:
            side.refresh(kinship)
        self._began_s, self._before, self._began_epoch_s = time.monotonic(), self._edge(), time.time()
        self._begun.set()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopping.set()
        self.join()
        self._adopted.close()

    def run(self) -> None:
        """Sample until told to stop, from when the first readings are there. Called by `start`."""
        self._begun.wait()
        wait_s, due_s = 0.0, time.monotonic()
        while not self._stopping.wait(wait_s):
            began_s = time.monotonic()
            self._was_held |= began_s - due_s > HELD_NS / 1e9
            for side in self._sides:
                if seen := side.sample():
                    self._samples[side].append({"at_s": began_s - self._began_s, "process": side.name, **seen})
            machine = self._machine.read()
            self._machine_samples.append(
                {
                    "at_s": began_s - self._began_s,
                    "process": "machine",
                    "cpu_s": machine.processes_s,
                    "steal_s": machine.steal_s,
                }
            )
            ended_s = time.monotonic()
            wait_s = max(INTERVAL_S, (ended_s - began_s) / SAMPLING_SHARE)
            due_s = ended_s + wait_s

    def stop(self) -> None:
        """Read everything a last time."""
        self._stopping.set()
        self.join()
        after = self._edge()
        kinship = Kinship()
        late = {side: side.last_cpu(after.cpu[side], kinship) for side in self._servers}
        self._after = after._replace(cpu={**after.cpu, **late})
        for side in self._servers:
            side.note_uss()
        self._observed = {side: observed(side.pid, kinship) for side in self._servers}

    def usages(self, slicing: Mapping[str, Any]) -> list[Usage]:
        """Return what was seen of each server, in their order; counters are scaled to the passes that count."""
        after = self._after
        share = slicing["passes"] / (slicing["passes"] + slicing["warmup_passes"])
        machine = self._machine_metrics(after)
        client = self._metrics_of(self._client, after, share / len(self._servers))
        common = [*self._samples[self._client], *self._machine_samples]
        warm_s = slicing["warmup_passes"] * len(self._servers) * slicing["slice_s"]
        known_s = self._began_epoch_s + warm_s - START_TICK_S  # the generator finds processes when the warm-up is over
        usages = []
        for side in self._servers:
            metrics = machine | client | self._metrics_of(side, after, share) | self._observed[side]
            has_changed = side.has_changed(known_s) or side.is_cpu_lost
            if has_changed:
                metrics |= self._whole_cpu(side, after, share)
            usages.append(
                Usage(
                    metrics,
                    (*self._samples[side], *common),
                    has_gaps=side.is_lost,
                    is_cpu_lost=side.is_cpu_lost,
                    was_stopped=self._was_held or side.was_stopped or self._client.was_stopped,
                    are_slices_blind=has_changed,
                )
            )
        return usages

    def _whole_cpu(self, side: Side, after: _Edge, share: float) -> dict[str, float]:
        """Return the CPU seconds of a server whose processes came and went, from readings around the whole load."""
        used = (self._before.cpu[side], after.cpu[side])
        return {} if None in used else {"server_cpu_s": share * (used[1].total_s - used[0].total_s)}

    def _edge(self) -> _Edge:
        counters = {side: side.read("counters") if side.is_small() else None for side in self._sides}
        cpu = {side: side.read("cpu") for side in self._sides}
        machine, stops = self._machine.read(), self._cgroup.read()
        return _Edge(counters, cpu, machine, stops, time.process_time(), time.monotonic())

    def _metrics_of(self, side: Side, after: _Edge, share: float) -> dict[str, Any]:
        """Return what was counted of one side, and the largest that was seen of it."""
        maxima = {
            f"{side.name}_{reading.removesuffix('_bytes')}_max{'_bytes' if reading.endswith('_bytes') else ''}": value
            for reading, value in side.maxima.items()
            if side.name == "server" or reading == "rss_bytes"
        }
        return maxima | counted(side.name, self._before.counters[side], after.counters[side], share)

    def _machine_metrics(self, after: _Edge) -> dict[str, Any]:
        """Return the CPU time that the hypervisor, the quota of our cgroup and other processes took."""
        before = self._before
        spent = type(after.machine)(*(b - a for a, b in zip(before.machine, after.machine, strict=True)))
        total_s = spent.total_s or after.at_s - before.at_s
        metrics = {"machine_steal_share": spent.steal_s / total_s}
        metrics |= stopped(before.stops, after.stops, after.at_s - before.at_s)
        is_lost = any(side.is_cpu_lost for side in self._sides)
        used = [(before.cpu[side], after.cpu[side]) for side in self._sides]
        if not is_lost and all(first is not None and last is not None for first, last in used):
            ours_s = sum(last.total_s - first.total_s for first, last in used) + after.bench_s - before.bench_s
            metrics["machine_foreign_cpu_share"] = max(0.0, spent.processes_s - ours_s) / total_s
        return metrics


class _Edge(NamedTuple):
    """All clocks and counters at one edge of the load; None for a side that could not be seen."""

    counters: Mapping[Side, Counters | None]
    cpu: Mapping[Side, Any]
    machine: Machine
    stops: Stops | None
    bench_s: float
    at_s: float
