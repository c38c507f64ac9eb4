"""Files that a command line names: a run is read, and what is torn in it is told; others are written.

Those are refused before anything is measured, and written afterwards.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from bench.errors import UsageError, unwritable
from bench.files import UNDECODED

if TYPE_CHECKING:
    from pathlib import Path

    from bench.analysis.runs.run_folder import Run


def read_run(path: Path) -> Run:
    """Read a run, and say on stderr what is torn or missing in its folder. Raise what `run_folder.load` raises."""
    from bench.analysis.runs import run_folder  # noqa: PLC0415 - pandas only once it is needed

    run = run_folder.load(path)
    for line in run.damage:
        click.echo(f"{path}: {line}", err=True)
    return run


def refuse_unwritable(*paths: Path | None) -> None:
    """Raise UsageError for a file, if one was asked for, whose folder does not exist."""
    for path in paths:
        if path is not None and not path.absolute().parent.is_dir():
            raise UsageError(f"cannot write {path}: there is no folder {path.parent}")


def write_file(path: Path | None, text: str) -> None:
    """Write a file anew, if one was asked for. Raise UsageError, or MeasurementError if there is no room."""
    _write(path, "w", text)


def add_to_file(path: Path | None, text: str) -> None:
    """Add to a file, if one was asked for. Raise UsageError, or MeasurementError if there is no room."""
    _write(path, "a", text)


def _write(path: Path | None, mode: Literal["w", "a"], text: str) -> None:
    if path is None:
        return
    try:
        with path.open(mode, encoding="utf-8", errors=UNDECODED) as file:
            file.write(text)
    except OSError as error:
        raise unwritable(path, error, "choose another file") from error
