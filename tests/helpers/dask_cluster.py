"""A cluster as people start one: `dask scheduler` and `dask worker`, each a process of its own on this machine."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

from helpers.generator import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Iterator

QUIET = {"PYTHONWARNINGS": "default"}
"""Dask's own warnings are not ours to end with."""


@contextlib.contextmanager
def dask(role: str, *arguments: str, says: str, **variables: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run `dask scheduler` or `dask worker`; yield its process, and the line that it says when it is ready."""
    command = [sys.executable, "-P", "-m", f"distributed.cli.dask_{role}", *arguments, "--no-dashboard"]
    env = {**os.environ, **ENVIRONMENT, **QUIET, **variables}
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            yield process, next(line for line in process.stderr if says in line)
        finally:
            process.terminate()
            process.communicate(timeout=30)


@contextlib.contextmanager
def scheduler(*arguments: str, **variables: str) -> Iterator[str]:
    """Run a scheduler on this machine; yield its address."""
    where = ("--host", "127.0.0.1", "--port", "0")
    with dask("scheduler", *where, *arguments, says="Scheduler at:", **variables) as (_, line):
        yield line.split()[-1]


@contextlib.contextmanager
def worker(address: str, **variables: str) -> Iterator[subprocess.Popen[str]]:
    """Run a worker of a scheduler on this machine; yield its process."""
    where = (address, "--host", "127.0.0.1", "--no-nanny")
    with dask("worker", *where, says="Registered to:", **variables) as (process, _):
        yield process
