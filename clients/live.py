"""A line a second on stderr while a load runs: replies, failures, the slowest reply. Nothing is stored here.

It looks at what the recorder hands over ten times a second, and takes some 50 us each time. No percentile is made: that
would be a pause in somebody's latency.
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from clients.clock import now_ns
from clients.faults import of_server
from clients.recorder import Recorded, Recorder
from clients.summary import duration

if TYPE_CHECKING:
    from clients.clock import NowNs

_SECOND_NS = 1_000_000_000


@dataclass(slots=True)
class LiveRecorder(Recorder):
    """A recorder that tells of each second of the load, its warm-up too, as its columns are drained."""

    clock: NowNs = now_ns
    _began_ns: int = 0
    _told_ns: int = 0
    _replies: int = 0
    _failed: int = 0
    _slowest_ns: int = field(default=0)

    def drain(self) -> Recorded:
        """Return what was recorded, and print a line if a second is over since the last."""
        taken, at_ns = Recorder.drain(self), self.clock()
        if not self._began_ns:  # the connections have just been opened
            self._began_ns = self._told_ns = at_ns
        times_ns = taken.durations("response")
        self._replies += times_ns.size
        self._failed += of_server(taken.failures)
        self._slowest_ns = max(self._slowest_ns, int(np.maximum.reduce(times_ns, initial=0)))
        if at_ns - self._told_ns >= _SECOND_NS:
            self._tell(at_ns)
        return taken

    def _tell(self, at_ns: int) -> None:
        rate = self._replies * _SECOND_NS / (at_ns - self._told_ns)
        slowest = duration(self._slowest_ns) if self._replies else "-"
        second = round((at_ns - self._began_ns) / _SECOND_NS)
        line = f"{second:>5} s {rate:>12,.0f}/s {self._failed:>9,} failed   slowest {slowest}"
        if sys.stderr.isatty() and len(line) > os.get_terminal_size(sys.stderr.fileno()).columns:
            line = " ".join(line.split())
        print(line, file=sys.stderr)
        self._told_ns, self._replies, self._failed, self._slowest_ns = at_ns, 0, 0, 0
