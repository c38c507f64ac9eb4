"""Several processes carrying one load: started, lined up on a common start, collected and merged.

A child is `python -m clients` with its share named; it speaks the same protocol as a coordinated run: `CONNECTED` when
its connections stand, then `GO` with the start time, then its result on one line. A child that dies is a lost worker:
the others' results stand, and the loss is counted.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import IO, TYPE_CHECKING, Self

from clients.coordination import starting_deaf
from clients.result import Result

if TYPE_CHECKING:
    from collections.abc import Sequence

    from clients.load import Announce
    from clients.workload import Workload

_PACKAGES = Path(__file__).resolve().parent.parent


class WorkerGroup:
    """Child processes, one per shard of the workload. Use as a context manager: on leaving, none is left alive."""

    def __init__(self, arguments: Sequence[str], workers: int) -> None:
        """Take the arguments of the command line, without the number of workers. Nothing is started yet."""
        self._arguments, self._workers = arguments, workers
        self._children: list[subprocess.Popen[str]] = []
        self._is_interrupted = False

    def __enter__(self) -> Self:
        """Start the children, which leave it to `cli.py` to hear Ctrl-C."""
        path = os.pathsep.join(filter(None, [str(_PACKAGES), os.environ.get("PYTHONPATH")]))
        with starting_deaf():
            for worker in range(self._workers):
                share = f"{worker}/{self._workers}"
                child = subprocess.Popen(
                    [sys.executable, "-P", "-m", "clients", *self._arguments, "--share", share],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    text=True,
                    env={**os.environ, "PYTHONPATH": path},
                )
                self._children.append(child)
        return self

    def __exit__(self, *_: object) -> None:
        for child in self._children:
            if child.poll() is None:
                child.kill()
            for stream in (child.stdin, child.stdout):
                if stream is not None and not stream.closed:
                    _close(stream)
            child.wait()

    def interrupt(self) -> None:
        """Ask every child to end its window now; may be called before they are started."""
        self._is_interrupted = True
        for child in self._children:
            if child.poll() is None:
                child.send_signal(signal.SIGINT)

    def run(self, workload: Workload, announce: Announce) -> Result:
        """Line the children up, start them together and return their merged result."""
        if self._is_interrupted:
            self.interrupt()
        answers = [_line(child) for child in self._children]
        connected = [answer.split()[1] for answer in answers if answer.startswith("CONNECTED ")]
        established = sum(map(int, connected))
        start_ns = None if self._is_interrupted else announce(established, workload.connections)
        for child in self._children:
            assert child.stdin is not None
            if start_ns is not None:
                _say(child.stdin, f"GO {start_ns}\n")
            _close(child.stdin)
        merged: Result | None = None
        lost = 0
        for child, answer in zip(self._children, answers, strict=True):
            # A child that was interrupted before its connections stood answers with its result at once.
            line = _line(child) if answer.startswith("CONNECTED ") else answer
            child.wait()
            if not line.endswith("\n"):
                lost += 1
                continue
            result = Result.from_wire(json.loads(line))
            result.workload = workload
            if merged is None:
                merged = result
            else:
                merged.merge(result)
        merged = merged or Result(workload=workload, workers=0)
        merged.workers_lost += lost
        return merged


def _line(child: subprocess.Popen[str]) -> str:
    """Return a child's next line; one without an end if it died."""
    assert child.stdout is not None
    return child.stdout.readline()


def _say(stream: IO[str], text: str) -> None:
    try:
        stream.write(text)
        stream.flush()
    except BrokenPipeError:
        return  # the child is dead: it is counted when its result does not come


def _close(stream: IO[str]) -> None:
    try:
        stream.close()
    except BrokenPipeError:
        return  # as above: closing flushes
