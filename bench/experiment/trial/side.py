"""One side of a trial, the server or the generator, as a monitor sees it: as long as it can be seen.

A reading that is not to be had is None, and never fails a trial. When a side is read is the monitors' business.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psutil

from bench.experiment.trial.procfs import GONE, Cpu, Vitals
from bench.experiment.trial.tree import Tree

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.experiment.trial.kinship import Kinship

COUNTED_THREADS_MAX = 1024
"""Reading them takes a file for each thread: with more threads than this they stay unknown."""


class Side:
    """The server or the generator, as long as it can be seen, and the most that was seen of it."""

    def __init__(self, name: str, pid: int | None) -> None:
        """Watch the tree under a process, or nothing if that is not known."""
        self.name = name
        self.pid = pid
        self.maxima: dict[str, int] = {}
        self.is_lost = self.was_stopped = False
        self._was_lost: bool | None = None
        self._tree: Tree | None = None
        self._last_tree: Tree | None = None

    def has_changed(self, since_s: float = 0.0) -> bool:
        """Say whether processes of it ended, or were started after `since_s` since the epoch, once it was looked up.

        One that lost the parent which led to it counts as well: the generator does not find it.
        """
        tree = self._last_tree
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
        return self._last_tree is not None and self._last_tree.has_lost

    def last_cpu(self, cpu: Cpu | None, kinship: Kinship | None = None) -> Cpu | None:
        """Return a reading of the CPU that was taken just now, made whole by what has been started meanwhile."""
        self._was_lost = None
        self.read("note_unseen")
        was_lost, came = self.is_cpu_lost, self._came
        self.refresh(kinship)
        if self._came != came:
            cpu = self.read("cpu")
            was_lost = self.is_cpu_lost
        self._was_lost = was_lost
        return cpu

    @property
    def _came(self) -> int:
        return 0 if self._last_tree is None else len(self._last_tree.came_at_s)

    def refresh(self, kinship: Kinship | None = None) -> None:
        """Find the members of the tree, or new ones. Who watches several gives the `kinship` of just now."""
        if self._tree is not None:
            self.read("refresh", kinship)
        elif self.pid is not None and not self.is_lost:
            try:
                self._tree = self._last_tree = Tree(self.pid, kinship)
            except GONE:
                self.is_lost = True

    def read(self, reading: str, *arguments: object) -> Any:
        """Return a reading of the tree by its name; None if it is not to be had."""
        if self._tree is None:
            return None
        try:
            return getattr(self._tree, reading)(*arguments)
        except psutil.AccessDenied:
            return None  # a process of another user
        except GONE:
            self._tree, self.is_lost = None, True
            return None

    def is_small(self) -> bool:
        """Whether its threads are few enough to be read one by one."""
        vitals: Vitals | None = self.read("vitals")
        return vitals is not None and vitals.threads <= COUNTED_THREADS_MAX

    def sample(self) -> Mapping[str, Any]:
        """Return a sample by the column names of `schema.MONITOR`, and remember the largest; empty if it is lost."""
        self.read("look")
        vitals: Vitals | None = self.read("vitals")
        if vitals is None:
            return {}
        self.was_stopped |= vitals.is_stopped
        readings = {"rss_bytes": vitals.rss_bytes, "threads": vitals.threads, "fds": self.read("fds")}
        for reading, value in readings.items():
            self._note(reading, value)
        return {"cpu_s": vitals.cpu.total_s, **readings}

    def note_uss(self) -> None:
        """Remember how much memory is its alone."""
        self._note("uss_bytes", self.read("uss_bytes"))

    def _note(self, reading: str, value: int | None) -> None:
        if value is not None:
            self.maxima[reading] = max(value, self.maxima.get(reading, value))
