"""Watches a trial from outside: what server, generator and machine used in its window, and every 0.1 s of it.

One thread of the bench, which otherwise waits. It reads the CPU clocks at the edges of the window, whose times are
known beforehand; what is dear to read is read outside the window. What it can no longer read it leaves out, and says
so: it never fails a trial.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, Self

import psutil

from bench.experiment.probe import GONE, Cpu, Switches, Tree

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

INTERVAL_NS = 100_000_000
SAMPLING_SHARE = 0.02
"""Of the time, at most, that sampling may take: of many processes there are fewer samples."""
LEAD_NS = 50_000_000
"""So long before the window begins, and before it ends, context switches are read."""
SWITCHES_THREADS_MAX = 1024
"""Reading them takes a file for each thread: with more threads than this they stay unknown."""


@dataclass(frozen=True, slots=True)
class Usage:
    """What was seen: metrics by the column names of `schema.TRIALS`, samples by those of `schema.MONITOR`."""

    metrics: Mapping[str, Any]
    samples: tuple[Mapping[str, Any], ...]
    has_gaps: bool


class Machine(NamedTuple):
    """CPU seconds so far of the CPUs we may use: by processes (interrupts are nobody's), stolen, and in all."""

    processes_s: float
    steal_s: float
    total_s: float


class Edge(NamedTuple):
    """All clocks at one edge of the window; None for a side that could not be seen."""

    at_ns: int
    server: Cpu | None
    client: Cpu | None
    bench_s: float
    machine: Machine


def read_machine(cpus: Collection[int]) -> Machine:
    """Sum the times of some of the machine's CPUs, which the kernel counts in ticks of 10 ms."""
    rows = [times for number, times in enumerate(psutil.cpu_times(percpu=True)) if number in cpus]
    return Machine(
        processes_s=sum(row.user + row.nice + row.system for row in rows),
        steal_s=sum(getattr(row, "steal", 0.0) for row in rows),
        total_s=sum(sum(row) - getattr(row, "guest", 0.0) - getattr(row, "guest_nice", 0.0) for row in rows),
    )


def edge_metrics(before: Edge, after: Edge) -> dict[str, Any]:
    """Return what was used between two edges; a side that was not seen at both has no metrics."""
    elapsed_s = (after.at_ns - before.at_ns) / 1e9
    machine = Machine(*(b - a for a, b in zip(before.machine, after.machine, strict=True)))
    total_s = machine.total_s or elapsed_s  # of a window shorter than a tick
    metrics: dict[str, Any] = {"machine_steal_share": machine.steal_s / total_s}
    if before.client is None or after.client is None or before.server is None or after.server is None:
        return metrics
    server = Cpu(*(b - a for a, b in zip(before.server, after.server, strict=True)))
    ours_s = server.total_s + after.client.total_s - before.client.total_s + after.bench_s - before.bench_s
    ticks_s = server.user_s + server.system_s
    return {
        **metrics,
        "server_cpu_s": server.total_s,
        "server_cpu_user_s": server.total_s * server.user_s / ticks_s if ticks_s else None,
        "server_cpu_system_s": server.total_s * server.system_s / ticks_s if ticks_s else None,
        "server_cpu_share": server.total_s / elapsed_s,
        "machine_foreign_cpu_share": max(0.0, machine.processes_s - ours_s) / total_s,
    }


class Side:
    """The server or the generator, as long as it can be seen, and the most that was seen of it."""

    def __init__(self, name: str, pid: int | None) -> None:
        """Watch the tree under a process, or nothing if that is not known."""
        self.name = name
        self.pid = pid
        self.maxima: dict[str, int] = {}
        self.is_lost = False
        self._tree: Tree | None = None

    def look_up(self) -> None:
        """Find the members of the tree, or new ones."""
        if self._tree is not None:
            self.read("refresh")
        elif self.pid is not None and not self.is_lost:
            try:
                self._tree = Tree(self.pid)
            except GONE:
                self.is_lost = True

    def read(self, reading: str) -> Any:
        """Return a reading of the tree by its name; None if it is not to be had."""
        if self._tree is None:
            return None
        try:
            return getattr(self._tree, reading)()
        except psutil.AccessDenied:
            return None  # a process of another user
        except GONE:
            self._tree, self.is_lost = None, True
            return None

    def is_small(self) -> bool:
        """Whether its threads are few enough to be read one by one."""
        threads: int | None = self.read("threads")
        return threads is not None and threads <= SWITCHES_THREADS_MAX

    def peak(self, reading: str) -> int | None:
        """Return a reading, and remember the largest."""
        value: int | None = self.read(reading)
        if value is not None:
            self.maxima[reading] = max(value, self.maxima.get(reading, value))
        return value


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
        self._stopping = threading.Event()
        self._is_whole = False

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exception: object) -> None:
        self._stopping.set()
        self.join()

    def result(self) -> Usage:
        """Return what was seen, after the window's end."""
        self.join()
        has_gaps = not self._is_whole or any(side.is_lost for side in self._sides)
        return Usage(self._metrics, tuple(self._samples), has_gaps)

    def run(self) -> None:
        """Wait for the window, sample it, and sum up. Called by `start`."""
        if not self._wait_until(self._start_ns - LEAD_NS):
            return
        for side in self._sides:
            side.look_up()
        first_ns, first = time.monotonic_ns(), self._switches()
        if not self._wait_until(self._start_ns):
            return
        before = self._edge()
        if not self._sample(self._end_ns - LEAD_NS):
            return
        last_ns, last = time.monotonic_ns(), self._switches()  # now: the threads end with their connections
        if not self._wait_until(self._end_ns):
            return
        after = self._edge()
        self._server.peak("uss_bytes")
        self._metrics.update(edge_metrics(before, after))
        self._note_switches(first, last, (after.at_ns - before.at_ns) / (last_ns - first_ns))
        self._note_maxima()
        self._is_whole = True

    def _wait_until(self, at_ns: int) -> bool:
        """Wait; False if the trial was given up before."""
        return not self._stopping.wait(max(0, at_ns - time.monotonic_ns()) / 1e9)

    def _edge(self) -> Edge:
        server, client = self._server.read("cpu"), self._client.read("cpu")
        return Edge(time.monotonic_ns(), server, client, time.process_time(), read_machine(self._cpus))

    def _sample(self, end_ns: int) -> bool:
        """Take samples until then. False if the trial was given up before."""
        due_ns = self._start_ns
        while due_ns < end_ns:
            began_ns = time.monotonic_ns()
            self._take(began_ns)
            cost_ns = time.monotonic_ns() - began_ns
            due_ns = max(due_ns, began_ns) + max(INTERVAL_NS, int(cost_ns / SAMPLING_SHARE))
            if not self._wait_until(min(due_ns, end_ns)):
                return False
        return True

    def _take(self, at_ns: int) -> None:
        at_s = (at_ns - self._start_ns) / 1e9
        for side in self._sides:
            cpu: Cpu | None = side.read("cpu")
            if cpu is not None:
                seen = {"rss_bytes": side.peak("rss_bytes"), "threads": side.peak("threads"), "fds": side.peak("fds")}
                self._samples.append({"at_s": at_s, "process": side.name, "cpu_s": cpu.total_s, **seen})
        machine = read_machine(self._cpus)
        self._samples.append(
            {"at_s": at_s, "process": "machine", "cpu_s": machine.processes_s, "steal_s": machine.steal_s}
        )

    def _switches(self) -> dict[Side, Switches | None]:
        return {side: side.read("switches") if side.is_small() else None for side in self._sides}

    def _note_switches(
        self, first: Mapping[Side, Switches | None], last: Mapping[Side, Switches | None], scale: float
    ) -> None:
        """Note context switches of the window, from those between two readings near its edges."""
        for side in self._sides:
            before, after = first[side], last[side]
            if before is not None and after is not None:
                for kind in Switches._fields:
                    count = scale * (getattr(after, kind) - getattr(before, kind))
                    self._metrics[f"{side.name}_ctx_{kind}"] = max(0, round(count))

    def _note_maxima(self) -> None:
        seen = {(side.name, reading): value for side in self._sides for reading, value in side.maxima.items()}
        for (name, reading), column in _MAXIMA.items():
            if (name, reading) in seen:
                self._metrics[column] = seen[name, reading]


_MAXIMA = {
    ("server", "rss_bytes"): "server_rss_max_bytes",
    ("server", "uss_bytes"): "server_uss_max_bytes",
    ("server", "threads"): "server_threads_max",
    ("server", "fds"): "server_fds_max",
    ("client", "rss_bytes"): "client_rss_max_bytes",
}
