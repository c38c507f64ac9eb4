"""How much of an offered load each server answered. In an open loop that comes before every other number.

Where the rate was given, throughput is what was asked for, as long as a server keeps up; where none does, response
times say how long queues grew. Nothing is drawn here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench import units
from bench.experiment.search import ANSWERED_SHARE

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pandas as pd

NAMED = 4
"""So many servers are named with their shares. Of more, the best is, and the others get a range."""


@dataclass(frozen=True, slots=True)
class Carried:
    """An offered load in requests per second, and the share of its requests that each server answered in time."""

    rate_per_s: float
    shares: Mapping[str, float]

    @property
    def behind(self) -> dict[str, float]:
        """The servers that did not keep the rate with their shares, the largest first."""
        ordered = sorted(self.shares.items(), key=lambda one: (-one[1], one[0]))
        return {server: share for server, share in ordered if share < ANSWERED_SHARE}

    @property
    def by_nobody(self) -> bool:
        """Whether no server kept the rate."""
        return len(self.behind) == len(self.shares)

    def sentence(self, where: str) -> str:
        """Say who did not keep the rate, and which share of the requests each answered; nothing if all kept it."""
        behind = list(self.behind.items())
        if not behind:
            return ""
        named = behind if len(behind) <= NAMED else behind[:1]
        verbs = (" answered", *[""] * NAMED)
        said = [f"{server}{verb} {units.share(share)}" for (server, share), verb in zip(named, verbs, strict=False)]
        if len(named) < len(behind):
            least, most = units.share(behind[-1][1]), units.share(behind[1][1])
            said.append(f"{len(behind) - 1} others {least} to {most}")
        rate = f"{units.rate(self.rate_per_s)} {where}".rstrip()
        whose = f"No server kept {rate}" if self.by_nobody else f"Not every server kept {rate}"
        return f"{whose}: {units.listed(said)} of the requests"


def carried(measured: pd.DataFrame) -> dict[str, Carried]:
    """Return what was carried of each offered load, by workload. The trials of a server are added up.

    A workload in a closed loop offers no load, and is not in it.
    """
    given = measured[(measured["arrivals"] != "closed") & (measured["offered_per_s"] > 0)]
    found = {}
    for workload, rows in given.groupby("workload"):
        sums = rows.groupby("server")[["replies_per_s", "offered_per_s"]].sum()
        shares = (sums["replies_per_s"] / sums["offered_per_s"]).clip(upper=1.0)
        found[str(workload)] = Carried(
            float(rows["rate_per_s"].mean()), {str(server): float(share) for server, share in shares.items()}
        )
    return found
