"""The cases about clients that leave: whatever way they go, a server must live on and keep nothing of theirs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.experiment.conformance.case import Access, BrokenError, Group, case
from bench.experiment.conformance.echoes import KIB, MIB
from bench.experiment.conformance.target import GREETING, Target
from bench.experiment.conformance.wire import Connection, payload

if TYPE_CHECKING:
    from collections.abc import Callable

PACE = 100  # clients between two that are served to the end, so that the server's backlog cannot overflow
CHURN_GROWTH_MAX_MIB = 8
CONNECT_GROWTH_MAX_BYTES = 512  # per connection, beside 1 MiB for the allocator


@case("reset", group=Group.BASIC, limit_s=30, needs=("turns",))
def outlive_resets(target: Target) -> None:
    """Outlive resets, in the middle of a message or before the first byte: only that connection ends."""
    for leave in (_leave_unseen, _reset_in_message, _reset_unread, _leave_unseen):
        with target.connect() as connection:
            leave(connection)
        target.require_alive("a reset")


@case("vanish", group=Group.STANDARD, limit_s=120, needs=("half-close", "reset"), access=Access.OBSERVE, clients=1000)
def forget_those_that_vanish(target: Target, *, clients: int) -> None:
    """Forget clients that vanish in mid-message, with or without a reset, their answers unread."""
    target.greet()
    before = target.footprint()
    ways: tuple[Callable[[Connection], None], ...] = (
        _close_in_message,
        _reset_in_message,
        _reset_unread,
        _close_flooding,
    )
    for number in range(clients):
        with target.connect() as connection:
            ways[number % len(ways)](connection)
        if number % PACE == PACE - 1:
            target.require_alive(f"{number + 1} clients that vanished")
    target.wait_released(before)
    target.require_alive(f"{clients} clients that vanished")


@case(
    "connect-close",
    group=Group.STANDARD,
    limit_s=180,
    needs=("half-close",),
    access=Access.OBSERVE,
    fresh=True,
    clients=10_000,
)
def forget_those_that_say_nothing(target: Target, *, clients: int) -> str:
    """Forget clients that connect and close without a byte: no descriptor is left behind, and no memory.

    Resident memory may grow by 512 bytes for each of them, and 1 MiB besides; a first tenth is not counted.
    """
    target.greet()
    before = target.footprint()
    _connect_and_close(target, clients // 10)
    warm = target.wait_released(before)
    _connect_and_close(target, clients)
    grown_bytes = target.wait_released(before).rss_bytes - warm.rss_bytes
    if grown_bytes > CONNECT_GROWTH_MAX_BYTES * clients + MIB:
        raise BrokenError(f"memory grew by {grown_bytes / clients:,.0f} bytes for each of {clients:,} connections")
    return f"grew by {max(grown_bytes, 0) / MIB:.1f} MiB"


@case("churn-short", group=Group.STANDARD, limit_s=60, needs=("vanish",), access=Access.OBSERVE, fresh=True, seconds=4)
@case("churn", group=Group.HEAVY, limit_s=180, needs=("vanish",), access=Access.OBSERVE, fresh=True, seconds=60)
def stay_as_it_is(target: Target, *, seconds: float) -> str:
    """Do not grow while connections come, talk and leave in every way, without pause.

    Resident memory may grow by 8 MiB after the first quarter of the time, however long it goes on.
    """
    target.greet()
    before = target.footprint()
    _churn(target, seconds / 4)
    warm = target.wait_released(before)
    served = _churn(target, seconds * 3 / 4)
    grown_mib = (target.wait_released(before).rss_bytes - warm.rss_bytes) / MIB
    if grown_mib > CHURN_GROWTH_MAX_MIB:
        raise BrokenError(f"memory grew by {grown_mib:.1f} MiB over {served:,} connections in {seconds:g} s")
    return f"grew by {max(grown_mib, 0.0):.1f} MiB over {served:,} connections"


def _churn(target: Target, seconds: float) -> int:
    messages = [payload(size, seed=size) for size in (64, KIB, 16 * KIB)]
    ways: tuple[Callable[[Connection], None], ...] = (Connection.close, Connection.reset, _finish, _reset_unread)
    stop_at = time.monotonic() + seconds
    number = 0
    while time.monotonic() < stop_at:
        with target.connect() as connection:
            for message in messages:
                connection.turn(message)
            ways[number % len(ways)](connection)
        number += 1
    return number


def _connect_and_close(target: Target, clients: int) -> None:
    for number in range(clients):
        target.connect().close()
        if number % PACE == PACE - 1:
            target.greet()


def _leave_unseen(connection: Connection) -> None:
    connection.reset()


def _reset_in_message(connection: Connection) -> None:
    connection.turn(GREETING)
    connection.send(GREETING[:5])
    connection.reset()


def _reset_unread(connection: Connection) -> None:
    connection.send(payload(16 * KIB))
    connection.expect(payload(16 * KIB)[:1])
    connection.reset()


def _close_in_message(connection: Connection) -> None:
    connection.send(GREETING[:5])


def _close_flooding(connection: Connection) -> None:
    connection.push(payload(256 * KIB))


def _finish(connection: Connection) -> None:
    connection.finish()
    connection.expect_end()
