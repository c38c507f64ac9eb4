"""What the hot path writes into: columns that are only appended to. No statistics and no decisions here.

A closed loop appends one number per reply, because its due time is its send time. An open loop appends two, and their
difference is the lateness. `drain` empties the columns every 0.1 s, so memory does not grow with time.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from clients.faults import Failure

_NO_FAILURES: Counter[Failure] = Counter()
Durations = np.ndarray[Any, np.dtype[np.int64]]


class Recorded(NamedTuple):
    """What was recorded since the last drain: columns of ns, and failures by class.

    In a closed loop `service` is empty, because it equals `response`. The columns are not converted to numpy here: its
    code would have to be loaded into the CPU cache again, a pause of 40 us for every connection.
    """

    response: array[int]
    service: array[int]
    connect: array[int]
    failures: Counter[Failure]

    def durations(self, kind: str) -> Durations:
        """Return durations in ns, shape (n,): of a column, or the `lateness` with which each request was sent.

        A closed loop has no lateness.
        """
        if kind != "lateness":
            return np.frombuffer(getattr(self, kind), dtype=np.int64)
        service = self.durations("service")
        return self.durations("response") - service if service.size else service


@dataclass(slots=True)
class Recorder:
    """Columns of int64 nanoseconds and counts of failures."""

    open_loop: bool
    response: array[int] = field(default_factory=lambda: array("q"))
    service: array[int] = field(default_factory=lambda: array("q"))
    connect: array[int] = field(default_factory=lambda: array("q"))
    failures: Counter[Failure] = field(default_factory=Counter)

    def reply(self, due_ns: int, sent_ns: int, done_ns: int) -> None:
        """Record one answered request."""
        self.response.append(done_ns - due_ns)
        if self.open_loop:
            self.service.append(done_ns - sent_ns)

    def drain(self) -> Recorded:
        """Return what was recorded, and begin anew with other columns: copying these would be a pause for everybody."""
        taken = Recorded(self.response, self.service, self.connect, self.failures or _NO_FAILURES)
        self.response, self.service, self.connect = array("q"), array("q"), array("q")
        if self.failures:
            self.failures = Counter()
        return taken


@dataclass(slots=True)
class RawRecorder(Recorder):
    """A recorder that also keeps due, sent and done of every answered request, for `--samples`."""

    due_ns: array[int] = field(default_factory=lambda: array("q"))
    sent_ns: array[int] = field(default_factory=lambda: array("q"))
    done_ns: array[int] = field(default_factory=lambda: array("q"))

    def reply(self, due_ns: int, sent_ns: int, done_ns: int) -> None:
        """Record one answered request."""
        Recorder.reply(self, due_ns, sent_ns, done_ns)
        self.due_ns.append(due_ns)
        self.sent_ns.append(sent_ns)
        self.done_ns.append(done_ns)
