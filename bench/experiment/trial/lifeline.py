"""What the bench has started ends with it, whatever ends the bench: SIGKILL, a fault, or a machine short of memory.

A small process, `survivor.py`, holds the other end of a pipe, and ends everything that carries our mark when the pipe
does. The mark is a variable in the environment, which children inherit. So it holds for children of children too, and
for those that left their group and session. It is begun with the first child, and costs nothing while one is measured.
Where there is no /proc, it does nothing.
"""

from __future__ import annotations

import atexit
import contextlib
import itertools
import os
import secrets
import sys
from typing import TYPE_CHECKING

from bench.experiment.trial import survivor

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

NAME = "ECHOBENCH_OWNER"
_IS_LINUX = sys.platform == "linux"


class _Lifeline:
    """The mark of this process, and the pipe that ends with it."""

    def __init__(self) -> None:
        self.token = secrets.token_hex(8)
        self._numbers = itertools.count(1)
        reading, self._writing = os.pipe()
        os.environ[NAME] = self.value(0)
        self._pid = os.getpid()
        self._starter = _start(f"{NAME}={self.token}", reading)
        os.close(reading)

    def value(self, number: int) -> str:
        """Return the variable of a child: as long as that of every other, because its length moves their stacks."""
        return f"{self.token}-{number:08}"

    def next_value(self) -> str:
        return self.value(next(self._numbers))

    def tell(self, line: str) -> None:
        os.write(self._writing, os.fsencode(line + "\n"))

    def end(self) -> None:
        """End what is still there, and say that nothing is left. A fork of this process has nothing to say."""
        if os.getpid() == self._pid:
            mark = f"{NAME}={self.token}".encode()
            if survivor.marked(mark):  # of a set-up that was interrupted, or left something in the background
                survivor.end_all(mark)
            self.tell(survivor.BYE)
            os.close(self._writing)
            os.waitpid(self._starter, 0)


def _start(mark: str, reading: int) -> int:
    """Start the survivor with nothing in its environment, and no descriptor but the pipe; return its starter.

    It has a session of its own from its first instruction on, so that a Ctrl-C in the terminal never reaches it.
    """
    os.set_inheritable(reading, True)
    nowhere = [(os.POSIX_SPAWN_OPEN, fd, os.devnull, os.O_RDWR, 0) for fd in range(3)]
    command = [sys.executable, "-I", "-S", survivor.__file__, mark, str(reading)]
    return os.posix_spawn(sys.executable, command, {}, file_actions=nowhere, setsid=True)


_begun: list[_Lifeline] = []


@atexit.register
def _end() -> None:
    """Let go, after the children have been stopped: `child.py` imports this file, and so is first at the exit."""
    while _begun:
        _begun.pop().end()


def begin() -> None:
    """Have what is started from now on end with this process."""
    if _IS_LINUX and not _begun:
        _begun.append(_Lifeline())


def new_mark() -> dict[str, str]:
    """Return the variable that a child and all that it starts are known by; nothing where there is no /proc."""
    begin()
    return {NAME: _begun[0].next_value()} if _begun else {}


def marked(mark: Mapping[str, str]) -> list[int]:
    """Return the processes that carry a mark: those that live of a child and of what it has started."""
    return [pid for name, value in mark.items() for pid in survivor.marked(f"{name}={value}".encode())]


@contextlib.contextmanager
def marking() -> Iterator[Mapping[str, str]]:
    """Yield a mark for what is not started as a child, such as a set-up. At the end, end all that carry it."""
    mark = new_mark()
    try:
        yield mark
    finally:
        for name, value in mark.items():
            if marked(mark):
                survivor.end_all(f"{name}={value}".encode())


def remove(folder: Path, *, worktrees: Path) -> None:
    """Remove a folder now, and git's records, in `worktrees`, of worktrees in it."""
    survivor.clear([f"{survivor.FOLDER} {folder.resolve()}", f"{survivor.WORKTREES} {worktrees}"])


def leave_nothing(folder: Path, *, worktrees: Path | None = None) -> None:
    """Have a folder removed if this process is killed, and git's records, in `worktrees`, of worktrees in it."""
    begin()
    for lifeline in _begun:
        lifeline.tell(f"{survivor.FOLDER} {folder.resolve()}")
        if worktrees is not None:
            lifeline.tell(f"{survivor.WORKTREES} {worktrees}")
