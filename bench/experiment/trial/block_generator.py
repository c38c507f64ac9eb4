"""The load generator that stays: a process that has loaded its libraries, and makes one load after the other.

It speaks the protocol of `clients.blocks`. When it fails or was ended, the next load starts another.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from typing import TYPE_CHECKING, Any, Self

from bench.experiment.planning.catalog import ROOT
from bench.experiment.trial.child import Child, ChildError
from bench.experiment.trial.kinship import descendants

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping
    from pathlib import Path

CONNECT_TIMEOUT_S = 60.0
END_TIMEOUT_S = 30.0


class BlockGenerator:
    """Loads blocks, bound to `cpus`; what it has to say goes to `log`. Use as a context manager."""

    def __init__(self, *, log: Path, cpus: Collection[int]) -> None:
        self._log, self._cpus = log, cpus
        self._child: Child | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.stop()

    def connect(self, asked: Mapping[str, Any]) -> int:
        """Ask for a load; return the process that makes it, once its connections stand. Raise ChildError."""
        child = self._started()
        child.write_line(json.dumps(asked))
        if (line := child.read_line(time.monotonic() + CONNECT_TIMEOUT_S)) is None or not line.startswith("CONNECTED"):
            raise self._failure("did not connect")
        return next((process.pid for process in descendants(child.pid)), child.pid)

    def go(self, start_ns: int) -> None:
        """Give the word to start at a time of CLOCK_MONOTONIC."""
        assert self._child is not None
        self._child.write_line(f"GO {start_ns}")

    def loaded(self, timeout_s: float) -> None:
        """Return when the last slice is over; the connections still stand. Raise ChildError if it lasts longer."""
        assert self._child is not None
        if self._child.read_line(time.monotonic() + timeout_s) != "LOADED":
            raise self._failure("did not load the block")

    def hang_up(self) -> None:
        """Have the connections ended in order, and return when they are. Raise ChildError if that fails."""
        assert self._child is not None
        self._child.write_line("END")
        if self._child.read_line(time.monotonic() + END_TIMEOUT_S) != "CLOSED":
            raise self._failure("did not end its connections")

    def result(self, deadline_s: float | None = None) -> dict[str, Any]:
        """Return what the load gave, once that is summed up. Raise ChildError if it gives nothing by the deadline."""
        assert self._child is not None
        line = self._child.read_line(time.monotonic() + END_TIMEOUT_S if deadline_s is None else deadline_s)
        if line is None or not line.startswith("{"):
            raise self._failure("gave no result")
        if self._child.read_line(time.monotonic() + END_TIMEOUT_S) is None:
            raise self._failure("did not end")
        given: dict[str, Any] = json.loads(line)
        return given

    def interrupt(self) -> None:
        """Ask the block under way to end after its slice; its result comes all the same."""
        assert self._child is not None
        for process in descendants(self._child.pid):
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGINT)

    def stop(self) -> None:
        """End the process, if there is one."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def _started(self) -> Child:
        if self._child is not None and self._child.returncode is not None:
            self.stop()  # somebody has ended it since the last block
        if self._child is None:
            self._child = Child(
                [sys.executable, "-P", "-m", "clients.blocks"],
                log=self._log,
                env={**os.environ, "PYTHONPATH": str(ROOT), "OPENBLAS_NUM_THREADS": "1"},
                cpus=self._cpus,
                stdin=True,
            )
        return self._child

    def _failure(self, what: str) -> ChildError:
        assert self._child is not None
        tail = self._child.log_tail()
        self.stop()
        return ChildError(f"the load generator {what}; {tail}")
