"""What the load generator may cost, under real load: minutes, on a machine of one's own (`pytest -m live`)."""

from __future__ import annotations

import faulthandler
import json
import subprocess
import time

import psutil
import pytest
from helpers.generator import serving, start_clients

KIB, MIB = 2**10, 2**20

pytestmark = pytest.mark.live


def rss_until_the_end(process):
    """Return the resident memory of a process once a second until it ends, and what it printed."""
    sizes = []
    watched = psutil.Process(process.pid)
    while True:
        try:
            out, _ = process.communicate(timeout=1)
        except subprocess.TimeoutExpired:
            sizes.append(watched.memory_info().rss)
        else:
            return sizes, out


@pytest.mark.timeout(200)
@pytest.mark.parametrize(
    ("seconds", "growth_mib", "load_model"),
    [
        (60, 2, ()),
        (30, 2, ("--rate", "2000", "--arrivals", "poisson")),
        (30, 2, ("--requests-per-connection", "5", "--timeout", "1s")),
        # 256 messages in flight, of sizes that never fit the holes that others left, and between them the distributions
        # of the timeline, which are wide: settling takes malloc longer (6 MiB in a window of 30 s, 8 in one of 120 s).
        (30, 10, ("-s", "1..65536", "--pipeline", "4")),
    ],
)
def test_memory_does_not_grow_with_time(echo_server, seconds, growth_mib, load_model):
    faulthandler.cancel_dump_traceback_later()  # a minute is what this takes, and no sign of a hang
    given = ("-c", 64, "-d", f"{seconds}s", "--warmup", "1s", "--json", *load_model)
    with start_clients(echo_server.address, *given) as process:
        sizes, out = rss_until_the_end(process)
    settled, last, replies = max(sizes[: len(sizes) // 4]), max(sizes[-5:]), json.loads(out)["replies"]
    print(f"{load_model}: {replies:,} replies; RSS {settled / MIB:.2f} MiB, then {last / MIB:.2f} MiB")
    assert last - settled < growth_mib * MIB  # the timeline: at most a hundred pieces, however long the window


def test_ten_thousand_connections_stand_within_10_s_at_10_kib_each():
    connections = 10_000
    sizes = {}
    for count in (1, connections):
        with serving("coroutines") as served:
            began_s = time.monotonic()
            with start_clients(served.address, "-c", count, "-d", "3s", "--warmup", "2s", "--coordinated") as process:
                assert process.stdout.readline() == f"CONNECTED {count} {count}\n"
                took_s = time.monotonic() - began_s
                print(f"GO {time.monotonic_ns()}", file=process.stdin, flush=True)
                sizes[count], out = rss_until_the_end(process)
        result = json.loads(out)
        assert result["errors"] == {}
        assert result["replies"] >= count
        print(f"{count:,} connections stood after {took_s:.2f} s; {result['replies_per_s']:,.0f} replies/s")
    each_bytes = (max(sizes[connections]) - max(sizes[1])) / connections
    print(f"{each_bytes / KIB:.2f} KiB of the generator's memory for each connection")
    assert took_s < 10
    assert each_bytes <= 10 * KIB
