"""What a child says: lines of stdout that are read here, and a log of the rest, which cannot grow without end.

Nothing here may know who speaks, or why.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from typing import IO, TYPE_CHECKING

from bench.text import TAIL_BYTES as QUOTED_BYTES
from bench.text import quoted

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

CHUNK_BYTES = 1 << 16
BATCH_S = 0.005
"""So long what a talkative child says is let pile up: to wake for each line would disturb what is measured."""
LAST_WORDS_S = 0.2
HEAD_BYTES = TAIL_BYTES = 256 << 10


class ChildLog:
    """What one child says, at the end of a file: its head and its tail, and how much is left out. Any thread may write.

    The first HEAD_BYTES are in the file at once. What follows is kept in memory, TAIL_BYTES of it, until `close`.
    """

    def __init__(self, path: Path) -> None:
        """Make the file if it is not there. Raise OSError if it cannot be written."""
        self._path = path
        self._room = HEAD_BYTES
        self._tail = bytearray()
        self._left_out = 0
        self._lock = threading.Lock()
        path.open("ab").close()

    def write(self, text: bytes) -> None:
        """Take in what was said."""
        with self._lock:
            head, rest = text[: self._room], text[self._room :]
            self._room -= len(head)
            if head and not self._append(head):
                self._room, self._left_out = 0, self._left_out + len(head)
            self._tail += rest
            if len(self._tail) > 2 * TAIL_BYTES:
                self._shorten()

    def move(self, path: Path) -> None:
        """Go on in another file, at the end of which what was written so far is copied. Raise OSError."""
        with self._lock:
            with path.open("ab") as file:
                file.write(self._path.read_bytes())
            self._path = path

    def last_lines(self) -> str:
        """Return the last lines that were said by all children of this log, shortened."""
        with self._lock, self._path.open("rb") as file:
            file.seek(max(0, self._path.stat().st_size - QUOTED_BYTES))
            said = file.read() + self._tail
        return quoted(said, self._path)

    def close(self) -> None:
        """Write the tail. What is said after that goes on as if a new child said it."""
        with self._lock:
            self._shorten()
            gap = b"\n[%d bytes left out]\n" % self._left_out if self._left_out else b""
            self._append(gap + self._tail)
            self._room, self._left_out = HEAD_BYTES, 0
            self._tail.clear()

    def _shorten(self) -> None:
        if (too_much := len(self._tail) - TAIL_BYTES) > 0:
            self._left_out += too_much
            del self._tail[:too_much]

    def _append(self, text: bytes) -> bool:
        """Write to the file. A full disk loses the text, and not the measurement: the child must not be held up."""
        try:
            with self._path.open("ab", buffering=0) as file:
                file.write(text)
        except OSError:
            return False
        return True


class ChildOutput:
    """Both streams of a child. It answers on stdout, line by line; what else it says goes to its log."""

    def __init__(self, process: subprocess.Popen[bytes], log: ChildLog) -> None:
        """Take over the pipes of a process. Whoever waits for it calls `hear`, or has it drained."""
        assert process.stdout is not None
        assert process.stderr is not None
        self._log = log
        self._answers: IO[bytes] = process.stdout
        self._talk: IO[bytes] = process.stderr
        self._buffer = bytearray()
        self._is_talking = True
        self._drain: threading.Thread | None = None
        for stream in (self._answers, self._talk):
            os.set_blocking(stream.fileno(), False)

    @property
    def is_drained(self) -> bool:
        """Whether a thread takes in what it says."""
        return self._drain is not None

    def read_line(self, deadline_s: float) -> str | None:
        """Return the next line of stdout; None at end of file or when `time.monotonic()` passes the deadline."""
        while b"\n" not in self._buffer:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0 or not self._fill(left_s):
                return None
        line, _, rest = self._buffer.partition(b"\n")
        self._buffer = rest
        return line.decode(errors="replace")

    def _fill(self, timeout_s: float) -> bool:
        """Wait for output and take it in. False: end of file."""
        streams = [self._answers, self._talk] if self._is_talking else [self._answers]
        ready, _, _ = select.select(streams, [], [], timeout_s)
        if self._talk in ready:  # first: what it said before it answered is in the log by then
            self.hear()
        if self._answers not in ready:
            return True
        chunk = os.read(self._answers.fileno(), CHUNK_BYTES)
        self._buffer += chunk
        return bool(chunk)

    def hear(self) -> None:
        """Take in what it has said on stderr so far, if no thread does."""
        with contextlib.suppress(BlockingIOError):
            while self._is_talking and not self.is_drained:
                chunk = os.read(self._talk.fileno(), CHUNK_BYTES)
                self._log.write(chunk)
                self._is_talking = bool(chunk)

    def log_to(self, path: Path) -> None:
        """Have the log in another file: see `ChildLog.move`."""
        self._log.move(path)

    def note(self, line: str) -> None:
        """Put a line that was read from its stdout into its log."""
        self._log.write(line.encode() + b"\n")

    def drain(self, name: str) -> None:
        """Have a thread of this name send the rest to the log."""
        self._log.write(bytes(self._buffer))
        self._drain = threading.Thread(target=self._take_in, name=name, daemon=True)
        self._drain.start()

    def _take_in(self) -> None:
        streams = [self._answers, *([self._talk] if self._is_talking else [])]
        while streams:
            longest = 0
            for stream in select.select(streams, [], [])[0]:
                chunk = os.read(stream.fileno(), CHUNK_BYTES)
                self._log.write(chunk)
                longest = max(longest, len(chunk))
                if not chunk:
                    streams.remove(stream)
            if longest < CHUNK_BYTES // 2:
                time.sleep(BATCH_S)

    def last_lines(self, *, has_ended: bool) -> str:
        """Return the last lines of the log, as the end of a sentence."""
        self.hear()
        if has_ended and self._drain is not None:
            self._drain.join(timeout=LAST_WORDS_S)
        lines = self._log.last_lines()
        return f"its log ends:\n{lines}" if lines else "its log is empty"

    def close(self) -> None:
        """Write what is left to the log, and close both streams."""
        self.hear()
        if self._drain is not None:
            self._drain.join(timeout=1.0)
            if self._drain.is_alive():  # what could not be killed still holds the pipes, and the thread waits for it
                return
        self._log.close()
        for stream in (self._answers, self._talk):
            stream.close()
