"""Local ports that the load of the last trial has used up: seen in /proc, and awaited. Only Linux is looked at.

A connection holds its local port for a minute after its end (TIME_WAIT), against new ones to the same address. A server
that is launched on a fresh port is another address. So only a server whose port is fixed, or that runs already, can
begin in what the last trial left. Nothing here may connect to a server.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

from bench.experiment.host.network import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable

HELD_MAX = 0.1
"""Of all local ports: with fewer held the next load has nearly all of them."""

TIME_WAIT_S = 61.0
REUSE_S = 1.1
"""After so long Linux takes a port in TIME_WAIT again, where `tcp_tw_reuse` lets it."""

POLL_S = 0.2
_PROC = Path("/proc")
_TIME_WAIT = "06"
_REUSE_EVERYWHERE, _REUSE_ON_LOOPBACK = 1, 2


def await_ports(host: str, port: int, *, proc: Path = _PROC, sleep: Callable[[float], None] = time.sleep) -> None:
    """Return when a load on this address has local ports to begin with, or when waiting longer would give no more."""
    settings = proc / "sys/net/ipv4"
    if not (settings / "ip_local_port_range").exists():
        return
    first, last = map(int, (settings / "ip_local_port_range").read_text().split())
    left_s = REUSE_S if _is_reused(host, settings) else TIME_WAIT_S
    while left_s > 0 and held(port, proc) > HELD_MAX * (last - first + 1):
        sleep(POLL_S)
        left_s -= POLL_S


def held(port: int, proc: Path = _PROC) -> int:
    """Return how many connections to servers on a port are over and still hold their local ports."""
    remote = f":{port:04X}"
    tables = [table for name in ("tcp", "tcp6") if (table := proc / "net" / name).exists()]
    rows = (row.split() for table in tables for row in table.read_text().splitlines()[1:])
    return sum(row[2].endswith(remote) and row[3] == _TIME_WAIT for row in rows)


def _is_reused(host: str, settings: Path) -> bool:
    """Say whether the kernel gives ports in TIME_WAIT to new connections after a second."""
    reuse, timestamps = (
        int((settings / name).read_text()) if (settings / name).exists() else 0
        for name in ("tcp_tw_reuse", "tcp_timestamps")
    )
    near = reuse == _REUSE_ON_LOOPBACK and is_loopback(host)
    return timestamps > 0 and (reuse == _REUSE_EVERYWHERE or near)
