"""The reference generator in C: built if need be, run, and its result taken over.

It is two programs. One makes the load of one server, `python -m clients --reference`; the other that of a block, and
`reference_block.py` speaks for it. Each is compiled once per source, compiler and user, into the cache folder;
`python -m clients.reference` only builds them. No logic of the load belongs here.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from clients.clock import now_ns
from clients.faults import Failure
from clients.histogram import Compact, Histogram
from clients.result import Interval, Result, side_by_side
from clients.workload import PLAIN, WorkloadError

if TYPE_CHECKING:
    from collections.abc import Callable

    from clients.hlog import IntervalLog
    from clients.load import Announce
    from clients.target import Target
    from clients.workload import Workload

SOURCE = Path(__file__).with_name("reference.c")
BLOCK_SOURCE = Path(__file__).with_name("reference_block.c")
_HEADERS = sorted(SOURCE.parent.glob("reference*.h"))
_FLAGS = ("-O2", "-std=gnu11")

LIMITS = f"the reference generator makes {PLAIN}, over plain TCP"


class CompilerError(WorkloadError):
    """There is no compiler, or it failed; the message says what to do."""


class LoadError(Exception):
    """The program failed, or the server did: a reference has no classes of failures."""


def binary(source: Path = SOURCE) -> Path:
    """Return a program of the generator compiled, built on first use. Raise CompilerError."""
    compiler = shutil.which(os.environ.get("CC", "cc"))
    if compiler is None:
        raise CompilerError("there is no C compiler: install one (apt-get install gcc), or name it in CC")
    texts = [path.read_bytes() for path in (source, *_HEADERS)]
    key = hashlib.sha256(b"\0".join([*texts, compiler.encode(), *map(str.encode, _FLAGS)])).hexdigest()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "echobench"
    built = cache / f"{source.stem.replace('_', '-')}-generator-{key[:16]}"
    if not built.exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            fresh = Path(scratch) / "reference"
            done = subprocess.run(
                [compiler, *_FLAGS, "-o", str(fresh), str(source)],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
            if done.returncode:
                raise CompilerError(f"{compiler} cannot build {source}:\n{done.stderr.strip()}")
            fresh.rename(built)  # atomic: two runs at once end with one whole file
    return built


class Program:
    """One run of a program of the generator.

    `interrupted` says whether it was asked to end early. `established` are its connections that stand, as it counts
    them, and `portless` those that this machine had no local port for. `start_ns` is when it was told to begin. These
    three are set by `run`.
    """

    def __init__(self, *command: object) -> None:
        self._command = [*map(str, command)]
        self._child: subprocess.Popen[bytes] | None = None
        self.interrupted = False
        self.established: list[int] = []
        self.portless: list[int] = []
        self.start_ns = 0

    def interrupt(self) -> None:
        """Have it end early; may be called by a signal handler."""
        self.interrupted = True
        if self._child is not None:
            self._child.send_signal(signal.SIGINT)

    def run(
        self, announce: Announce, requested: int, *, told: str = "", loaded: Callable[[], None] = lambda: None
    ) -> bytes | None:
        """Return what the program gives in the end, None if it never went; it is told the text `told` first.

        `announce` is asked for the start. `loaded` is called when the load is over, before the program is let end.
        Raise LoadError if it fails.
        """
        with subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as self._child:
            assert self._child.stdin is not None
            assert self._child.stdout is not None
            self._child.stdin.write(told.encode())
            self._child.stdin.flush()
            word, *counts = self._child.stdout.readline().split() or [b""]
            start_ns: int | None = None
            if word == b"CONNECTED":
                pairs = [count.partition(b":") for count in counts]
                self.established = [int(standing) for standing, _, _ in pairs]
                self.portless = [int(portless or 0) for _, _, portless in pairs]
                start_ns = None if self.interrupted else announce(sum(self.established), requested)
                if start_ns is None:
                    self.interrupted = True
                    self._child.stdin.close()
                    return None
                self.start_ns = start_ns
                self._child.stdin.write(f"GO {start_ns}\n".encode())
                self._child.stdin.flush()
            given = self._child.stdout.read()
            if given:
                loaded()
        if not given and self.interrupted and not self.start_ns:
            return None
        if not given or self._child.returncode:
            raise LoadError("the reference generator gave no result; its own words are above")
        return given


class ReferenceLoad:
    """The load of a workload made by the C program; `run` may be called once.

    What it has no part in, failures other than wrong echoes and the times to connect, the result does not have.
    """

    def __init__(self, target: Target, workload: Workload, *, log: IntervalLog | None = None) -> None:
        """Take a plain TCP target and a plain workload. Raise CompilerError if the program cannot be built."""
        self._workload, self._log = workload, log
        size = (workload.connections, workload.message_bytes)
        load = (*size, workload.warmup_s, workload.duration_s, workload.rate_per_s or 0)
        self._program = Program(binary(), target.host, target.address[1], *load)
        self._result = Result(workload=workload)

    def interrupt(self) -> None:
        """End the window now; may be called by a signal handler."""
        self._program.interrupt()

    def run(self, announce: Announce) -> Result:
        """Connect, ask `announce` for the start, load, and return the result. Raise LoadError if the program fails."""
        given = self._program.run(announce, self._workload.connections)
        self._result.connections_established = sum(self._program.established)
        self._result.interrupted = self._program.interrupted
        if given is not None:
            self._take(json.loads(given), self._program.start_ns)
        return self._result

    def _take(self, given: dict[str, Any], start_ns: int) -> None:
        result = self._result
        result.window_start_ns, result.window_end_ns = given["window_start_ns"], given["window_end_ns"]
        result.cpu_s, result.spin_s = given["cpu_s"], given["spin_s"]
        for begin_ns, end_ns, mismatches, distribution in given["intervals"]:
            response = _compact(distribution)
            at_ns = begin_ns - result.window_start_ns
            result.timeline.append(Interval(at_ns, end_ns - begin_ns, mismatches, response))
            result.histograms["response"].merge(Histogram.expand(response))
            result.failures[Failure.MISMATCH] += mismatches
        for kind in ("service", "lateness"):
            result.histograms[kind] = Histogram.expand(_compact(given[kind]))
        result.failed = result.failures[Failure.MISMATCH]
        result.in_flight = given["in_flight"]
        result.sent = result.replies + result.failed + result.in_flight
        result.due = self._due(start_ns)
        if self._log is not None and result.replies:
            since_epoch_s = time.time() - (now_ns() - result.window_start_ns) / 1e9
            self._log.write(since_epoch_s, result.window_s, side_by_side(self._workload, result.histograms))

    def _due(self, start_ns: int) -> int:
        """Return how many requests fell due in the window: in a closed loop those that were answered."""
        rate_per_s = self._workload.rate_per_s
        if rate_per_s is None:
            return self._result.replies + self._result.failed
        edges_ns = (self._result.window_start_ns, self._result.window_end_ns)
        first, last = (math.ceil(max(0, edge_ns - start_ns) * rate_per_s / 1e9) for edge_ns in edges_ns)
        return last - first


def _compact(distribution: list[Any]) -> Compact:
    total_ns, least_ns, most_ns, buckets, counts = distribution
    extremes = (least_ns, most_ns) if counts else (None, None)
    return Compact(np.array(buckets, dtype=np.int64), np.array(counts, dtype=np.int64), total_ns, *extremes)


def main() -> None:
    """Build the programs, or say why they cannot be built."""
    try:
        for source in (SOURCE, BLOCK_SOURCE):
            binary(source)
    except CompilerError as error:
        sys.exit(f"clients.reference: {error}")


if __name__ == "__main__":
    main()
