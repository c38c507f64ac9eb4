"""`python -m sharpness.slice_block`: load one block in slices of a given length, for `slices.py`.

    stdin   JSON: addresses, pids, cpus, generator, workload, slice_s, limit_s, instants
    stdout  JSON: the connections that stood, the slices of each server, and how many replies came by which instant

A process of its own, as the generator of a block is. Nothing is computed here but counts.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from array import array
from typing import TYPE_CHECKING, Any

import numpy as np

from clients import memory
from clients.block import BlockLoad
from clients.limits import raise_descriptors
from clients.recorder import Recorder
from clients.reference_block import ReferenceBlock
from clients.sliced import sliced
from clients.slices import Slicing
from clients.target import parse_target
from clients.workload import Workload

if TYPE_CHECKING:
    from clients.block import SliceRecord
    from clients.recorder import Recorded

INSTANTS_S = (0.002, 0.005, 0.010)
START_LEAD_NS = 5_000_000
PASSES_MIN = 2
ROUND_S = 30e-6
"""What a connection adds to a slice at least, roughly: it lasts until the reply of each is in."""


class Moments(array):  # type: ignore[type-arg]  # it cannot be subscripted at run time
    """A column of durations that also notes when each was booked: a request after the reply came, at most."""

    at_ns: list[int]

    @classmethod
    def nothing(cls) -> Moments:
        """Return an empty column."""
        made = cls("q")
        made.at_ns = []
        return made

    def append(self, took_ns: int) -> None:
        """Note a duration and the time."""
        super().append(took_ns)
        self.at_ns.append(time.monotonic_ns())


class MomentRecorder(Recorder):
    """A recorder whose column of response times is one of moments."""

    def __init__(self, *, open_loop: bool) -> None:
        super().__init__(open_loop=open_loop)
        self.response = Moments.nothing()

    def drain(self) -> Recorded:
        """Return what was recorded, and begin anew."""
        taken = super().drain()
        self.response = Moments.nothing()
        return taken


def load(asked: dict[str, Any]) -> dict[str, Any]:
    """Load the block that is asked for, for `limit_s` at most, and return its numbers as plain JSON types."""
    workload = Workload.from_json(asked["workload"])
    slice_s, limit_s, servers = asked["slice_s"], asked["limit_s"], len(asked["addresses"])
    lasts_s = max(slice_s, workload.connections * ROUND_S)
    slicing = Slicing(
        slice_s=slice_s,
        passes=max(PASSES_MIN, round(limit_s / servers / slice_s)),
        warmup_passes=max(1, round(workload.warmup_s / lasts_s)),
    )
    targets = [parse_target(address) for address in asked["addresses"]]
    block: BlockLoad | ReferenceBlock
    if asked["generator"] == "reference":
        block = ReferenceBlock(targets, workload, slicing, pids=asked["pids"])
    else:
        recorder = MomentRecorder if asked["instants"] else Recorder
        block = BlockLoad(targets, workload, slicing, pids=asked["pids"], new_recorder=recorder)

    def announce(_established: int, _wanted: int) -> int:
        # Slices last longer than planned where their last replies take long. So time ends the block, not their number.
        passes_s = max(limit_s, PASSES_MIN * servers * lasts_s)
        signal.setitimer(signal.ITIMER_REAL, passes_s + slicing.warmup_passes * servers * lasts_s)
        return time.monotonic_ns() + START_LEAD_NS

    def stop_clock() -> None:
        signal.setitimer(signal.ITIMER_REAL, 0)

    signal.signal(signal.SIGALRM, lambda *_: block.interrupt())
    block.run(announce, stop_clock)
    found = [sliced(number, workload, block.opened[number], block.records) for number in range(servers)]
    return {
        "established": [one.established for one in block.opened],
        "slices": [one.slices for one in found],
        "instants": by_instant(block.records) if asked["instants"] else None,
    }


def by_instant(records: list[SliceRecord]) -> list[list[float]]:
    """Return, for each slice, the replies until each of INSTANTS_S, then those after the last, and their seconds."""
    rows = []
    for record in records:
        moments = record.recorded.response
        assert isinstance(moments, Moments)
        at_s = (np.array(moments.at_ns, dtype=np.int64) - record.begin_ns) / 1e9
        until = [int(np.count_nonzero(at_s < instant)) for instant in INSTANTS_S]
        rows.append([*until, at_s.size - until[-1], (record.end_ns - record.begin_ns) / 1e9 - INSTANTS_S[-1]])
    return rows


def main() -> int:
    """Load the block that standard input asks for."""
    asked = json.loads(sys.stdin.read())
    os.sched_setaffinity(0, asked["cpus"])
    memory.keep_freed()
    raise_descriptors()
    print(json.dumps(load(asked)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
