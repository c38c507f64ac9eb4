"""Runs of `python -m clients`, and servers in processes of their own to load. What they should say, tests say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from helpers.checkout import CHECKOUT, KNOWN_BAD
from helpers.tracing import untraced

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

ENVIRONMENT = {"PYTHONPATH": str(CHECKOUT), "PYTHONWARNINGS": "error"}


@dataclass(frozen=True)
class Served:
    """A server process and where it listens."""

    process: subprocess.Popen[str]
    address: str


@contextmanager
def serving(name: object, *arguments: str) -> Iterator[Served]:
    """Run `python -m servers NAME`, ready when the block begins, and killed with it, so that tracing it has no use."""
    command = [sys.executable, "-P", "-m", "servers", str(name), *arguments]
    with untraced():
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **ENVIRONMENT})
    with process:
        try:
            word, host, port = process.stdout.readline().split()
            assert word == "READY"
            yield Served(process, f"{host}:{port}")
        finally:
            process.kill()


def known_bad(name: str) -> AbstractContextManager[Served]:
    """Run the known-bad server of a name, as `serving` does."""
    return serving(KNOWN_BAD / f"{name}.py")


@dataclass(frozen=True)
class Run:
    """How `python -m clients` ended, and what it printed."""

    status: int
    out: str
    err: str

    @property
    def result(self) -> dict[str, Any]:
        """The JSON object; the last line of standard output."""
        return json.loads(self.out.splitlines()[-1])

    def __getitem__(self, key: str) -> Any:
        return self.result[key]


def start_clients(*arguments: object, beside: Path | None = None, **options: Any) -> subprocess.Popen[str]:
    """Start `python -m clients` with pipes; the caller ends it. Modules in the folder `beside` come first.

    `env` adds to our environment.
    """
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    command = [sys.executable, "-P", "-m", "clients", *map(str, arguments)]
    env = {**os.environ, **ENVIRONMENT, **options.pop("env", {})}
    if beside is not None:
        env["PYTHONPATH"] = f"{beside}{os.pathsep}{CHECKOUT}"
    return subprocess.Popen(command, text=True, env=env, **{**pipes, **options})


def clients(*arguments: object, timeout_s: float = 60, **options: Any) -> Run:
    """Run `python -m clients` to its end, which comes within `timeout_s`."""
    with start_clients(*arguments, **options) as process:
        try:
            out, err = process.communicate(timeout=timeout_s)
        finally:
            process.kill()
    return Run(process.returncode, out, err)


def load(address: str, *arguments: object, **options: Any) -> Run:
    """Put load on an address without warm-up and return its result as JSON.

    What holds for every result is asserted for each, and that nothing was written to standard error.
    """
    return checked(clients(address, "--json", "--warmup", "0s", *arguments, **options))


def checked(run: Run) -> Run:
    """Return a run whose result keeps what every result must, and that wrote nothing to standard error."""
    assert run.out, run.err
    assert not run.err
    check_result(run.result)
    return run


def check_result(result: dict[str, Any]) -> None:
    """Assert what every result must keep."""
    assert result["sent"] == result["replies"] + result["failed"] + result["in_flight"]
    assert all(count > 0 for count in result["errors"].values())
    assert sum(interval["replies"] for interval in result["timeline"]) == result["replies"]
    errors = sum(interval["errors"] for interval in result["timeline"])
    assert errors <= sum(result["errors"].values())
    assert (result["replies_per_s"] or 0) * result["window_s"] == pytest.approx(result["replies"])
    assert (result["response_max_ns"] is None) == (result["replies"] == 0)


def wait_until(moment_ns: int) -> None:
    """Wait for a moment of the monotonic clock: for what must happen in mid-run."""
    threading.Event().wait(max(0, moment_ns - time.monotonic_ns()) / 1e9)
