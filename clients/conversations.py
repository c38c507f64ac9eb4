"""How requests and replies alternate on one connection that stands: what is sent when, by the workload's load model.

| loop | for |
| --- | --- |
| `closed_fast` | a closed loop of one request in flight, of one size, over a plain socket |
| `closed_alone` | the same on the only connection of a process, where each microsecond is latency |
| `open_fast` | an open loop of such requests |
| `general` | all the rest: several in flight, think time, drawn sizes, TLS, raw samples |

Each loop ends when all requests of the connection are done, or a closed one with its turnstile. Or it raises the fault
of the server that ended it. The fast loops have the common case written out, and leave what is not common to
`InFlight.settle`.

All connections of `closed_fast` and `open_fast` share one buffer, so it stays in the processor's cache. Before each
send its first 8 bytes are set to the time of the send. That makes every message unique, and the stamp is all that must
be kept to compare the echo.

Connecting and counting failures belong elsewhere. A load model that `general` can carry may not get a loop of its own.
"""

from __future__ import annotations

import io
import os
import socket
import struct
import sys
import types
from collections.abc import Callable
from contextlib import contextmanager
from functools import partial
from itertools import repeat
from typing import TYPE_CHECKING, Any

from clients.common import Buffers
from clients.traps import until

if TYPE_CHECKING:
    from collections.abc import Generator, Iterable, Iterator

    from clients.common import Common
    from clients.dispatch import Dispatcher
    from clients.inflight import InFlight
    from clients.recorder import Recorder
    from clients.workload import Workload


Transfer = Callable[[bytearray], int | None]
"""Sends or receives a buffer, and returns how many bytes; None if it would have to wait."""

_KEEPS_NS = 10_000_000  # for so long the only connection keeps the thread before the kernel has a turn
_KEEPS_IN_SLICE_NS = 500_000  # the same in a slice, which must not end late
_CALL_WAITS_MAX_US = 20_000  # for so long a call of the only connection waits before the poller does


def _requests(common: Common, in_flight: InFlight) -> Iterable[Any]:
    """Return one item for each request that a connection may still carry, as long as its turnstile is open."""
    left = _left(common, in_flight)
    requests = repeat(None) if left is None else repeat(None, left)
    return requests if common.turnstile is None else zip(common.turnstile.while_open(), requests, strict=False)


def _left(common: Common, in_flight: InFlight) -> int | None:
    """Return how many requests a connection may still carry before it is replaced; None for any number."""
    limit = common.workload.requests_per_connection
    return None if limit is None else limit - (in_flight.sent - in_flight.sent_before)


def _equipment(sock: socket.socket, common: Common) -> tuple[bytearray, memoryview, bytearray, Transfer, Transfer]:
    """Return the message, its stamp, the room for its echo, what sends and what receives.

    Sending and receiving go through a file over the descriptor. It parses no arguments, and returns None where a socket
    raises BlockingIOError: that is 2 % of a closed loop.
    """
    assert common.buffers is not None
    raw = io.FileIO(sock.fileno(), "r+", closefd=False)
    return *common.buffers, raw.write, raw.readinto


@types.coroutine
def closed_fast(sock: socket.socket, in_flight: InFlight, common: Common) -> Generator[Any, Any, None]:
    """Send as soon as the last reply is in: a request is due when the one before it was answered."""
    message, stamp, reply, send, receive = _equipment(sock, common)
    now_ns, recorder, size = common.clock, common.recorder, len(message)
    sent_ns, took_ns = now_ns(), None
    for _ in _requests(common, in_flight):
        stamp[0] = sent_ns
        try:
            handed = send(message)
        finally:  # the last reply is booked only now, while the server works
            in_flight.sent += 1
            in_flight.waiting_since_ns = sent_ns
            if took_ns is not None:
                recorder.response.append(took_ns)
                in_flight.answered += 1
                took_ns = None
        got = None
        if handed == size:
            yield
            got = receive(reply)
        done_ns = now_ns()
        stamp[0] = sent_ns  # other connections have sent meanwhile
        if got == size and reply == message:
            took_ns = done_ns - sent_ns
            sent_ns = done_ns
        else:
            yield from in_flight.settle(sock, (sent_ns, sent_ns, bytes(message)), handed, reply, got)
            sent_ns = now_ns()
    _book_last(in_flight, recorder, took_ns)


@types.coroutine
def closed_alone(sock: socket.socket, in_flight: InFlight, common: Common) -> Generator[Any, Any, None]:
    """Send as `closed_fast` does, with as little as possible between a reply and the next send.

    The reply is awaited in the call that receives it, which spares the poller. The kernel has a turn every `_KEEPS_NS`,
    and whenever a reply takes long. Two buffers take turns: one is stamped while the message in the other is under way.
    """
    message, stamp, reply, send, receive = _equipment(sock, common)
    spare, spare_stamp, _ = Buffers.of(common.workload)
    now_ns, recorder, size = common.clock, common.recorder, len(message)
    keeps_ns = _KEEPS_NS if common.turnstile is None else _KEEPS_IN_SLICE_NS
    turn_ns, took_ns = 0, None
    sent_ns = now_ns()
    stamp[0] = sent_ns - 1  # every later message is stamped with the time at which the one before it was sent
    with _waiting_in_calls(sock) as set_waiting:
        for _ in _requests(common, in_flight):
            try:
                handed = send(message)
            finally:  # as in `closed_fast`
                in_flight.sent += 1
                in_flight.waiting_since_ns = sent_ns
                if took_ns is not None:
                    recorder.response.append(took_ns)
                    in_flight.answered += 1
                    took_ns = None
            message, stamp, spare, spare_stamp = spare, spare_stamp, message, stamp
            stamp[0] = sent_ns
            got = None
            if handed == size:
                if sent_ns >= turn_ns:
                    yield
                    turn_ns = sent_ns + keeps_ns
                got = receive(reply)
            done_ns = now_ns()
            if got == size and reply == spare:
                took_ns = done_ns - sent_ns
                sent_ns = done_ns
            else:
                set_waiting(False)
                yield from in_flight.settle(sock, (sent_ns, sent_ns, bytes(spare)), handed, reply, got)
                set_waiting(True)
                sent_ns = now_ns()
    _book_last(in_flight, recorder, took_ns)


@contextmanager
def _waiting_in_calls(sock: socket.socket) -> Iterator[Callable[[bool], None]]:
    """Have calls of a socket wait, but not for ever. Give what switches that, and do not leave it on."""
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", 0, _CALL_WAITS_MAX_US))
    set_waiting = partial(os.set_blocking, sock.fileno())
    set_waiting(True)
    try:
        yield set_waiting
    finally:
        set_waiting(False)


def _book_last(in_flight: InFlight, recorder: Recorder, took_ns: int | None) -> None:
    """Book the last reply of a connection, if it is not booked yet."""
    in_flight.waiting_since_ns = None
    if took_ns is not None:
        recorder.response.append(took_ns)
        in_flight.answered += 1


@types.coroutine
def open_fast(
    sock: socket.socket, in_flight: InFlight, common: Common, dispatcher: Dispatcher
) -> Generator[Any, int | None, None]:
    """Send what the dispatcher of an open loop hands out."""
    message, stamp, reply, send, receive = _equipment(sock, common)
    now_ns, recorder, size, fd = common.clock, common.recorder, len(message), sock.fileno()
    done_ns = now_ns()
    for _ in _requests(common, in_flight):
        if dispatcher.due_ns > done_ns or (due_ns := dispatcher.claim(done_ns)) is None:
            dispatcher.rests(fd)
            while (due_ns := (yield)) is None:
                # The socket woke it, not the dispatcher. Nothing is owed, so this is a fault of the server, or nothing.
                in_flight.exchange(sock)
        in_flight.sent += 1
        stamp[0] = in_flight.waiting_since_ns = sent_ns = now_ns()
        handed = send(message)
        got = None
        if handed == size:
            yield
            got = receive(reply)
        done_ns = now_ns()
        stamp[0] = sent_ns  # other connections have sent meanwhile
        if got == size and reply == message:
            in_flight.waiting_since_ns = None
            recorder.response.append(done_ns - due_ns)
            recorder.service.append(done_ns - sent_ns)
            in_flight.answered += 1
        else:
            yield from in_flight.settle(sock, (due_ns, sent_ns, bytes(message)), handed, reply, got)
            done_ns = now_ns()


@types.coroutine
def general(
    sock: socket.socket,
    in_flight: InFlight,
    common: Common,
    unique: Iterator[bytes | bytearray],
    dispatcher: Dispatcher | None,
) -> Generator[Any, int | None, None]:
    """Send messages of any size when they fall due, up to `pipeline` of them in flight, over any transport."""
    workload, now_ns = common.workload, common.clock
    fd, think_ns = sock.fileno(), round(workload.think_s * 1e9)
    turnstile, left = common.turnstile, sys.maxsize if (limit := _left(common, in_flight)) is None else limit
    rests = False
    handed_ns: int | None = None
    while left or in_flight.outstanding:
        if turnstile is not None and not turnstile.is_open:
            left = 0
            if not in_flight.outstanding:
                return
        dues = [] if handed_ns is None else [handed_ns]
        if not rests:
            most = _room(in_flight, workload, left) - len(dues)
            dues += (
                _claimed(dispatcher, most, now_ns()) if dispatcher else _thought(in_flight, think_ns, most, now_ns())
            )
        if dues:
            in_flight.send(sock, [next(unique) for _ in dues], dues if dispatcher else None)
            left -= len(dues)
        has_room = _room(in_flight, workload, left) > 0
        if has_room and not rests and dispatcher is not None:
            dispatcher.rests(fd)
            rests = True
        is_thinking = has_room and dispatcher is None
        handed_ns = yield until(in_flight.free_since_ns + think_ns) if is_thinking else None
        if handed_ns is None:
            in_flight.exchange(sock)
        else:
            rests = False


def _room(in_flight: InFlight, workload: Workload, left: int) -> int:
    """Return how many of the `left` requests may be in flight besides those that are; none while one is sent."""
    return 0 if in_flight.unsent else min(left, workload.pipeline - len(in_flight.outstanding))


def _thought(in_flight: InFlight, think_ns: int, most: int, time_ns: int) -> list[int]:
    """Return the due times of a closed loop's next requests, if the think time is over."""
    due_ns = in_flight.free_since_ns + think_ns
    return [due_ns] * most if due_ns <= time_ns else []


def _claimed(dispatcher: Dispatcher, most: int, time_ns: int) -> list[int]:
    """Return when the requests were due that wait already, `most` of them at the most."""
    dues: list[int] = []
    while len(dues) < most and (due_ns := dispatcher.claim(time_ns)) is not None:
        dues.append(due_ns)
    return dues
