"""The load of a block: connections to several servers, of which one at a time is loaded, in slices.

Nothing is in flight when a slice begins or ends. At its edges the time, the replies and the CPU of server and generator
are read, and nothing is digested before the block is over. How a load is cut into slices stands in `slices.py`, what
belongs to one server in `fleet.py`, and what a block's numbers come to in `sliced.py`.
"""

from __future__ import annotations

import time
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple, Self

from clients import memory
from clients.clock import NowNs, best_poller, now_ns
from clients.fleet import Counts, Fleet, NewRecorder
from clients.kernel import Kernel
from clients.recorder import Recorder

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from clients.load import Announce
    from clients.recorder import Recorded
    from clients.slices import Slicing, Slot
    from clients.target import Target
    from clients.workload import Workload

_BATCH = 16  # events between two readings of the clock: a slice must not end late


class SliceRecord(NamedTuple):
    """What one slice gave. Times are in ns of the clock; CPU times in ns, None where they could not be read.

    The idle time and CPU are those since the server's last slice, in which other servers had their turns.
    """

    slot: Slot
    begin_ns: int
    end_ns: int
    recorded: Recorded
    counts: Counts
    server_cpu_ns: int | None
    client_cpu_ns: int
    spun_ns: int
    idle_ns: int
    idle_cpu_ns: int | None


class _Edge(NamedTuple):
    """Where a server's slice ended: when, and what its processes had used and its connections had counted by then."""

    at_ns: int
    cpu_ns: int | None
    counts: Counts

    @classmethod
    def of(cls, fleet: Fleet, at_ns: int) -> Self:
        return cls(at_ns, fleet.cpu.now_ns(), fleet.counts())


class Opened(NamedTuple):
    """How the connections to one server were made."""

    established: int
    recorded: Recorded


class BlockLoad:
    """The load of one block; `run` may be called once. `pids` are the servers' first processes, None if not known.

    `new_recorder` makes what the replies of one server are written into.
    """

    def __init__(
        self,
        targets: Sequence[Target],
        workload: Workload,
        slicing: Slicing,
        *,
        pids: Sequence[int | None],
        clock: NowNs = now_ns,
        new_recorder: NewRecorder = Recorder,
    ) -> None:
        self._workload, self._slicing, self._now_ns = workload, slicing, clock
        self._kernel = Kernel(clock=clock, poller=best_poller(batch=_BATCH))
        self._fleets = [
            Fleet(target, workload, pid, kernel=self._kernel, clock=clock, new_recorder=new_recorder)
            for target, pid in zip(targets, pids, strict=True)
        ]
        self._edges: dict[int, _Edge] = {}
        self.opened: list[Opened] = []
        self.records: list[SliceRecord] = []
        self.is_interrupted = False

    def run(self, announce: Announce, loaded: Callable[[], None]) -> None:
        """Connect, ask `announce` for the start, and load; `records` then has every slice that counts, in order.

        `loaded` is called after the last slice, while the connections still stand. An interrupted block has whole
        passes only.
        """
        with memory.no_collections():
            self._kernel.run(self._measure(announce, loaded))

    def interrupt(self) -> None:
        """End after the slice under way; may be called by a signal handler."""
        self.is_interrupted = True

    async def _measure(self, announce: Announce, loaded: Callable[[], None]) -> None:
        for fleet in self._fleets:
            recorded = await fleet.open(lambda: self.is_interrupted)
            self.opened.append(Opened(fleet.established, recorded))
        wanted = self._workload.connections * len(self._fleets)
        start_ns = None if self.is_interrupted else announce(sum(one.established for one in self.opened), wanted)
        if start_ns is None:
            self.is_interrupted = True
        else:
            for fleet in self._fleets:
                fleet.start(start_ns)
            await self._load_in_turn()
            loaded()
            del self.records[len(self.records) - len(self.records) % len(self._fleets) :]  # a pass that is not whole
        for fleet in self._fleets:
            await fleet.end()

    async def _load_in_turn(self) -> None:
        order = self._slicing.order(len(self._fleets), self._workload.seed)
        for number, slots in groupby(order, key=lambda slot: slot.pass_number):
            if number == 1:
                self._find_processes()
            for slot in slots:
                if self.is_interrupted:
                    return
                record = await self._slice(slot)
                if number > 0:
                    self.records.append(record)

    def _find_processes(self) -> None:
        """Find the processes that the servers have started: once, because it takes time with many threads.

        If one comes later, the bench sees it, and the CPU time of these slices is not used.
        """
        for fleet in self._fleets:
            fleet.cpu.refresh()

    async def _slice(self, slot: Slot) -> SliceRecord:
        """Load one server for the length of a slice."""
        fleet = self._fleets[slot.server]
        last = self._edges.get(slot.server) or _Edge.of(fleet, self._now_ns())
        client_ns, spun_ns = time.process_time_ns(), self._kernel.spun_ns
        cpu_ns, begin_ns = fleet.cpu.now_ns(), self._now_ns()
        end_ns = await fleet.load(begin_ns + round(self._slicing.slice_s * 1e9))
        edge = self._edges[slot.server] = _Edge.of(fleet, end_ns)
        return SliceRecord(
            slot=slot,
            begin_ns=begin_ns,
            end_ns=end_ns,
            recorded=fleet.drain(),
            counts=Counts(*(b - a for a, b in zip(last.counts, edge.counts, strict=True))),
            server_cpu_ns=_between(cpu_ns, edge.cpu_ns),
            client_cpu_ns=time.process_time_ns() - client_ns,
            spun_ns=self._kernel.spun_ns - spun_ns,
            idle_ns=begin_ns - last.at_ns,
            idle_cpu_ns=_between(last.cpu_ns, cpu_ns),
        )


def _between(before_ns: int | None, after_ns: int | None) -> int | None:
    return None if before_ns is None or after_ns is None else after_ns - before_ns
