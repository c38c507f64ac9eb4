"""The cases about clients that leave: whatever way they go, a server must live on and keep nothing of theirs."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from bench.experiment.conformance.case import Access, BrokenError, Group, case
from bench.experiment.conformance.echoes import KIB, MIB
from bench.experiment.conformance.subject import GREETING, Subject
from bench.experiment.conformance.wire import Connection, payload

if TYPE_CHECKING:
    from collections.abc import Callable

PACE = 100  # clients between two that are served to the end, so that the server's backlog cannot overflow
ROUNDS = 4
LEAK_BYTES = 64
SLACK_BYTES = 256 * KIB
CHURN_LEAST = 16  # connections of a round, however slow: fewer could leak and stay below the slack


@case("reset", group=Group.BASIC, limit_s=30, needs=("turns",))
def outlive_resets(target: Subject) -> None:
    """Outlive resets, in the middle of a message or before the first byte: only that connection ends."""
    for leave in (_leave_unseen, _reset_in_message, _reset_unread, _leave_unseen):
        with target.connect() as connection:
            leave(connection)
        target.require_alive("a reset")


@case("vanish", group=Group.STANDARD, limit_s=120, needs=("half-close", "reset"), access=Access.OBSERVE, clients=1000)
def forget_those_that_vanish(target: Subject, *, clients: int) -> None:
    """Forget clients that vanish in mid-message, with or without a reset, their answers unread."""
    before = target.at_rest()
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
    rounds_max=12,
)
def forget_those_that_say_nothing(target: Subject, *, clients: int, rounds_max: int) -> str:
    """Forget clients that connect and close without a byte, 10,000 times: leave no descriptor behind, and no memory.

    In the calmest of four rounds or more, resident memory may rise by 64 bytes for each of them, and 256 KiB.
    """
    return _hold_still(target, lambda: _connect_and_close(target, clients // ROUNDS), rounds_max)


@case(
    "churn-short",
    group=Group.STANDARD,
    limit_s=60,
    needs=("vanish",),
    access=Access.OBSERVE,
    fresh=True,
    seconds=4,
    rounds_max=12,
)
@case(
    "churn",
    group=Group.HEAVY,
    limit_s=180,
    needs=("vanish",),
    access=Access.OBSERVE,
    fresh=True,
    seconds=60,
    rounds_max=4,
)
def stay_as_it_is(target: Subject, *, seconds: float, rounds_max: int) -> str:
    """Do not grow while connections come, talk and leave in every way, without pause.

    In the calmest of four rounds or more, resident memory may rise by 64 bytes for each of them, and 256 KiB.
    """
    return _hold_still(target, lambda: _churn(target, seconds / ROUNDS), rounds_max)


def _hold_still(target: Subject, play: Callable[[], int], rounds_max: int) -> str:
    """Play rounds until there is one, after the first, in which resident memory did not grow; at least ROUNDS.

    A leak grows in every round; a heap that warms up, or is collected now and then, does not. `play` returns for how
    many connections memory may grow by LEAK_BYTES each, with SLACK_BYTES for the allocator. Raises BrokenError.
    """
    before = target.at_rest()
    held_bytes = 0
    connections, grown = [], []
    for _ in range(rounds_max):
        connections.append(play())
        now_bytes = target.wait_released(before).rss_bytes
        grown.append(now_bytes - held_bytes)
        held_bytes = now_bytes
        counted = list(zip(grown, connections, strict=True))[1:]
        if len(grown) >= ROUNDS and any(rise <= LEAK_BYTES * count + SLACK_BYTES for rise, count in counted):
            return f"grew by {max(sum(grown[1:]), 0) / MIB:.1f} MiB over {sum(connections[1:]):,} connections"
    each = min(rise / count for rise, count in counted)
    raise BrokenError(
        f"memory grew in every round, by {each:,.0f} bytes or more for each of {sum(connections):,} clients"
    )


def _churn(target: Subject, seconds: float) -> int:
    messages = [payload(size, seed=size) for size in (64, KIB, 16 * KIB)]
    ways: tuple[Callable[[Connection], None], ...] = (Connection.close, Connection.reset, _finish, _reset_unread)
    stop_at = time.monotonic() + seconds
    number = 0
    while number < CHURN_LEAST or time.monotonic() < stop_at:
        with target.connect() as connection:
            for message in messages:
                connection.turn(message)
            ways[number % len(ways)](connection)
        number += 1
    return number


def _connect_and_close(target: Subject, clients: int) -> int:
    for number in range(clients):
        target.connect().close()
        if number % PACE == PACE - 1:
            target.greet()
    return clients


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
