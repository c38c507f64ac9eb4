"""The cases about clients that do not read: a server must wait for them, in bounded memory, and serve the others."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from bench.experiment.conformance.case import Access, BrokenError, Group, case
from bench.experiment.conformance.echoes import KIB, MIB
from bench.experiment.conformance.wire import payload

if TYPE_CHECKING:
    from bench.experiment.conformance.subject import Subject

SMALL_WINDOW_BYTES = 64 * KIB  # the client's own receive buffer must not hide what the server does
SURELY_STALLED_S = 0.5
AHEAD = 96
"""Clients that stand in the server's backlog before one whose bytes must be there when it is accepted."""
SEND_BUFFER_SIZES = Path("/proc/sys/net/ipv4/tcp_wmem")


@case("partial-sends", group=Group.BASIC, limit_s=60, needs=("turns",))
def finish_partial_sends(target: Subject) -> None:
    """Send later what the kernel did not take: a client that sends 8 MiB before it reads gets every byte back.

    Where the kernel's send buffer may grow beyond 4 MiB it sends twice as much, so that a send must be cut short.
    """
    data = payload(max(8 * MIB, 2 * _send_buffer_max_bytes()))
    with target.connect(receive_buffer_bytes=SMALL_WINDOW_BYTES) as connection:
        connection.exchange(data, sent=connection.push(data))


def _send_buffer_max_bytes() -> int:
    """Return how far the kernel may let a TCP socket's send buffer grow; 0 where it does not say."""
    return int(SEND_BUFFER_SIZES.read_text().split()[-1]) if SEND_BUFFER_SIZES.exists() else 0


@case(
    "bounded-memory",
    group=Group.STANDARD,
    limit_s=60,
    needs=("sizes", "crowd-500"),
    access=Access.OBSERVE,
    fresh=True,
    mebibytes=32,
    growth_max_mebibytes=8,
)
def stay_within_bounds(target: Subject, *, mebibytes: int, growth_max_mebibytes: int) -> str:
    """Leave a client waiting that sends and does not read, rather than grow with what it sends.

    Its first bytes are there before the server comes to it. At most 32 MiB are offered; resident memory may grow by 8
    MiB at most.
    """
    data = payload(mebibytes * MIB)
    before = target.at_rest()
    with ExitStack() as queue:  # some models only begin to wait with a first read that finds nothing
        for _ in range(AHEAD):
            queue.enter_context(target.connect())
    with target.connect(receive_buffer_bytes=SMALL_WINDOW_BYTES) as connection:
        sent = connection.push(data, stall_s=SURELY_STALLED_S)
        grown_mib = (target.footprint().rss_bytes - before.rss_bytes) / MIB
        if grown_mib > growth_max_mebibytes:
            raise BrokenError(
                f"memory grew by {grown_mib:.1f} MiB, more than {growth_max_mebibytes} MiB, "
                f"when a client sent {sent / MIB:.1f} MiB and read nothing"
            )
        connection.exchange(data, sent=sent)
    return f"grew by {max(grown_mib, 0.0):.1f} MiB"


@case(
    "slow-reader",
    group=Group.STANDARD,
    limit_s=60,
    connections=9,
    needs=("sizes",),
    mebibytes=16,
    turns=50,
)
def serve_beside_a_slow_reader(target: Subject, *, mebibytes: int, turns: int) -> None:
    """Answer eight clients while a ninth does not read; then give that one all of its bytes."""
    data, message = payload(mebibytes * MIB), payload(KIB, seed=1)
    with ExitStack() as stack:
        slow = stack.enter_context(target.connect(receive_buffer_bytes=SMALL_WINDOW_BYTES))
        sent = slow.push(data, stall_s=SURELY_STALLED_S)
        try:
            others = [stack.enter_context(target.connect()) for _ in range(8)]
            for _ in range(turns):
                for other in others:
                    other.turn(message)
        except BrokenError as error:
            raise BrokenError(f"beside a client that does not read: {error}") from None
        slow.exchange(data, sent=sent)
