"""The cases about many connections at once, and the check that a declared limit is exactly what it says."""

from __future__ import annotations

import time
from contextlib import ExitStack
from typing import TYPE_CHECKING

from bench.experiment.conformance.case import BrokenError, Group, case
from bench.experiment.conformance.footprint import wait_until
from bench.experiment.conformance.subject import GREETING, Subject

if TYPE_CHECKING:
    from bench.experiment.conformance.wire import Connection

NOT_SERVED_S = 0.5
WAVE = 250  # messages at once: how long 10,000 take, with as many threads after one lock, is a matter of speed


@case("crowd-500", group=Group.STANDARD, limit_s=60, connections=500, needs=("turns",), count=500)
@case("crowd-10000", group=Group.HEAVY, limit_s=300, connections=10_000, needs=("turns",), fresh=True, count=10_000)
def serve_many_at_once(target: Subject, *, count: int) -> None:
    """Answer every one of many connections that stand at once, when it comes and when all are there."""
    with ExitStack() as stack:
        numbered = list(enumerate(stand(target, count, stack), start=1))
        for wave in (numbered[first : first + WAVE] for first in range(0, count, WAVE)):
            for number, connection in wave:
                connection.send(b"from %d\n" % number)
            for number, connection in wave:
                _expect(connection, b"from %d\n" % number, f"connection {number} of {count}, with all of them there")


@case("idle", group=Group.STANDARD, limit_s=60, connections=16, needs=("turns",), count=16, seconds=2)
def answer_after_a_pause(target: Subject, *, count: int, seconds: float) -> None:
    """Answer connections that were silent for a while when they wake."""
    with ExitStack() as stack:
        connections = stand(target, count, stack)
        time.sleep(seconds)
        for number, connection in enumerate(connections):
            connection.send(GREETING)
            _expect(connection, GREETING, f"connection {number + 1} of {count}, after {seconds:g} s of silence")


def stand(target: Subject, count: int, stack: ExitStack) -> list[Connection]:
    """Open connections one after another, have each answered once, and hold them all."""
    connections = []
    for number in range(1, count + 1):
        try:
            connections.append(stack.enter_context(target.connect()))
            connections[-1].turn(GREETING)
        except BrokenError as error:
            raise BrokenError(f"connection {number} of {count}: {error}") from None
    return connections


def _expect(connection: Connection, message: bytes, which: str) -> None:
    try:
        connection.expect(message)
    except BrokenError as error:
        raise BrokenError(f"{which}: {error}") from None


def verify_limit(target: Subject, declared: int) -> str:
    """Say how the server keeps the limit it declares: that many served at once, one more not, a free place taken.

    Raises BrokenError if fewer are served, or more, or if the one too many harms the others.
    """
    with ExitStack() as stack:
        connections = stand(target, declared, stack)
        beyond, refused = _one_more(target, stack)
        connections[-1].turn(GREETING)
        connections[0].finish()
        connections[0].expect_end()
        if refused or beyond is None:
            if not wait_until(lambda: _is_served(target), within_s=target.patience_s):
                raise BrokenError("a client that comes when a place is free again is not served")
        else:
            _expect(beyond, GREETING, "the client that waited, once a place was free")
    how = "is refused" if refused else "waits"
    return f"serves {declared} at once, as it declares; one more {how}"


def _is_served(target: Subject) -> bool:
    try:
        target.greet()
    except BrokenError:
        return False
    return True


def _one_more(target: Subject, stack: ExitStack) -> tuple[Connection | None, bool]:
    """Return the connection beyond the limit, if it stands, and whether it was refused."""
    try:
        beyond = stack.enter_context(target.connect())
        beyond.send(GREETING)
    except BrokenError:
        return None, True
    beyond.socket.settimeout(NOT_SERVED_S)
    try:
        answer = beyond.socket.recv(1)
    except TimeoutError:
        return beyond, False
    except ConnectionError:
        return beyond, True
    if answer:
        raise BrokenError(f"it declares {target.connections_max} connections at once, and serves one more")
    return beyond, True
