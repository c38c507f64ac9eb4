"""Files that a command line names: a run is read, and what is torn in it is told; others are written.

Those are refused before anything is measured, and written after the result is out.
"""

from __future__ import annotations

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


def refuse_unwritable(*paths: Path | None) -> None:
    """Raise UsageError for a file, if one was asked for, that cannot be written."""
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
        with path.open(mode, encoding="utf-8", errors=UNDECODED) as file:
            file.write(text)
    except OSError as error:
        click.echo(f"echobench: cannot write {path}: {error.strerror or error}", err=True)
