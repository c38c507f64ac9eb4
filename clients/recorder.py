"""What the hot path writes into: columns that are only appended to. No statistics here.

A closed loop appends one number per reply, since its due time is its send time; an open loop appends two, whose
difference is the lateness. The columns are emptied every slice (0.1 s) by `drain`, so memory does not grow with time.
"""

from __future__ import annotations

from array import array
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from clients.faults import Failure

Durations = np.ndarray[Any, np.dtype[np.int64]]


class Slice(NamedTuple):
    """What was recorded since the last drain: durations in ns, shape (n,) each, and failures by class.

    In a closed loop `service` is empty, because it equals `response`, and so is `lateness`, which does not exist.
    """

    response: Durations
    service: Durations
    connect: Durations
    failures: Counter[Failure]

    @property
    def lateness(self) -> Durations:
        """By how much each request was sent after it was due."""
        return self.response - self.service if self.service.size else self.service


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

    def drain(self) -> Slice:
        """Return what was recorded and begin anew. The columns stay the same objects: hot loops hold their `append`.

        Nobody sends or receives meanwhile, so it only copies.
        """
        failures = Counter(self.failures) if self.failures else Counter()
        self.failures.clear()
        return Slice(_emptied(self.response), _emptied(self.service), _emptied(self.connect), failures)


def _emptied(column: array[int]) -> Durations:
    """Take everything out of a column."""
    taken = column[:]
    del column[:]
    return np.frombuffer(taken, dtype=np.int64)


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
