"""The key `q`, which ends a run as Ctrl-C does. The terminal is given back as it was, however the run ends.

A thread waits for the key in the kernel, and takes no CPU time until one is pressed. What an interrupt means is decided
by those who hear it.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import termios
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from bench.interrupts import SIGNALS

if TYPE_CHECKING:
    from collections.abc import Iterator

QUIT = b"q"
RETRY_S = 1.0
"""How often a job in the background looks whether the terminal is its own again."""

_LOCAL, _SPECIAL = 3, 6
"""Where termios keeps the local modes and the special characters."""


@contextmanager
def quitting() -> Iterator[bool]:
    """Have `q` interrupt the main thread, once, if standard input is a terminal that is ours; yield whether it is."""
    if not (sys.stdin is not None and sys.stdin.isatty() and _is_ours(sys.stdin.fileno())):
        yield False
        return
    terminal = sys.stdin.fileno()
    before = termios.tcgetattr(terminal)
    stopped, stop = os.pipe()
    reader = threading.Thread(target=_wait_for_key, args=(terminal, stopped), name="keys", daemon=True)
    try:
        termios.tcsetattr(terminal, termios.TCSANOW, _key_by_key(before))
        reader.start()
        yield True
    finally:
        held = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # a second Ctrl-C must not come in between
        try:
            _give_back(terminal, before)
            os.close(stop)
            if reader.is_alive():
                reader.join()
            os.close(stopped)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)


def _key_by_key(before: list[Any]) -> list[Any]:
    """Return the modes in which keys come at once and are not shown. Ctrl-C and Ctrl-Z go on to mean what they do."""
    modes = [*before]
    modes[_LOCAL] &= ~(termios.ICANON | termios.ECHO)
    modes[_SPECIAL] = [*before[_SPECIAL]]
    modes[_SPECIAL][termios.VMIN], modes[_SPECIAL][termios.VTIME] = 1, 0
    return modes


def _give_back(terminal: int, before: list[Any]) -> None:
    try:
        if _is_ours(terminal):
            termios.tcsetattr(terminal, termios.TCSANOW, before)
    except termios.error:
        return  # it was closed, which is what SIGHUP said: no modes are left to give back


def _is_ours(terminal: int) -> bool:
    """Whether this job is in the foreground: one that is not would be stopped for touching the terminal."""
    try:
        return os.tcgetpgrp(terminal) == os.getpgrp()
    except OSError:  # not the terminal of this session, or closed
        return False


def _wait_for_key(terminal: int, stopped: int) -> None:
    """Interrupt the main thread when the key comes. Return then, or when the terminal or the screen ends."""
    while True:
        ours = _is_ours(terminal)
        ready, _, _ = select.select([terminal, stopped] if ours else [stopped], [], [], None if ours else RETRY_S)
        if stopped in ready:
            return
        if terminal not in ready or not _is_ours(terminal):
            continue
        try:
            keys = os.read(terminal, 1)
        except OSError:  # closed
            return
        if keys == QUIT:
            main = threading.main_thread().ident
            assert main is not None, "the main thread runs"
            signal.pthread_kill(main, signal.SIGINT)
        if keys in {QUIT, b""}:
            return
