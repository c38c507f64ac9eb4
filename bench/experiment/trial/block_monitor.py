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
from bench.experiment.trial.monitor import (
    HELD_NS,
    SAMPLING_SHARE,
    Usage,
    counted,
    machine_sample,
    machine_shares,
)
from bench.experiment.trial.observed import observed
from bench.experiment.trial.orphans import adopted
from bench.experiment.trial.procfs import MachineClock, spent
from bench.experiment.trial.side import Side

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from bench.experiment.host.cgroups import Stops
    from bench.experiment.trial.procfs import Counters, Cpu, Machine

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
            at_s = began_s - self._began_s
            for side in self._sides:
                if seen := side.sample():
                    self._samples[side].append({"at_s": at_s, **seen})
            self._machine_samples.append({"at_s": at_s, **machine_sample(self._machine.read())})
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
            if has_changed and (used := self._used(side, after)) is not None:
                metrics["server_cpu_s"] = share * used.total_s
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

    def _used(self, side: Side, after: _Edge) -> Cpu | None:
        """Return the CPU seconds of one side between the edges; None if it was not seen at both."""
        first, last = self._before.cpu[side], after.cpu[side]
        return None if first is None or last is None else spent(first, last)

    def _edge(self) -> _Edge:
        counters = {side: side.counters() for side in self._sides}
        cpu = {side: side.cpu() for side in self._sides}
        machine, stops = self._machine.read(), self._cgroup.read()
        return _Edge(counters, cpu, machine, stops, time.process_time(), time.monotonic())

    def _metrics_of(self, side: Side, after: _Edge, share: float) -> dict[str, Any]:
        """Return what was counted of one side, and the largest that was seen of it."""
        return side.maxima | counted(side.name, self._before.counters[side], after.counters[side], share)

    def _machine_metrics(self, after: _Edge) -> dict[str, Any]:
        """Return the CPU time that the hypervisor, the quota of our cgroup and other processes took."""
        before = self._before
        elapsed_s, machine = after.at_s - before.at_s, spent(before.machine, after.machine)
        is_lost = any(side.is_cpu_lost for side in self._sides)
        used = [self._used(side, after) for side in self._sides]
        known = [cpu.total_s for cpu in used if cpu is not None]
        ours_s = None if is_lost or len(known) < len(used) else sum(known) + after.bench_s - before.bench_s
        return machine_shares(machine, elapsed_s, ours_s=ours_s) | stopped(before.stops, after.stops, elapsed_s)


class _Edge(NamedTuple):
    """All clocks and counters at one edge of the load; None for a side that could not be seen."""

    counters: Mapping[Side, Counters | None]
    cpu: Mapping[Side, Cpu | None]
    machine: Machine
    stops: Stops | None
    bench_s: float
    at_s: float
