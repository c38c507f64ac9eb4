"""Processes that lost their parent are given to us while a monitor looks on, so that none of them ends unseen.

A process that was forked twice has a parent that ended, and init waits for it. If it comes and goes between two looks,
its CPU time is in no count, and nothing tells of it. So the bench waits for it in init's place (Linux's subreaper).
"""

from __future__ import annotations

import ctypes
import os
from collections import Counter
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from bench.experiment.trial.kinship import children
from bench.experiment.trial.procfs import IS_LINUX, read_file

if TYPE_CHECKING:
    from collections.abc import Iterator

_PR_SET_CHILD_SUBREAPER = 36
_known: set[int] = set()
"""The sessions of those that are watched."""
_ended: Counter[int] = Counter()
"""How many were waited for, by their session: that of a server, unless they left it."""


@contextmanager
def adopted() -> Iterator[None]:
    """Be given what loses its parent among all that we have started, in the block. Elsewhere than on Linux, nothing."""
    _become_subreaper(1)
    try:
        yield
    finally:
        _become_subreaper(0)


def ended(session: int) -> int:
    """Wait for what was given to us and has ended. Return how many so far can be of a session: its own, and strays."""
    if IS_LINUX:
        for pid in children(os.getpid()):
            with suppress(OSError):  # waited for by who started it
                _wait_for(pid)
    return _ended[session] + sum(number for other, number in _ended.items() if other not in _known)


def watch(session: int) -> int:
    """Take note that a session is that of a process which is watched, and return what `ended` does."""
    _known.add(session)
    return ended(session)


def _wait_for(pid: int) -> None:
    """Wait for a child of ours if it has ended, and we did not start it: those lead a session, or are in ours."""
    stat = read_file(f"/proc/{pid}/stat")
    state, _, _, session, *_ = stat[stat.rindex(b")") + 2 :].split()
    if state == b"Z" and int(session) not in {pid, os.getsid(0)}:
        os.waitpid(pid, os.WNOHANG)
        _ended[int(session)] += 1


def _become_subreaper(wanted: int) -> None:
    if IS_LINUX:
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, wanted, 0, 0, 0)
