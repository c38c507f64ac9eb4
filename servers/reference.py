"""An event loop in C over epoll, compiled on first use: it costs little more than the kernel's own work."""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from servers import RECV_SIZE

if TYPE_CHECKING:
    import socket

TEACHING = True
PROGRAM = "cc"
SOURCE = Path(__file__).with_name("reference.c")
FLAGS = ("-O2", "-std=gnu11")


def serve(listener: socket.socket) -> None:
    """Become the compiled server; it inherits the listener."""
    os.set_inheritable(listener.fileno(), True)
    os.execv(binary(), ["reference", str(listener.fileno()), str(RECV_SIZE)])  # noqa: S606 - becoming it is the point


def prepare() -> None:
    """Compile it while nobody waits for an answer."""
    binary()


def binary() -> str:
    """Return the compiled server, made once per source and compiler. Raise RuntimeError or OSError if that fails."""
    compiler = shutil.which(PROGRAM) or PROGRAM
    key = hashlib.sha256(SOURCE.read_bytes() + compiler.encode() + " ".join(FLAGS).encode()).hexdigest()[:16]
    cache = _cache()
    built = cache / f"reference-server-{key}"
    if not built.exists():
        with tempfile.TemporaryDirectory(dir=cache) as scratch:
            fresh = Path(scratch) / "reference"
            command = [compiler, *FLAGS, "-o", str(fresh), str(SOURCE)]
            done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
            if done.returncode:
                raise RuntimeError(f"{compiler} cannot build {SOURCE}:\n{done.stderr}")
            fresh.rename(built)  # atomic: of two that build at once, either leaves a whole file
    return str(built)


def _cache() -> Path:
    """Return the folder that the compiled server is kept in; one of this user's where temporary files are, if need be.

    A container often has a user without a home, or with one that cannot be written. Raises OSError if there is neither,
    or if the temporary folder is not this user's alone.
    """
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "echobench"
        folder.mkdir(parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder
        why = f"{folder} cannot be written"
    except (OSError, RuntimeError) as error:  # RuntimeError: this user has no home
        why = str(error)
    folder = Path(tempfile.gettempdir()) / f"echobench-cache-{os.geteuid()}" / "echobench"
    folder.parent.mkdir(mode=0o700, exist_ok=True)
    found = folder.parent.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise PermissionError(f"{why}, and {folder.parent} is not this user's alone: set XDG_CACHE_HOME")
    folder.mkdir(exist_ok=True)
    os.environ["XDG_CACHE_HOME"] = str(folder.parent)  # so that it is said once
    print(f"{why}, so {folder} is used; set XDG_CACHE_HOME to keep it elsewhere", file=sys.stderr)
    return folder
