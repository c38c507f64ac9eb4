"""Folders for as long as a command runs. Each has an owner, and what a dead owner left is cleared by the next command.

The owner holds a lock on a file in the folder, which no end of it can leave locked. What a folder is for belongs to its
users, and the processes that were started in it to `bench/experiment/trial/lifeline.py`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import BenchError, MeasurementError, unwritable
from bench.interrupts import put_off
from bench.text import TEMPORARY

if TYPE_CHECKING:
    from collections.abc import Iterator

_OWNER = "owner"


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Yield a fresh folder, and remove it at the end. First remove those that commands left which were killed.

    Raises UsageError if no folder can be made, MeasurementError if there is no room for one, or if it was taken away.
    """
    try:
        for left in Path(tempfile.gettempdir()).glob(f"{TEMPORARY}*"):
            cleared(left)
        folder = Path(tempfile.mkdtemp(prefix=TEMPORARY))
    except OSError as error:
        where = "a temporary folder (all of /tmp, /var/tmp and the like were tried)"
        raise unwritable(where, error, "name one that can be written to in TMPDIR") from error
    try:
        with _owned(folder):
            yield folder
    except (OSError, BenchError) as error:
        if folder.exists():
            raise
        raise MeasurementError(
            f"{folder} was removed while it was in use: set TMPDIR to a folder that nothing else clears"
        ) from error
    finally:
        with put_off():
            shutil.rmtree(folder, ignore_errors=True)


def cleared(folder: Path) -> bool:
    """Remove a folder that nobody alive owns. Say whether it is gone now.

    A folder of another user, or one that never had an owner, is let be.
    """
    if not os.path.lexists(folder):
        return True
    try:
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            return False
        with (folder / _OWNER).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:  # it is owned, or has no owner's file, or its file system has no locks
        return False
    return True


@contextlib.contextmanager
def _owned(folder: Path) -> Iterator[None]:
    """Hold the lock. The file gets its name when it is locked, so that nobody finds it unlocked before."""
    with (folder / f"{_OWNER}.new").open("wb") as file:
        with contextlib.suppress(OSError):  # a file system without locks: nobody will clear this folder
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            Path(file.name).rename(folder / _OWNER)
        yield
