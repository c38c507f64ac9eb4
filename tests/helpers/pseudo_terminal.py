"""A real terminal for a command: a pty that is its controlling terminal, so that keys, signals and modes are real."""

from __future__ import annotations

import fcntl
import os
import select
import struct
import subprocess
import sys
import termios
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

TAKE_TERMINAL = (
    "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
)
PLAIN = {"NO_COLOR", "TERM", "COLUMNS", "LINES", "FORCE_COLOR", "TTY_COMPATIBLE"}


class PseudoTerminal:
    """A command on a terminal of its own: what it printed, its keys, its modes, and how it ends."""

    def __init__(self, process: subprocess.Popen[bytes], ours: int, theirs: int) -> None:
        self.process, self._ours, self._theirs = process, ours, theirs
        self.printed = b""

    def press(self, keys: bytes) -> None:
        """Type keys."""
        os.write(self._ours, keys)

    def modes(self) -> list[Any]:
        """Return the modes of the terminal, as termios has them."""
        return termios.tcgetattr(self._theirs)

    def hang_up(self) -> None:
        """Close the terminal, as a window that is closed does."""
        for end in (self._ours, self._theirs):
            os.close(end)
        self._ours = self._theirs = -1

    def read_until(self, is_enough: Callable[[Self], bool], timeout_s: float = 60.0) -> None:
        """Read what is printed until that is so. Raise AssertionError if it is not in time."""
        deadline = time.monotonic() + timeout_s
        while not is_enough(self):
            assert time.monotonic() < deadline, self.printed.decode(errors="replace")
            if select.select([self._ours], [], [], 0.01)[0]:
                self.printed += os.read(self._ours, 1 << 16)

    def wait(self, timeout_s: float = 60.0) -> int:
        """Read until it ends, and return its exit status."""
        self.read_until(lambda terminal: terminal.process.poll() is not None, timeout_s)
        while select.select([self._ours], [], [], 0)[0]:
            self.printed += os.read(self._ours, 1 << 16)
        return self.process.wait()

    def close(self) -> None:
        """Kill the command if it did not end, and close the terminal."""
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        for end in (self._ours, self._theirs):
            if end >= 0:
                os.close(end)


@contextmanager
def on_terminal(
    command: Sequence[str], cwd: Path, *, columns: int = 80, lines: int = 24, env: Mapping[str, str] | None = None
) -> Iterator[PseudoTerminal]:
    """Start a command on a terminal of that size that has colours."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", lines, columns, 0, 0))
    known = {name: value for name, value in os.environ.items() if name not in PLAIN}
    process = subprocess.Popen(
        [sys.executable, "-S", "-E", "-c", TAKE_TERMINAL, *command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        cwd=cwd,
        env={**known, "TERM": "xterm-256color", **(env or {})},
        start_new_session=True,
    )
    terminal = PseudoTerminal(process, ours, theirs)
    try:
        yield terminal
    finally:
        terminal.close()
