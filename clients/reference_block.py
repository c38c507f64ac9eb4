"""The load of a block by the reference generator in C: told to the program, and its slices taken over.

No logic of the load belongs here, and nothing that a slice says of a server. `reference_block.c` says what is written
and read.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from clients.block import Opened, SliceRecord
from clients.cpuclock import members_of
from clients.faults import Failure
from clients.fleet import Counts
from clients.recorder import Recorded
from clients.reference import BLOCK_SOURCE, LIMITS, Program, binary
from clients.slices import Slot
from clients.workload import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clients.load import Announce
    from clients.slices import Slicing
    from clients.target import Target
    from clients.workload import Workload

    Durations = np.ndarray[Any, np.dtype[np.int64]]

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
_EDGES = ("server", "begin_ns", "end_ns", "replies", "server_cpu_ns", "client_cpu_ns")
_SLICE = np.dtype([*((name, np.int64) for name in _EDGES), ("failures", np.int64, len(_FAILURES))])
_HEAD = np.dtype([("slices", np.int64), ("replies", np.int64)])


class BlockSlice(NamedTuple):
    """One slice of the load of a block, as its two edges saw it.

    `server` is the place of its target in the list. `pass_number` counts from 0; the passes that warm up have the
    numbers below, -1 the last of them. Times are ns of the monotonic clock. In a closed loop the slice lasts from the
    first send to the last reply, in an open one at least for its planned length. It has no length if no connection to
    the server stands any more: one that failed does not come back. `errors` has only what occurred. `server_cpu_ns` is
    None if it cannot be read. Durations are int64 ns, one for each reply; in a closed loop both kinds are the same.
    """

    server: int
    pass_number: int
    begin_ns: int
    end_ns: int
    replies: int
    errors: Counter[Failure]
    server_cpu_ns: int | None
    client_cpu_ns: int
    response_ns: Durations
    service_ns: Durations


class ReferenceBlock:
    """The load of a block, made by the C program: `connections` to each of several servers; `run` may be called once.

    `established` is how many connections to each server stood when the load began, in the order of the targets.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        workload: Workload,
        *,
        order: Sequence[int],
        warmup_slices: int,
        slice_s: float,
        pids: Sequence[Sequence[int]],
    ) -> None:
        """Take the servers, and the place of one of them for each slice: first those of the slices that warm up.

        A pass is as many slices as there are servers. `pids` are the processes of each server. The workload's own
        warm-up and duration are not used. Raise WorkloadError for what the program cannot do, CompilerError if it
        cannot be built.
        """
        if not workload.is_plain or any(target.tls is not None or not target.is_tcp for target in targets):
            raise WorkloadError(LIMITS)
        if any(not 0 <= server < len(targets) for server in order) or len(pids) != len(targets):
            raise WorkloadError(f"a block of {len(targets)} servers has an order {[*order]} and processes {[*pids]}")
        self._targets, self._workload, self._pids = targets, workload, pids
        self._order, self._warmup_slices, self._slice_s = order, warmup_slices, slice_s
        self._program = Program(binary(BLOCK_SOURCE))

    @property
    def established(self) -> list[int]:
        """See the class."""
        return self._program.established

    @property
    def interrupted(self) -> bool:
        """Whether the block was ended early, so that slices are missing."""
        return self._program.interrupted

    def interrupt(self) -> None:
        """End with the last slice that is whole; may be called by a signal handler."""
        self._program.interrupt()

    def run(self, announce: Announce) -> list[BlockSlice]:
        """Connect, ask `announce` for the start, load, and return the slices that are whole, in their order.

        Raise LoadError if the program fails.
        """
        given = self._program.run(announce, len(self._targets) * self._workload.connections, self._text())
        return [] if given is None else self._slices(given)

    def _text(self) -> str:
        """Return the block as reference_block.c reads it."""
        workload, order = self._workload, self._order
        times_ns = (round(workload.timeout_s * 1e9), round(self._slice_s * 1e9))
        size = (len(self._targets), workload.connections, workload.message_bytes, workload.rate_per_s or 0)
        servers = zip(self._targets, self._pids, strict=True)
        lines = [
            (*size, *times_ns, len(order)),
            *((target.host, target.address[1], len(pids), *pids) for target, pids in servers),
            order,
        ]
        return "".join(" ".join(map(str, line)) + "\n" for line in lines)

    def _slices(self, given: bytes) -> list[BlockSlice]:
        head = np.frombuffer(given, _HEAD, 1)[0]
        rows = np.frombuffer(given, _SLICE, head["slices"], _HEAD.itemsize)
        durations = np.frombuffer(given, np.int64, offset=_HEAD.itemsize + rows.nbytes)
        response, service = durations[: head["replies"]], durations[-head["replies"] :]
        edges = np.cumsum(rows["replies"])[:-1]
        each = zip(rows, np.split(response, edges), np.split(service, edges), strict=True)
        return [self._slice(at, *one) for at, one in enumerate(each)]

    def _slice(self, at: int, row: np.void, response: Durations, service: Durations) -> BlockSlice:
        server, begin_ns, end_ns, replies, server_cpu_ns, client_cpu_ns = (int(row[name]) for name in _EDGES)
        counts = zip(_FAILURES, row["failures"].tolist(), strict=True)
        return BlockSlice(
            server=server,
            pass_number=(at - self._warmup_slices) // len(self._targets),
            begin_ns=begin_ns,
            end_ns=end_ns,
            replies=replies,
            errors=Counter({failure: count for failure, count in counts if count}),
            server_cpu_ns=None if server_cpu_ns < 0 else server_cpu_ns,
            client_cpu_ns=client_cpu_ns,
            response_ns=response,
            service_ns=service,
        )


class ReferenceBlockLoad:
    """`BlockLoad` made by the program: the same words in, the same records out. What a server did idle is not known."""

    def __init__(
        self, targets: Sequence[Target], workload: Workload, slicing: Slicing, *, pids: Sequence[int | None]
    ) -> None:
        order = [slot.server for slot in slicing.order(len(targets), workload.seed)]
        self._servers = len(targets)
        self._load = ReferenceBlock(
            targets,
            workload,
            order=order,
            warmup_slices=slicing.warmup_passes * len(targets),
            slice_s=slicing.slice_s,
            pids=[members_of(pid) for pid in pids],
        )
        self.opened: list[Opened] = []
        self.records: list[SliceRecord] = []

    @property
    def is_interrupted(self) -> bool:
        """Whether the block was ended early."""
        return self._load.interrupted

    def interrupt(self) -> None:
        """End after the slice under way; may be called by a signal handler."""
        self._load.interrupt()

    def run(self, announce: Announce, loaded: Callable[[], None]) -> None:
        """Load the block; `loaded` is called when the connections have ended, which the program does by itself."""
        records = [_record(one) for one in self._load.run(announce) if one.pass_number >= 0]
        self.records = records[: len(records) - len(records) % self._servers]
        self.opened = [Opened(number, Recorded.nothing()) for number in self._load.established]
        loaded()


def _record(one: BlockSlice) -> SliceRecord:
    failed = sum(count for failure, count in one.errors.items() if failure is not Failure.UNSENT)
    is_open_loop = one.service_ns is not one.response_ns and not np.array_equal(one.service_ns, one.response_ns)
    service = one.service_ns if is_open_loop else np.empty(0, np.int64)
    return SliceRecord(
        slot=Slot(one.pass_number + 1, one.server),
        begin_ns=one.begin_ns,
        end_ns=one.end_ns,
        recorded=Recorded.of(one.response_ns, service, one.errors),
        counts=Counts(sent=one.replies + failed, answered=one.replies, failed=failed, idle_closed=0),
        server_cpu_ns=one.server_cpu_ns,
        client_cpu_ns=one.client_cpu_ns,
        spun_ns=0,
        idle_ns=0,
        idle_cpu_ns=None,
    )
