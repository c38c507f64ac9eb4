"""Files that an option names. They are refused before anything is measured, and written afterwards."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bench.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def refuse_unwritable(*paths: Path | None) -> None:
    """Raise UsageError for a file, if one was asked for, whose folder does not exist."""
    for path in paths:
        if path is not None and not path.absolute().parent.is_dir():
            raise UsageError(f"cannot write {path}: there is no folder {path.parent}")


def write_file(path: Path | None, text: str) -> None:
    """Write a file anew, if one was asked for. Raise UsageError if that cannot be."""
    _write(path, "w", text)


def add_to_file(path: Path | None, text: str) -> None:
    """Add to a file, if one was asked for. Raise UsageError if that cannot be."""
    _write(path, "a", text)


def _write(path: Path | None, mode: Literal["w", "a"], text: str) -> None:
    if path is None:
        return
    try:
        with path.open(mode, encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}") from error
