"""How a load is lined up with others: it says when its connections stand, and waits for the word to go or an interrupt.

The words are lines of standard output and input, so that any process can give them. Nothing is loaded here.
"""

from __future__ import annotations

import selectors
import signal
import socket
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

from clients.clock import now_ns
from clients.workload import WorkloadError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    Meanwhile = Callable[[], None]

_LOOK_S = 1.0
_AHEAD_MAX_NS = 3_600_000_000_000  # more is a time of another clock, such as the seconds since the epoch


@contextmanager
def interruptible(interrupt: Callable[[], None]) -> Iterator[socket.socket]:
    """Have Ctrl-C call `interrupt` from now on; give a socket that can be read once it came.

    A handler that raises would do with less, and might raise a line too late, when nobody catches it any more.
    """
    interrupts, noted = socket.socketpair()
    with interrupts, noted:
        noted.setblocking(False)
        before = signal.set_wakeup_fd(noted.fileno())
        signal.signal(signal.SIGINT, lambda *_: interrupt())
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # as a worker, it was started deaf
        try:
            yield interrupts
        finally:
            signal.set_wakeup_fd(before)


@contextmanager
def starting_deaf() -> Iterator[None]:
    """Have processes that are started meanwhile not hear Ctrl-C, which is ours to pass on, and hear it ourselves after.

    A process that is starting could only break off.
    """
    came: list[tuple[int, FrameType | None]] = []
    before = signal.signal(signal.SIGINT, lambda *call: came.append(call))
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # a child inherits this, also from a thread
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGINT, before)
    if came and callable(before):
        before(*came[0])


def coordinated(
    interrupts: socket.socket, established: int, requested: int, *, meanwhile: Meanwhile | None = None
) -> int | None:
    """Say that the connections stand, and return what the word to go says: see `word_to_go`."""
    print(f"CONNECTED {established} {requested}", flush=True)
    return word_to_go(interrupts, meanwhile)


def word_to_go(interrupts: socket.socket, meanwhile: Meanwhile | None) -> int | None:
    """Wait for the word to go, and return its start in ns. None if there will be none: stdin ended, or Ctrl-C.

    `meanwhile` is called once a second until then; what it raises ends the wait.
    Raise WorkloadError for a word without a time that can be.
    """
    with selectors.PollSelector() as either:
        either.register(sys.stdin, selectors.EVENT_READ)
        either.register(interrupts, selectors.EVENT_READ)
        while not (ready := either.select(None if meanwhile is None else _LOOK_S)):
            assert meanwhile is not None
            meanwhile()
        if any(key.fileobj is interrupts for key, _ in ready):
            return None
    return _start_ns(sys.stdin.readline().split())


def _start_ns(words: list[str]) -> int | None:
    """Return the start that the words name, None if they are not the word to go. Raise WorkloadError."""
    if words[:1] != ["GO"]:
        return None
    time_ns = now_ns()
    is_time = len(words) == len(("GO", "START_NS")) and words[1].isdecimal()
    if is_time and int(words[1]) <= time_ns + _AHEAD_MAX_NS:
        return int(words[1])
    raise WorkloadError(
        f"{' '.join(words)!r} is no word to go: write `GO start_ns`, where start_ns is a time of this machine's "
        f"monotonic clock (time.monotonic_ns() of Python), an hour ahead at most; it is {time_ns} now"
    )
