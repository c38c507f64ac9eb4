"""`pooled_load.py HOST:PORT CLUSTER`: have agents carry a load, and say what they measured together and each.

For where the coordinator runs in a namespace of its own. It prints one line of JSON.
"""

from __future__ import annotations

import json
import sys

from clients.agents import group
from clients.agents.session import session
from clients.result import KINDS
from clients.target import parse_target
from clients.workload import Workload

LOAD = Workload(connections=7, rate_per_s=3_000.0, arrivals="poisson", warmup_s=0.2, duration_s=1.5)


def main(address: str, cluster: str) -> None:
    """Carry one load. The counts of each agent are noted before they are merged."""
    shares = []
    merged = group.merged

    def noting(results, clocks, workload):
        for result in results:
            counts = {kind: result.histograms[kind].counts.tolist() for kind in KINDS}
            shares.append({"sent": result.sent, "replies": result.replies, "counts": counts})
        return merged(results, clocks, workload)

    group.merged = noting
    with session(cluster, is_insecure=True) as agents:
        carried = agents.carry(parse_target(address), LOAD)
    result = carried.result
    print(
        json.dumps(
            {
                "is_networked": agents.is_networked,
                "shares": shares,
                "counts": {kind: result.histograms[kind].counts.tolist() for kind in KINDS},
                "result": result.to_json(),
                **carried.to_json(),
            }
        )
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
