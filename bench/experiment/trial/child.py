"""A child process: started without a shell, read line by line, and ended with all that it started.

It lives in a session of its own, so that its whole group can be ended, and carries a mark by which whatever left the
group is found. Nothing here may know what a server is.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Self

import psutil

from bench.errors import MeasurementError
from bench.experiment.trial import lifeline
from bench.experiment.trial.child_output import ChildLog, ChildOutput
from bench.experiment.trial.kinship import Kinship
from bench.interrupts import put_off

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence
    from pathlib import Path

STOP_TIMEOUT_S = 3.0
POLL_S = 0.01
BACKGROUND = "processes of it are still running: a server that goes into the background must be told to stay in front"


class ChildError(MeasurementError):
    """A child that cannot be started, or does not do its part."""


class Child:
    """A process of ours: its stdout is read here line by line, its stderr goes to the end of `log` (see `ChildLog`).

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
        self._was_asked = False
        self._started: list[psutil.Process] = []
        self._mark = lifeline.new_mark()
        try:
            kept = ChildLog(log)
            with bound_to(cpus), put_off():  # until it is known which child was started: else nobody would end that
                self._process = subprocess.Popen(
                    list(command),
                    stdin=subprocess.PIPE if stdin else subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=subprocess.PIPE,
                    env={**(os.environ if env is None else env), **self._mark},
                    cwd=cwd,
                    start_new_session=True,
                )
                self._output = ChildOutput(self._process, kept)
                _running.add(self)
        except OSError as error:
            raise ChildError(f"cannot start {command[0]}: {error.strerror or error}") from error
        except KeyboardInterrupt:
            if self in _running:
                self.stop()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    @property
    def pid(self) -> int:
        """Its process id, which is that of its group too."""
        return self._process.pid

    @property
    def returncode(self) -> int | None:
        """The exit status if it has ended (negative: ended by that signal), else None."""
        return self._process.poll()

    @property
    def is_stopped(self) -> bool:
        """Whether a signal has stopped it (SIGSTOP, or SIGTSTP), so that it does nothing until it is continued."""
        with contextlib.suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).status() == psutil.STATUS_STOPPED
        return False

    @property
    def how_it_ended(self) -> str:
        """Say so in words, of a child that has ended."""
        status = self.returncode
        assert status is not None
        return f"was ended by {signal.Signals(-status).name}" if status < 0 else f"ended with status {status}"

    def read_line(self, deadline_s: float) -> str | None:
        """Return the next line of stdout; None at end of file or when `time.monotonic()` passes the deadline."""
        return self._output.read_line(deadline_s)

    def write_line(self, line: str) -> None:
        """Send one line to its stdin. Raise ChildError if it does not listen any more."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line.encode() + b"\n")
            self._process.stdin.flush()
        except OSError as error:
            raise ChildError(f"it closed its stdin: {self.log_tail()}") from error

    def log_to(self, log: Path) -> None:
        """Have what it said so far, and will say, at the end of another file. Raise OSError if it cannot be written."""
        self._output.log_to(log)
        self.log = log

    def note(self, line: str) -> None:
        """Put a line that was read from its stdout into its log, where the rest of what it says is."""
        self._output.note(line)

    def drain(self) -> None:
        """Send the rest of what it says to the log, so that a talkative child never blocks on a full pipe."""
        self._output.drain(name=f"drain-{self.pid}")

    def log_tail(self) -> str:
        """Return the last lines of its log, as the end of a sentence; before them, that it went into the background."""
        has_ended = self.returncode is not None
        tail = self._output.last_lines(has_ended=has_ended)
        return f"{BACKGROUND}; {tail}" if has_ended and not self._was_asked and self._marked() else tail

    def ended_within(self, timeout_s: float) -> bool:
        """Wait for its end, at most so long, and say whether it has come."""
        deadline_s = time.monotonic() + timeout_s
        while True:
            left_s = max(0.0, deadline_s - time.monotonic())
            try:
                self._process.wait(left_s if self._output.is_drained else min(left_s, POLL_S))
            except subprocess.TimeoutExpired:
                if not left_s:
                    return False
            else:
                return True
            finally:
                self._output.hear()

    def ask_to_end(self, kinship: Kinship | None = None) -> None:
        """Tell it to end, and do not wait for that: `stop` does. Who ends several gives the `kinship` of just now."""
        if not self._was_asked:
            self._was_asked = True
            # Now, while it is there: what has left its group outlives it unseen.
            self._started = [*{*(kinship or Kinship()).descendants(self.pid), *self._marked()}]
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
            _kill(self._started)  # those that left the group
            self._process.wait()
            _kill(late := self._marked())  # those that came meanwhile
            _running.discard(self)
            _all_gone([*self._started, *late], time.monotonic() + STOP_TIMEOUT_S)
            self._output.close()
        return outlived

    def _marked(self) -> list[psutil.Process]:
        """Return what lives of all that it started, wherever that went."""
        found = []
        for pid in lifeline.marked(self._mark):
            with contextlib.suppress(psutil.NoSuchProcess):
                found.append(psutil.Process(pid))
        return [process for process in found if process.pid != self.pid]

    def _signal_group(self, number: signal.Signals) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):  # gone; on macOS: only zombies are left
            os.killpg(self.pid, number)

    def _close_stdin(self) -> None:
        if self._process.stdin is not None:
            with contextlib.suppress(BrokenPipeError):
                self._process.stdin.close()


_running: set[Child] = set()
"""Those that have not been stopped: whatever way this process ends, they end with it."""


@atexit.register
def _stop_all() -> None:
    while _running:
        _running.pop().stop()


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


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


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
