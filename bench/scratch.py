"""Folders for as long as a command runs. Each has an owner, and what a dead owner left is cleared by the next command.

The owner holds a lock on a file in the folder, which no end of it can leave locked. Processes that it starts meanwhile
carry `MARK` in their environment, daemons included, so they can be found. What a folder is for belongs to its users.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "echobench-"
MARK = "ECHOBENCH_FOLDER"
"""The variable of a process that names the folder to which it belongs: the outermost one, where they are nested."""
GRACE_S = 3.0
POLL_S = 0.01
_OWNER = "owner"


@contextlib.contextmanager
def scratch() -> Iterator[Path]:
    """Yield a fresh folder. At the end remove it, and end what was started meanwhile and is still alive.

    First do the same for the folders of commands that were killed.

    Raises OSError if no folder can be made.
    """
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        cleared(left)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    try:
        with _owned(folder), _marking(folder):
            yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def cleared(folder: Path) -> bool:
    """Remove a folder that nobody alive owns, and end its processes. Say whether it is gone now.

    A folder of another user, or one that never had an owner, is let be.
    """
    if not os.path.lexists(folder):
        return True
    try:
        if folder.is_symlink() or folder.stat().st_uid != os.geteuid():
            return False
        with (folder / _OWNER).open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            end_processes(folder)
            shutil.rmtree(folder, ignore_errors=True)
    except OSError:  # it is owned, or has no owner's file, or its file system has no locks
        return False
    return True


def end_processes(folder: Path) -> None:
    """End all processes that are marked with the folder: by SIGTERM, and by SIGKILL those that outlive the grace."""
    while left := _marked(folder):  # again, because one may have started another meanwhile
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.terminate()
        deadline_s = time.monotonic() + GRACE_S
        while any(map(_is_alive, left)) and time.monotonic() < deadline_s:
            time.sleep(POLL_S)
        for process in left:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()


def _marked(folder: Path) -> list[psutil.Process]:
    marked = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error, OSError):
            if process.pid != os.getpid() and process.environ().get(MARK) == str(folder) and _is_alive(process):
                marked.append(process)
    return marked


def _is_alive(process: psutil.Process) -> bool:
    """Whether it runs. A zombie does not: it waits for a parent that may never ask."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@contextlib.contextmanager
def _owned(folder: Path) -> Iterator[None]:
    """Hold the lock. The file gets its name when it is locked, so that nobody finds it unlocked before."""
    with (folder / f"{_OWNER}.new").open("wb") as file:
        with contextlib.suppress(OSError):  # a file system without locks: nobody will clear this folder
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            Path(file.name).rename(folder / _OWNER)
        yield


@contextlib.contextmanager
def _marking(folder: Path) -> Iterator[None]:
    """Have what is started meanwhile belong to the folder, and end it; unless it belongs to an outer one already."""
    if MARK in os.environ:
        yield
        return
    os.environ[MARK] = str(folder)
    try:
        yield
    finally:
        end_processes(folder)
        del os.environ[MARK]
