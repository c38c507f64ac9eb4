"""Files that a command line names: a run is read, and what is torn in it is told; others are written.

Those are refused before anything is measured, and written after the result is out.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import click

from bench.errors import UsageError
from bench.files import UNDECODED, why_unwritable

if TYPE_CHECKING:
    from pathlib import Path

    from bench.analysis.runs.run_folder import Run


def read_run(path: Path, *, from_records: bool = False) -> Run:
    """Read a run, and say on stderr what is torn or missing in its folder. Raise what `run_folder.load` raises."""
    from bench.analysis.runs import run_folder  # noqa: PLC0415 - pandas only once it is needed

    run = run_folder.load(path, from_records=from_records)
    for line in run.damage:
        click.echo(f"{path}: {line}", err=True)
    return run


def refuse_same(*paths: Path | None) -> None:
    """Raise UsageError if one file was asked for twice: what is written later would take the place of the rest."""
    files = sorted(
        os.path.realpath(path) for path in paths if path is not None and (path.is_file() or not path.exists())
    )
    for one, other in pairwise(files):
        if one == other:
            raise UsageError(f"two results cannot be written to one file, {one}: name another for one of them")


def refuse_unwritable(*paths: Path | None) -> None:
    """Raise UsageError for a file, if one was asked for, that cannot be written, and for one asked for twice."""
    refuse_same(*paths)
    for path in paths:
        if path is not None and (why := why_unwritable(path)):
            raise UsageError(f"cannot write {path}: {why}")


def write_file(path: Path | None, text: str) -> None:
    """Write a file anew, if one was asked for. If that cannot be, say so on stderr: the result and its status stand."""
    _write(path, "w", text)


def add_to_file(path: Path | None, text: str) -> None:
    """Add to a file, if one was asked for. If that cannot be, say so on stderr: the result and its status stand."""
    _write(path, "a", text)


def _write(path: Path | None, mode: Literal["w", "a"], text: str) -> None:
    if path is None:
        return
    try:
        if _is_standard_output(path):  # to open it anew would overwrite what was printed
            click.echo(text, nl=False)
            return
        with open(path, mode, encoding="utf-8", errors=UNDECODED, opener=_without_waiting) as file:
            file.write(text)
    except OSError as error:
        why = "it is a pipe that nobody reads" if error.errno == errno.ENXIO else error.strerror or error
        click.echo(f"echobench: cannot write {path}: {why}", err=True)


def _is_standard_output(path: Path) -> bool:
    """Whether a path is the file that standard output goes to, by whatever name."""
    with contextlib.suppress(OSError, ValueError):  # it is not there, or standard output is none or a buffer
        return os.path.samestat(path.stat(), os.fstat(sys.stdout.fileno()))
    return False


def _without_waiting(path: str, flags: int) -> int:
    """Open a file. A pipe that nobody reads raises OSError (ENXIO) instead of waiting for a reader without end."""
    descriptor = os.open(path, flags | os.O_NONBLOCK, 0o666)
    os.set_blocking(descriptor, True)
    return descriptor
