"""How our files are written, whole or not at all, and where files live that outlast a run. Imports nothing of ours."""

from __future__ import annotations

import contextlib
import os
import stat
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterator

T = TypeVar("T")


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a path beside `path` to write to. At the end, what was written there takes the place of `path`.

    A reader sees the old file or the whole new one, also after a crash, because the new one is on the disk before it
    takes its place. If the block raises, `path` is as it was. Of several processes that write, the last one's file
    stays. Raises OSError if the folder cannot be written.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
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


def why_unwritable(path: Path) -> str:
    """Say why a file cannot be written, by opening it to add to it; empty if it can be. Nothing in it changes.

    A pipe or a device is not opened, because its reader would see the end of it.
    """
    if not path.absolute().parent.is_dir():
        return f"there is no folder {path.parent}"
    try:
        if path.exists() and not stat.S_ISREG(path.stat().st_mode):
            return "it is a folder" if path.is_dir() else "" if os.access(path, os.W_OK) else "permission denied"
        is_new = not path.exists()
        with path.open("ab"):
            pass
        if is_new:
            path.unlink()
    except OSError as error:
        return error.strerror or str(error)
    return ""


def cache_folder() -> Path:
    """Return the folder for what is kept between runs on this machine: `$XDG_CACHE_HOME/echobench`, or `~/.cache/…`.

    If that cannot be written, as in a container whose user has no home, it is a folder of this user where temporary
    files are. Then stderr says so once, and what this process starts has that folder too.
    """
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "echobench"
        nearest = next(path for path in (folder, *folder.parents) if path.exists())
        if nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK):
            return folder
        why = f"{folder} cannot be written"
    except RuntimeError:
        why = "this user has no home folder"
    os.environ["XDG_CACHE_HOME"] = str(_temporary_cache())
    folder = Path(os.environ["XDG_CACHE_HOME"]) / "echobench"
    print(f"echobench: {why}, so {folder} is used; set XDG_CACHE_HOME to keep it elsewhere", file=sys.stderr)
    return folder


def _temporary_cache() -> Path:
    """Return a folder that nobody but this user can write to: the same as the last time, if it is this user's."""
    folder = Path(tempfile.gettempdir()) / f"echobench-cache-{os.geteuid()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    is_ours = not folder.is_symlink() and folder.stat().st_uid == os.geteuid() and not folder.stat().st_mode & 0o022
    return folder if is_ours else Path(tempfile.mkdtemp(prefix="echobench-cache-"))
