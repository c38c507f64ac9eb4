"""How a load is cut into slices for the servers of a block, and in which order they get them. Pure and seeded.

A pass gives each server one slice, in an order that is shuffled anew in each pass. What the machine does within a pass
falls on all its slices alike, so two servers are compared by the slices of one pass (randomised complete blocks).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Any, NamedTuple, Self

if TYPE_CHECKING:
    from collections.abc import Iterator

    from clients.workload import Workload

SHORTEST_S, LONGEST_S = 0.002, 2.0
ROUNDS = 10
"""A slice lasts so many rounds of all its connections: its edges, where they fill and drain, are small beside it."""
REQUEST_S = 10e-6
"""What a request costs a server and the generator together, roughly: it tells how long a round takes."""
PASSES_MIN = 5
_HAIR = 1e-9  # of a slice: 0.1 / (1.2 / 12) is a little above 1, and would be a second slice


class Slot(NamedTuple):
    """One slice to come: of which server, in which pass. Passes of the warm-up have numbers below 1."""

    pass_number: int
    server: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Slicing:
    """How long a slice is, how many passes count, and how many come before them as a warm-up."""

    slice_s: float
    passes: int
    warmup_passes: int

    @classmethod
    def of(cls, workload: Workload) -> Self:
        """Return the slicing of a workload, whose duration and warm-up are those of each server.

        A slice is long beside a round of all connections, and short beside the moods of the machine.
        """
        round_s = workload.connections * workload.pipeline * REQUEST_S
        if workload.rate_per_s is not None:
            round_s = max(round_s, 1 / workload.rate_per_s)
        wanted_s = min(max(SHORTEST_S, ROUNDS * round_s), LONGEST_S, workload.duration_s / PASSES_MIN)
        passes = max(PASSES_MIN, round(workload.duration_s / wanted_s))
        slice_s = workload.duration_s / passes
        return cls(slice_s=slice_s, passes=passes, warmup_passes=math.ceil(workload.warmup_s / slice_s - _HAIR))

    def order(self, servers: int, seed: int) -> Iterator[Slot]:
        """Yield every slice of a block of so many servers in its order, those of the warm-up first."""
        random = Random(seed)
        for number in range(1 - self.warmup_passes, self.passes + 1):
            for server in random.sample(range(servers), servers):
                yield Slot(number, server)

    def to_json(self) -> dict[str, Any]:
        """Return the fields as plain JSON types."""
        return {"slice_s": self.slice_s, "passes": self.passes, "warmup_passes": self.warmup_passes}
