"""One side of a trial, the server or the generator, as a monitor sees it: as long as it can be seen.

A reading that is not to be had is None, and never fails a trial. When a side is read is the monitors' business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeVar

import psutil

from bench.experiment.trial.procfs import GONE, Counters, Cpu
from bench.experiment.trial.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from bench.experiment.trial.kinship import Kinship

T = TypeVar("T")

COUNTED_THREADS_MAX = 1024
"""Reading them takes a file for each thread: with more threads than this they stay unknown."""

_MAXIMA = {
    ("server", "rss_bytes"): "server_rss_max_bytes",
    ("server", "uss_bytes"): "server_uss_max_bytes",
    ("server", "threads"): "server_threads_max",
    ("server", "fds"): "server_fds_max",
    ("client", "rss_bytes"): "client_rss_max_bytes",
}


class Side:
    """The server or the generator (`name` is "server" or "client"), as long as it can be seen.

    `maxima` has the most that was seen of it, by the column names of `schema.TRIALS`.
    """

    def __init__(self, name: str, pid: int | None) -> None:
        """Watch the tree under a process, or nothing if that is not known."""
        self.name = name
        self.pid = pid
        self.maxima: dict[str, int] = {}
        self.is_lost = self.was_stopped = False
        self._was_lost: bool | None = None
        self._tree: Tree | None = None

    def has_changed(self, since_s: float = 0.0) -> bool:
        """Say whether processes of it ended, or were started after `since_s` since the epoch, once it was looked up.

        One that lost the parent which led to it counts as well: the generator does not find it.
        """
        tree = self._tree
        if tree is None:
            return False
        return tree.has_gone or tree.has_strays or any(at_s > since_s for at_s in tree.came_at_s)

    @property
    def is_cpu_lost(self) -> bool:
        """Whether one of them ended, or may have, in a way that leaves its CPU time uncounted, before the last reading.

        What ends later has been counted: many servers end a process with its connection.
        """
        if self._was_lost is not None:
            return self._was_lost
        return self._tree is not None and self._tree.has_lost

    def cpu(self) -> Cpu | None:
        """Return the CPU seconds so far."""
        return self._read(Tree.cpu)

    def last_cpu(self, cpu: Cpu | None, kinship: Kinship | None = None) -> Cpu | None:
        """Return a reading of the CPU that was taken just now, made whole by what has been started meanwhile."""
        self._was_lost = None
        self._read(Tree.note_unseen)
        was_lost, came = self.is_cpu_lost, self._came
        self.refresh(kinship)
        if self._came != came:
            cpu = self.cpu()
            was_lost = self.is_cpu_lost
        self._was_lost = was_lost
        return cpu

    @property
    def _came(self) -> int:
        return 0 if self._tree is None else len(self._tree.came_at_s)

    def refresh(self, kinship: Kinship | None = None) -> None:
        """Find the members of the tree, or new ones. Who watches several gives the `kinship` of just now."""
        if self._tree is not None:
            self._read(lambda tree: tree.refresh(kinship))
        elif self.pid is not None and not self.is_lost:
            try:
                self._tree = Tree(self.pid, kinship)
            except GONE:
                self.is_lost = True

    def _read(self, reading: Callable[[Tree], T]) -> T | None:
        """Return a reading of the tree; None if it is not to be had."""
        if self._tree is None or self.is_lost:
            return None
        try:
            return reading(self._tree)
        except psutil.AccessDenied:
            return None  # a process of another user
        except GONE:
            self.is_lost = True
            return None

    def counters(self) -> Counters | None:
        """Return what was counted so far, if its threads are few enough to be read one by one."""
        vitals = self._read(Tree.vitals)
        return None if vitals is None or vitals.threads > COUNTED_THREADS_MAX else self._read(Tree.counters)

    def look(self) -> None:
        """Take note of processes that were started since the last look."""
        self._read(Tree.look)

    def sample(self) -> Mapping[str, Any]:
        """Return a sample by the column names of `schema.MONITOR`, and remember the largest; empty if it is lost."""
        self.look()
        vitals = self._read(Tree.vitals)
        if vitals is None:
            return {}
        self.was_stopped |= vitals.is_stopped
        readings = {"rss_bytes": vitals.rss_bytes, "threads": vitals.threads, "fds": self._read(Tree.fds)}
        for reading, value in readings.items():
            self._note(reading, value)
        return {"process": self.name, "cpu_s": vitals.cpu.total_s, **readings}

    def note_uss(self) -> None:
        """Remember how much memory is its alone."""
        self._note("uss_bytes", self._read(Tree.uss_bytes))

    def _note(self, reading: str, value: int | None) -> None:
        column = _MAXIMA.get((self.name, reading))
        if column is not None and value is not None:
            self.maxima[column] = max(value, self.maxima.get(column, value))
