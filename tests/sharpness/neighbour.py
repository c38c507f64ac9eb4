"""`python neighbour.py 0,1`: burn these CPUs' time for half of each second, until the parent ends or ends this.

A neighbour that a check of the instrument is disturbed with. It imports nothing of ours.
"""

from __future__ import annotations

import os
import sys
import time

PERIOD_S, BURN_S = 1.0, 0.5


def main(cpus: str) -> None:
    """Burn and rest in turn. Without a parent there is nobody to end this, so it ends itself."""
    os.sched_setaffinity(0, {int(cpu) for cpu in cpus.split(",")})
    parent, begin_s = os.getppid(), time.monotonic()
    while os.getppid() == parent:
        while time.monotonic() < begin_s + BURN_S:
            pass
        begin_s += PERIOD_S
        time.sleep(max(0.0, begin_s - time.monotonic()))  # the rest of the period is what it must not burn


if __name__ == "__main__":
    main(sys.argv[1])
