"""Which files of a folder are opened, by whoever opens them: told by the kernel (inotify), at once. Reads only.

Access times would tell less: a file system may be mounted without them, and they do not move at each read. Where there
is no inotify, or it has no watches left, this says that it has not seen everything, and never guesses.
"""

from __future__ import annotations

import ctypes
import os
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_OPEN, _OVERFLOW, _ONLYDIR, _ISDIR = 0x20, 0x4000, 0x1000000, 0x40000000  # IN_OPEN, … of inotify(7)
_EVENT = struct.Struct("iIII")
_READ_BYTES = 1 << 20


class Opened:
    """The files in some folders, and below them, that are opened while this is a context.

    After `seen`, `is_whole` says whether none can have been missed. What git keeps in `.git` is left out.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._roots = [Path(os.path.realpath(folder)) for folder in folders]
        self._watched: dict[int, Path] = {}
        self._found: set[Path] = set()
        self.is_whole = False

    def __enter__(self) -> Self:
        libc = ctypes.CDLL(None, use_errno=True)
        self._fd = libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC) if sys.platform == "linux" else -1
        self.is_whole = self._fd >= 0 and all(self._watch(libc, root) for root in self._roots)
        return self

    def __exit__(self, *_exception: object) -> None:
        if self._fd >= 0:
            os.close(self._fd)

    def _watch(self, libc: ctypes.CDLL, root: Path) -> bool:
        """Watch a folder and all below, and say whether that could be done and the kernel tells of an opening."""
        for folder in _folders(root):
            watch = libc.inotify_add_watch(self._fd, os.fsencode(folder), _OPEN | _ONLYDIR)
            if watch < 0:
                return False
            self._watched[watch] = folder
        self._read()
        try:
            os.close(os.open(root, os.O_RDONLY))
        except OSError:  # it is not there, or not ours to look at
            return False
        return self._read() > 0

    def seen(self) -> set[Path]:
        """Return the files that have been opened so far, by their real paths."""
        if self._fd >= 0:
            self._read()
        return self._found

    def _read(self) -> int:
        """Take note of what the kernel has told meanwhile, and return how many events that were."""
        events = 0
        with suppress(BlockingIOError):
            while data := os.read(self._fd, _READ_BYTES):
                at = 0
                while at < len(data):
                    watch, mask, _, size = _EVENT.unpack_from(data, at)
                    name = data[at + _EVENT.size : at + _EVENT.size + size].rstrip(b"\0")
                    self._note(watch, mask, os.fsdecode(name))
                    at, events = at + _EVENT.size + size, events + 1
        return events

    def _note(self, watch: int, mask: int, name: str) -> None:
        if mask & _OVERFLOW:
            self.is_whole = False
        elif mask & _OPEN and not mask & _ISDIR and watch in self._watched:
            self._found.add(self._watched[watch] / name)


def _folders(root: Path) -> Iterator[Path]:
    for folder, folders, _ in os.walk(root):
        folders[:] = [name for name in folders if name != ".git"]
        yield Path(folder)
