"""How our files are written, whole or not at all, and where files live that outlast a run. Imports nothing of ours."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to. At the end, what was written there takes the place of `path`.

    A reader sees the old file or the whole new one, also after a crash, because the new one is on the disk before it
    takes its place. If the block raises, `path` is as it was. Raises OSError if the folder cannot be written.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        yield part
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


UNDECODED = "surrogateescape"
"""How the bytes of names and arguments that are no text in this locale stand in a string, and get out of it again."""


def as_text(value: T) -> T | str:
    """Return a string that every file format takes, with what was no text replaced; any other value as it is."""
    return value.encode("utf-8", UNDECODED).decode("utf-8", "replace") if isinstance(value, str) else value


def write_atomically(path: Path, content: str | bytes) -> None:
    """Write a text (as UTF-8, with bytes that were no text as they were) or bytes to a file, whole or not at all.

    Raises OSError if that fails.
    """
    with replacing(path) as part:
        part.write_bytes(content.encode("utf-8", UNDECODED) if isinstance(content, str) else content)


def cache_folder() -> Path:
    """Return the folder for what is kept between runs on this machine: `$XDG_CACHE_HOME/echobench`, or `~/.cache/…`."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "echobench"
