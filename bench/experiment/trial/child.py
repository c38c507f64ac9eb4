"""A child process: started without a shell, read line by line, and ended with all that it started.

It lives in a session of its own, so that its whole group can be ended. Nothing here may know what a server is.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from typing import IO, TYPE_CHECKING, Self

import psutil

from bench.errors import MeasurementError
from bench.text import TAIL_BYTES, quoted

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path
    from types import FrameType

STOP_TIMEOUT_S = 3.0
POLL_S = 0.01


class ChildError(MeasurementError):
    """A child that cannot be started, or does not do its part."""


class Child:
    """A process of ours: its stdout is read here line by line, its stderr goes to the end of `log`.

    `cpus` binds it from its first instruction on. With `stdin` it can be written to; otherwise it reads end of file.
    Raises ChildError when the command cannot be started. As a context manager it is stopped at the end, by
    `stop_signal` and then by SIGKILL.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        log: Path,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        cpus: Collection[int] = (),
        stdin: bool = False,
        stop_signal: signal.Signals = signal.SIGTERM,
    ) -> None:
        self.log = log
        self._stop_signal = stop_signal
        self._buffer = bytearray()
        self._drain: threading.Thread | None = None
        self._was_asked = False
        self._started: list[psutil.Process] = []
        try:
            with log.open("ab") as sink, bound_to(cpus), _interrupts_put_off():
                self._process = subprocess.Popen(
                    list(command),
                    stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=sink,
                    env=None if env is None else dict(env),
                    cwd=cwd,
                    start_new_session=True,
                )
                _running.add(self)
        except OSError as error:
            raise ChildError(f"cannot start {command[0]}: {error.strerror or error}") from error
        except KeyboardInterrupt:
            if self in _running:
                self.stop()
            raise
        os.set_blocking(self._stdout.fileno(), False)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Its process id, which is that of its group too."""
        return self._process.pid

    @property
    def _stdout(self) -> IO[bytes]:
        assert self._process.stdout is not None
        return self._process.stdout

    @property
    def returncode(self) -> int | None:
        """The exit status if it has ended (negative: ended by that signal), else None."""
        return self._process.poll()

    @property
    def how_it_ended(self) -> str:
        """Say so in words, of a child that has ended."""
        status = self.returncode
        assert status is not None
        return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"

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
        select.select([self._stdout], [], [], timeout_s)
        try:
            chunk = os.read(self._stdout.fileno(), 1 << 16)
        except BlockingIOError:
            return True
        self._buffer += chunk
        return bool(chunk)

    def write_line(self, line: str) -> None:
        """Send one line to its stdin. Raise ChildError if it does not listen any more."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise ChildError(f"it closed its stdin: {self.log_tail()}") from error

    def note(self, line: str) -> None:
        """Put a line that was read from its stdout into its log, where the rest of what it says is."""
        with self.log.open("a", encoding="utf-8") as sink:
            print(line, file=sink)

    def drain(self) -> None:
        """Send the rest of its stdout to the log, so that a talkative child never blocks on a full pipe."""
        self._drain = threading.Thread(target=self._copy_stdout, name=f"drain-{self.pid}", daemon=True)
        self._drain.start()

    def _copy_stdout(self) -> None:
        os.set_blocking(self._stdout.fileno(), True)
        with self._stdout, self.log.open("ab", buffering=0) as sink:
            sink.write(self._buffer)
            while chunk := os.read(self._stdout.fileno(), 1 << 16):
                sink.write(chunk)

    def log_tail(self) -> str:
        """Return the last lines of its log, as the end of a sentence."""
        with self.log.open("rb") as file:
            file.seek(max(0, self.log.stat().st_size - TAIL_BYTES))
            lines = quoted(file.read(), self.log)
        return f"its log ends:\n{lines}" if lines else "its log is empty"

    def ended_within(self, timeout_s: float) -> bool:
        """Wait for its end, at most so long, and say whether it has come."""
        try:
            self._process.wait(max(0.0, timeout_s))
        except subprocess.TimeoutExpired:
            return False
        return True

    def ask_to_end(self) -> None:
        """Tell it to end, and do not wait for that: `stop` does."""
        if not self._was_asked:
            self._was_asked = True
            self._started = descendants(self.pid)  # while it is there: those that left its group outlive it unseen
            self._close_stdin()
            self._signal_group(self._stop_signal)

    def stop(self, grace_s: float = STOP_TIMEOUT_S) -> bool:
        """End it and all it started. Return True if something outlived the grace and had to be killed."""
        deadline_s = time.monotonic() + grace_s
        outlived = True
        try:
            self.ask_to_end()
            outlived = not (self.ended_within(grace_s) and _all_gone(self._started, deadline_s))
        finally:
            self._signal_group(signal.SIGKILL)
            for process in self._started:  # those that left the group
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            self._process.wait()
            _running.discard(self)
            _all_gone(self._started, time.monotonic() + STOP_TIMEOUT_S)
            self._close()
        return outlived

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # gone; on macOS: only zombies are left
            os.killpg(self.pid, number)

    def _close_stdin(self) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()

    def _close(self) -> None:
        if self._drain is None:
            self._stdout.close()
        else:
            self._drain.join(timeout=1.0)  # a grandchild in a session of its own may still hold the pipe


_running: set[Child] = set()
"""Those that have not been stopped: whatever way this process ends, they end with it."""


@atexit.register
def _stop_all() -> None:
    while _running:
        _running.pop().stop()


@contextlib.contextmanager
def _interrupts_put_off() -> Iterator[None]:
    """Hold an interrupt back until it is known which child was started: else nobody would end that.

    A mask would be inherited by the child; handlers are not.
    """
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread is ever interrupted
        return
    came: list[tuple[int, FrameType | None]] = []
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    ours = {number: handler for number, handler in handlers.items() if callable(handler)}
    for number in ours:
        signal.signal(number, lambda *call: came.append(call))
    try:
        yield
    finally:
        for number, handler in ours.items():
            signal.signal(number, handler)
    for call in came:
        ours[signal.Signals(call[0])](*call)


@contextlib.contextmanager
def bound_to(cpus: Collection[int]) -> Iterator[None]:
    """Bind the calling thread for a while, and the children and threads that it starts from their first instruction."""
    if not cpus or sys.platform != "linux":
        yield
        return
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def descendants(pid: int) -> list[psutil.Process]:
    """Return all that a process started, and what those started; nothing if it has ended."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def _all_gone(processes: Sequence[psutil.Process], deadline_s: float) -> bool:
    while any(_is_alive(process) for process in processes):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(POLL_S)
    return True


def _is_alive(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
