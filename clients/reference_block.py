"""The load of a block by the reference generator in C: the same as `BlockLoad`, told to a program and taken over.

`reference_block.c` says what is written and read. No logic of the load belongs here, and nothing that a slice says of a
server.
"""

from __future__ import annotations

from array import array
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from clients.block import Opened, SliceRecord
from clients.faults import Failure
from clients.fleet import Counts
from clients.recorder import Recorded
from clients.reference import BLOCK_SOURCE, LIMITS, Program, binary
from clients.workload import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clients.load import Announce
    from clients.slices import Slicing, Slot
    from clients.target import Target
    from clients.workload import Workload

# In the order in which reference_block.c counts them.
_FAILURES = (
    Failure.RESET,
    Failure.CLOSED_EARLY,
    Failure.SHORT_REPLY,
    Failure.TIMEOUT,
    Failure.STALLED,
    Failure.MISMATCH,
    Failure.UNSENT,
)
_COUNTS = ("server", "begin_ns", "end_ns", "replies", "failed", "idle_closed")
_CPU_TIMES = ("server_cpu_ns", "idle_cpu_ns", "client_cpu_ns", "spun_ns")
_NAMES = (*_COUNTS, *_CPU_TIMES, *map(str, _FAILURES))
_SLICE = np.dtype([(name, np.int64) for name in _NAMES])
_HEAD = np.dtype([("slices", np.int64), ("replies", np.int64)])


class ReferenceBlock:
    """The load of a block, made by the C program; `run` may be called once. See `BlockLoad`, which it can stand for.

    It differs in what it does after a failure: a connection that failed, or that the server closed, does not come back.
    A server of which none stands any more has slices without length and replies. In a closed loop a slice begins with
    its first send and ends with its last reply; in an open one it lasts for its planned length at least.
    """

    def __init__(
        self, targets: Sequence[Target], workload: Workload, slicing: Slicing, *, pids: Sequence[int | None]
    ) -> None:
        """Take plain TCP targets and a plain workload, whose warm-up and duration have become those of the slicing.

        Raise WorkloadError for what the program cannot do, CompilerError if it cannot be built.
        """
        if not workload.is_plain or any(target.tls is not None or not target.is_tcp for target in targets):
            raise WorkloadError(LIMITS)
        self._targets, self._workload, self._slicing, self._pids = targets, workload, slicing, pids
        self._order = list(slicing.order(len(targets), workload.seed))
        self._program = Program(binary(BLOCK_SOURCE))
        self._last: dict[int, int] = {}
        self.opened: list[Opened] = []
        self.records: list[SliceRecord] = []

    @property
    def is_interrupted(self) -> bool:
        """Whether the block ended early, so that passes are missing."""
        return self._program.interrupted

    def interrupt(self) -> None:
        """End with the last pass that is whole; may be called by a signal handler."""
        self._program.interrupt()

    def run(self, announce: Announce, loaded: Callable[[], None]) -> None:
        """Connect, ask `announce` for the start, and load; `records` then has every slice that counts, in order.

        `loaded` is called after the last slice, while the connections still stand. An interrupted block has whole
        passes only. Raise LoadError if the program fails.
        """
        requested = len(self._targets) * self._workload.connections
        given = self._program.run(announce, requested, told=self._text(), loaded=loaded)
        none = [0] * len(self._pids)
        made = zip(self._program.established or none, self._program.portless or none, strict=True)
        self.opened = [self._opened(established, portless) for established, portless in made]
        if given is not None:
            self._take(given)

    # ---- what it is told

    def _text(self) -> str:
        """Return the block as reference_block.c reads it."""
        workload, slicing = self._workload, self._slicing
        size = (len(self._targets), workload.connections, workload.message_bytes, workload.rate_per_s or 0)
        times_ns = (round(workload.timeout_s * 1e9), round(slicing.slice_s * 1e9))
        warmup_slices = slicing.warmup_passes * len(self._targets)
        of_servers = zip(self._targets, self._pids, strict=True)
        servers = [(target.host, target.address[1], pid or 0) for target, pid in of_servers]
        lines = [(*size, *times_ns, len(self._order), warmup_slices), *servers, [slot.server for slot in self._order]]
        return "".join(" ".join(map(str, line)) + "\n" for line in lines)

    # ---- what it gives

    def _opened(self, established: int, portless: int) -> Opened:
        refused = self._workload.connections - established - portless
        failures = Counter({Failure.REFUSED: refused, Failure.NO_LOCAL_PORT: portless})
        return Opened(established, Recorded(array("q"), array("q"), array("q"), +failures))

    def _take(self, given: bytes) -> None:
        head = np.frombuffer(given, _HEAD, 1)[0]
        rows = np.frombuffer(given, _SLICE, head["slices"], _HEAD.itemsize)
        durations = memoryview(given)[_HEAD.itemsize + rows.nbytes :].cast("q")
        replies, at = int(head["replies"]), 0
        for slot, row in zip(self._order, rows, strict=False):
            after = at + int(row["replies"])
            response, service = durations[at:after], durations[replies + at : replies + after]
            record = self._record(row, slot, response, service)
            if slot.pass_number > 0:
                self.records.append(record)
            at = after
        del self.records[len(self.records) - len(self.records) % len(self._targets) :]  # a pass that is not whole

    def _record(self, row: np.void, slot: Slot, response: memoryview, service: memoryview) -> SliceRecord:
        value = {name: int(row[name]) for name in _NAMES}
        failures = Counter({failure: value[failure] for failure in _FAILURES if value[failure]})
        answered, failed = value["replies"], value["failed"]
        last_ns = self._last.get(slot.server, value["begin_ns"])
        self._last[slot.server] = value["end_ns"]
        return SliceRecord(
            slot=slot,
            begin_ns=value["begin_ns"],
            end_ns=value["end_ns"],
            recorded=Recorded(array("q", response), array("q", service), array("q"), failures),
            counts=Counts(answered + failed, answered, failed, value["idle_closed"]),
            server_cpu_ns=_known(value["server_cpu_ns"]),
            client_cpu_ns=value["client_cpu_ns"],
            spun_ns=value["spun_ns"],
            idle_ns=value["begin_ns"] - last_ns,
            idle_cpu_ns=_known(value["idle_cpu_ns"]),
        )


def _known(cpu_ns: int) -> int | None:
    return None if cpu_ns < 0 else cpu_ns
