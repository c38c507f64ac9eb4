"""How requests and replies alternate on one connection that stands: when what is sent, by the workload's load model.

Four loops. `lockstep` and `punctual` are the paths that a maximal closed and open load take: one request in flight, of
one size, over a plain socket, the common case inlined; whatever is not common is settled by the ledger. `solo` is the
closed loop of one connection, where each microsecond is latency. `paced` does all the rest. They end with the
connection's share of requests, or with a fault of the server, which they raise.

`lockstep` and `punctual` send one buffer for all connections, stamped anew with the time of each send, which no other
message has: so it stays in the processor's cache, and an expected echo is remembered by its stamp alone.
"""

from __future__ import annotations

import io
import os
import socket
import struct
import sys
import types
from dataclasses import dataclass
from itertools import repeat
from typing import TYPE_CHECKING, Any

from clients.kernel import until
from clients.ledger import RECEIVE_BYTES_MAX
from clients.messages import STAMP_BYTES, messages
from clients.recorder import RawRecorder

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Iterable, Iterator

    from clients.clock import NowNs
    from clients.dispatch import Dispatcher
    from clients.kernel import Kernel
    from clients.ledger import Ledger
    from clients.recorder import Recorder
    from clients.target import Target
    from clients.workload import Workload


_LATENESS_MAX_US = 20_000  # of an alarm, while the only connection waits in a call


class Buffers:
    """The message and the room for its echo that all fast conversations of a load share."""

    def __init__(self, workload: Workload) -> None:
        self.message = bytearray(next(messages(workload, 0)))
        self.stamp = memoryview(self.message)[:STAMP_BYTES].cast("Q")  # writing here costs half of a pack_into
        self.reply = bytearray(len(self.message))


@dataclass(frozen=True, slots=True, kw_only=True)
class Common:
    """What all connections of a load have in common; `buffers` only if the fast conversations suit it.

    A connection that `is_alone` keeps nobody waiting.
    """

    target: Target
    workload: Workload
    kernel: Kernel
    recorder: Recorder
    clock: NowNs
    buffers: Buffers | None
    is_alone: bool


def in_common(
    *, target: Target, workload: Workload, kernel: Kernel, recorder: Recorder, clock: NowNs, is_alone: bool
) -> Common:
    """Return what the connections of such a load share, or the one that `is_alone` on its kernel has."""
    return Common(
        target=target,
        workload=workload,
        kernel=kernel,
        recorder=recorder,
        clock=clock,
        buffers=Buffers(workload) if _is_fast(workload, target, recorder) else None,
        is_alone=is_alone,
    )


def _is_fast(workload: Workload, target: Target, recorder: Recorder) -> bool:
    """Say whether the fast loops can hold such conversations."""
    alike = workload.pipeline == 1 and not workload.think_s and not workload.message_sizes
    fits = STAMP_BYTES <= workload.message_bytes <= RECEIVE_BYTES_MAX
    return alike and fits and target.tls is None and not isinstance(recorder, RawRecorder)


def _share(workload: Workload) -> Iterable[None]:
    """Return one item for each request that a connection may carry before it is replaced."""
    limit = workload.requests_per_connection
    return repeat(None) if limit is None else repeat(None, limit)


def _transfers(sock: socket.socket) -> tuple[Callable[[bytearray], int | None], Callable[[bytearray], int | None]]:
    """Return what sends a buffer and what receives into one: how many bytes, None if it would have to wait.

    A file over the descriptor parses no arguments, and gives None where a socket raises BlockingIOError: that is 2 % of
    a closed loop.
    """
    raw = io.FileIO(sock.fileno(), "r+", closefd=False)
    return raw.write, raw.readinto


def _limit_waits(sock: socket.socket) -> None:
    """Have sending and receiving, where they wait, not wait for ever: then the kernel has its turn."""
    for option in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):
        sock.setsockopt(socket.SOL_SOCKET, option, struct.pack("ll", 0, _LATENESS_MAX_US))


@types.coroutine
def lockstep(sock: socket.socket, ledger: Ledger, common: Common) -> Generator[Any, None, None]:
    """Send in a closed loop, as soon as the last reply is in: that is the time from which the next one is awaited.

    Yielding by itself, it is resumed without the iterator that `await ready` makes.
    """
    assert common.buffers is not None
    message, stamp, reply = common.buffers.message, common.buffers.stamp, common.buffers.reply
    send, receive = _transfers(sock)
    now_ns, recorder, size = common.clock, common.recorder, len(message)
    sent_ns, took_ns = now_ns(), None
    for _ in _share(common.workload):
        stamp[0] = sent_ns
        try:
            handed = send(message)
        finally:  # the last reply is booked only now, while the server works
            ledger.sent += 1
            ledger.waiting_since_ns = sent_ns
            if took_ns is not None:
                recorder.response.append(took_ns)
                ledger.answered += 1
                took_ns = None
        got = None
        if handed == size:
            yield
            got = receive(reply)
        done_ns = now_ns()
        stamp[0] = sent_ns  # others were sent meanwhile
        if got == size and reply == message:
            took_ns = done_ns - sent_ns
            sent_ns = done_ns
        else:
            chunk = None if got is None else bytes(reply[:got])
            yield from ledger.settle(sock, (sent_ns, sent_ns, bytes(message)), handed or 0, chunk).__await__()
            sent_ns = now_ns()
    _conclude(ledger, recorder, took_ns)


@types.coroutine
def solo(sock: socket.socket, ledger: Ledger, common: Common) -> Generator[Any, None, None]:
    """Send in a closed loop over the only connection: `lockstep`, with as little as can be from a reply to a send.

    It waits for a reply in the call that receives it, unless the kernel has something to do. What that call does not
    get, the poller waits for. Of two messages one is stamped while the other is under way.
    """
    assert common.buffers is not None
    first, second, reply = common.buffers, Buffers(common.workload), common.buffers.reply
    message, stamp, spare, spare_stamp = first.message, first.stamp, second.message, second.stamp
    _limit_waits(sock)
    send, receive = _transfers(sock)
    now_ns, recorder, size, fd = common.clock, common.recorder, len(message), sock.fileno()
    kernel, kernel_ns, took_ns = common.kernel, 0, None
    os.set_blocking(fd, True)
    sent_ns = now_ns()
    stamp[0] = sent_ns - 1  # each later message has the time at which the one before it was sent
    for _ in _share(common.workload):
        try:
            handed = send(message)
        finally:
            ledger.sent += 1
            ledger.waiting_since_ns = sent_ns
            if took_ns is not None:
                recorder.response.append(took_ns)
                ledger.answered += 1
                took_ns = None
        message, stamp, spare, spare_stamp = spare, spare_stamp, message, stamp
        stamp[0] = sent_ns
        got = None
        if handed == size:
            if sent_ns >= kernel_ns:
                yield
                kernel_ns = kernel.next_ns
            got = receive(reply)
        done_ns = now_ns()
        if got == size and reply == spare:
            took_ns = done_ns - sent_ns
            sent_ns = done_ns
        else:
            chunk = None if got is None else bytes(reply[:got])
            os.set_blocking(fd, False)
            yield from ledger.settle(sock, (sent_ns, sent_ns, bytes(spare)), handed or 0, chunk).__await__()
            os.set_blocking(fd, True)
            sent_ns = now_ns()
    os.set_blocking(fd, False)
    _conclude(ledger, recorder, took_ns)


def _conclude(ledger: Ledger, recorder: Recorder, took_ns: int | None) -> None:
    """Book the last reply of a connection's share, if it is not booked yet."""
    ledger.waiting_since_ns = None
    if took_ns is not None:
        recorder.response.append(took_ns)
        ledger.answered += 1


@types.coroutine
def punctual(
    sock: socket.socket, ledger: Ledger, common: Common, dispatcher: Dispatcher
) -> Generator[Any, int | None, None]:
    """Send what the dispatcher of an open loop hands out: the counterpart of `lockstep`."""
    assert common.buffers is not None
    message, stamp, reply = common.buffers.message, common.buffers.stamp, common.buffers.reply
    send, receive = _transfers(sock)
    now_ns, recorder, size, fd = common.clock, common.recorder, len(message), sock.fileno()
    done_ns = now_ns()
    for _ in _share(common.workload):
        if dispatcher.due_ns > done_ns or (due_ns := dispatcher.claim(done_ns)) is None:
            dispatcher.rests(fd)
            while (due_ns := (yield)) is None:
                # Woken by the socket, not with a request: nothing is owed, so it is a fault that must not wait.
                ledger.exchange(sock)
        ledger.sent += 1
        stamp[0] = ledger.waiting_since_ns = sent_ns = now_ns()
        handed = send(message)
        got = None
        if handed == size:
            yield
            got = receive(reply)
        done_ns = now_ns()
        stamp[0] = sent_ns  # others were sent meanwhile
        if got == size and reply == message:
            ledger.waiting_since_ns = None
            recorder.response.append(done_ns - due_ns)
            recorder.service.append(done_ns - sent_ns)
            ledger.answered += 1
        else:
            chunk = None if got is None else bytes(reply[:got])
            yield from ledger.settle(sock, (due_ns, sent_ns, bytes(message)), handed or 0, chunk).__await__()
            done_ns = now_ns()


@types.coroutine
def paced(
    sock: socket.socket,
    ledger: Ledger,
    common: Common,
    unique: Iterator[bytes | bytearray],
    dispatcher: Dispatcher | None,
) -> Generator[Any, int | None, None]:
    """Send messages of any size when they fall due, up to `pipeline` of them in flight, over any transport."""
    workload, now_ns = common.workload, common.clock
    fd, think_ns = sock.fileno(), round(workload.think_s * 1e9)
    left = workload.requests_per_connection or sys.maxsize
    rests = False
    handed_ns: int | None = None
    while left or ledger.outstanding:
        dues = [] if handed_ns is None else [handed_ns]
        if not rests:
            most = _room(ledger, workload, left) - len(dues)
            dues += _claimed(dispatcher, most, now_ns()) if dispatcher else _thought(ledger, think_ns, most, now_ns())
        if dues:
            ledger.send(sock, [next(unique) for _ in dues], dues if dispatcher else None)
            left -= len(dues)
        has_room = _room(ledger, workload, left) > 0
        if has_room and not rests and dispatcher is not None:
            dispatcher.rests(fd)
            rests = True
        is_thinking = has_room and dispatcher is None
        handed_ns = yield until(ledger.free_since_ns + think_ns) if is_thinking else None
        if handed_ns is None:
            ledger.exchange(sock)
        else:
            rests = False


def _room(ledger: Ledger, workload: Workload, left: int) -> int:
    """Return how many of the `left` requests may be in flight besides those that are; none while one is sent."""
    return 0 if ledger.unsent else min(left, workload.pipeline - len(ledger.outstanding))


def _thought(ledger: Ledger, think_ns: int, most: int, time_ns: int) -> list[int]:
    """Return the due times of a closed loop's next requests, if the think time is over."""
    due_ns = ledger.free_since_ns + think_ns
    return [due_ns] * most if due_ns <= time_ns else []


def _claimed(dispatcher: Dispatcher, most: int, time_ns: int) -> list[int]:
    """Return when the requests were due that wait already, `most` of them at the most."""
    dues: list[int] = []
    while len(dues) < most and (due_ns := dispatcher.claim(time_ns)) is not None:
        dues.append(due_ns)
    return dues
