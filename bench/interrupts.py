"""Which signals ask a command to end. What ends, and how, is decided by those who ask here. Imports nothing of ours."""

from __future__ import annotations

import os
import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
"""Ctrl-C, `kill`, and a terminal that was closed."""

_terminals: list[int] = []


def raise_interrupts() -> None:
    """Have each of the signals raise KeyboardInterrupt from now on.

    SIGINT too: a shell has a background job ignore it. But SIGHUP stays ignored where `nohup` has said so.
    """
    _terminals[:] = [number for number in (1, 2) if os.isatty(number)]
    for number in SIGNALS:
        if number is not signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _interrupted)


def ignore_interrupts() -> None:
    """Have none of the signals interrupt what is left to do when a command ends, which takes seconds at most."""
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)


@contextmanager
def put_off() -> Iterator[None]:
    """Hold the signals back from a step that must not be left half-way. Then the handlers hear of those that came.

    A mask would be inherited by a child; handlers are not.
    """
    came: list[tuple[int, FrameType | None]] = []
    ours = acting()
    for number in ours:
        signal.signal(number, lambda *call: came.append(call))
    try:
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
    for call in came:
        ours[signal.Signals(call[0])](*call)


def acting() -> dict[signal.Signals, Callable[..., Any]]:
    """Return the handlers of those signals that have one; none outside the main thread, which no signal interrupts."""
    if threading.current_thread() is not threading.main_thread():
        return {}
    handlers = {number: signal.getsignal(number) for number in SIGNALS}
    return {number: handler for number, handler in handlers.items() if callable(handler)}


def heard(number: int) -> None:
    """Take note that a signal came. After SIGHUP the terminal is gone, and what is printed on it goes nowhere."""
    if number == signal.SIGHUP and _terminals:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        while _terminals:
            os.dup2(nowhere, _terminals.pop())
        os.close(nowhere)


def _interrupted(number: int, _frame: object) -> None:
    heard(number)
    raise KeyboardInterrupt
