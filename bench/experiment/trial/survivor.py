"""The process that outlives the bench, to end what that has left: `python -I -S survivor.py MARK FD`.

It waits for the end of the pipe FD, which comes when the bench has ended in whatever way, SIGKILL included. The bench
writes into it what is to be removed, and `bye` when it has put everything away itself. Every process that the bench has
started carries MARK in its environment, and so do those that these started, in whatever group or session.

It is started without site-packages, so that it costs next to nothing. Only the standard library may be imported here.
"""

from __future__ import annotations

import os
import shutil
import signal
import sys
import time
from contextlib import suppress

TYPE_CHECKING = False  # as type checkers read it; the module typing takes longer to load than all the rest
if TYPE_CHECKING:
    from collections.abc import Callable

BYE = "bye"
FOLDER, WORKTREES = "folder", "worktrees"
"""What may be told, with a path: a folder to remove; the folder of git's records of worktrees, to be cleared of it."""
AGAIN_S = 0.005
"""So soon after a kill it is asked whether that has done it."""
ROUND_S = 0.05
QUIET_ROUNDS = 4
"""A process that was being started when the bench ended can be recognised a moment later."""
ROUNDS_MAX = 100


def marked(mark: bytes) -> list[int]:
    """Return the processes whose environment has a variable that begins with `mark`, as far as we may read it."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and _has_mark(name, mark)]  # noqa: PTH208 - hot


def _has_mark(pid: str, mark: bytes) -> bool:
    try:
        with open(f"/proc/{pid}/environ", "rb", buffering=0) as file:  # noqa: PTH123 - hot
            environment = b"\0" + file.readall()
    except OSError:  # it has ended, or is another user's
        return False
    return b"\0" + mark in environment


def end_all(mark: bytes, then: Callable[[], None] = lambda: None) -> None:
    """Kill all that carry the mark, until none is seen any more. `then` is called once none has been seen a first time.

    It is called again if one was seen later. So its work takes the place of waiting.
    """
    quiet = 0
    for _ in range(ROUNDS_MAX):
        found = [pid for pid in marked(mark) if pid != os.getpid()]
        for pid in found:
            with suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        quiet = 0 if found else quiet + 1
        if quiet == QUIET_ROUNDS:
            return
        round_ends_s = time.monotonic() + (ROUND_S if quiet else AGAIN_S)
        if quiet == 1:
            then()
        time.sleep(max(0.0, round_ends_s - time.monotonic()))
    then()


def clear(told: list[str]) -> None:
    """Remove the folders that were told, and what git has recorded of worktrees in them."""
    said = [line.partition(" ")[::2] for line in told]
    folders = [path for word, path in said if word == FOLDER]
    for records in [path for word, path in said if word == WORKTREES]:
        for record in _subfolders(records):
            with suppress(OSError), open(os.path.join(record, "gitdir")) as file:  # noqa: PTH118, PTH123 - see above
                place = file.read()
                if any(place.startswith(path + os.sep) for path in folders):
                    shutil.rmtree(record, ignore_errors=True)
        with suppress(OSError):  # there are other records, or none at all
            os.rmdir(records)  # noqa: PTH106 - see above
    for path in folders:  # last: a large one takes a while
        shutil.rmtree(path, ignore_errors=True)


def _subfolders(path: str) -> list[str]:
    try:
        return [entry.path for entry in os.scandir(path) if entry.is_dir()]
    except OSError:
        return []


def main(mark: str, fd: int) -> None:
    """Wait for the end of the bench, and put away what it left."""
    if os.fork():
        os._exit(0)  # so that it is no child of the bench, which ends with its children
    os.chdir("/")
    with open(fd, encoding="utf-8", errors="surrogateescape") as pipe:
        told = pipe.read().splitlines()
    if told[-1:] != [BYE]:
        end_all(mark.encode(), lambda: clear(told))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
