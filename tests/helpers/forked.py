"""Runs of the load generator forked from a process that has loaded it: what it measures is tested, not how it starts.

`helpers.generator` starts `python -m clients` itself, which takes most of the time of a short load. The two functions
have the names and the answers of its own. What a program that the load starts writes to standard error, as the
generator in C does of a server that it cannot measure, is not in an answer. Nothing else may be added here.
"""

from __future__ import annotations

import io
import multiprocessing
import os
import sys
import warnings
from contextlib import redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING

import pytest
from helpers.generator import ENVIRONMENT, Run, checked
from helpers.tracing import untraced

from clients.cli import main

if TYPE_CHECKING:
    from multiprocessing.connection import Connection

FORKS = multiprocessing.get_context("forkserver")
FORKS.set_forkserver_preload([__name__])


def clients(*arguments: object, timeout_s: float = 60) -> Run:
    """Run the generator's command line to its end, in a process that ends within `timeout_s`."""
    ours, theirs = FORKS.Pipe(duplex=False)
    process = FORKS.Process(target=_run, args=(theirs, [str(argument) for argument in arguments]))
    with untraced(), pytest.MonkeyPatch.context() as patch:  # for the process that the first one starts: it forks all
        patch.setenv("PYTHONPATH", os.pathsep.join(sys.path))
        process.start()
    theirs.close()
    with ours:
        try:
            assert ours.poll(timeout_s), f"the load did not end within {timeout_s} s"
            return Run(*ours.recv())
        finally:
            process.kill()
            process.join()


def load(address: str, *arguments: object) -> Run:
    """Put load on an address, as `helpers.generator.load` does."""
    return checked(clients(address, "--json", "--warmup", "0s", *arguments))


def _run(theirs: Connection, arguments: list[str]) -> None:
    os.environ.update(ENVIRONMENT)
    warnings.simplefilter("error")
    with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
        try:
            status = main(arguments)
        except SystemExit as stop:  # argparse's word for wrong use
            status = int(stop.code or 0)
    theirs.send((status, out.getvalue(), err.getvalue()))
