"""Files that an option names. They are refused before anything is measured, and written after the result is out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from bench.errors import UsageError
from bench.files import why_unwritable

if TYPE_CHECKING:
    from pathlib import Path


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
        with path.open(mode, encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
    except OSError as error:
        click.echo(f"echobench: cannot write {path}: {error.strerror or error}", err=True)
