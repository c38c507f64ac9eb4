"""What the servers of a file are called: the one rule that both the launch and the listing go by.

A launch waits for this module, so it reads names of files, and neither opens nor imports one.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from servers._loops import LOOPS, EventLoop

FOLDER = __file__.rpartition(os.sep)[0]
_ON_ASYNCIO = "asyncio-"


class Claim(NamedTuple):
    """A name that a file claims. `loop` is the event loop that stands in for asyncio's own under this name."""

    name: str
    path: str
    loop: EventLoop | None = None


def claims(path: str) -> list[Claim]:
    """Return what a file claims: a name of its own, and if that begins with asyncio, one more for every event loop.

    The names on the loops count only if the file's `serve` takes a loop, which the path cannot tell.
    """
    name = path.rpartition(os.sep)[2].removesuffix(".py").rstrip("_").replace("_", "-")
    own = Claim(name, path)
    if not name.startswith(_ON_ASYNCIO):
        return [own]
    return [own, *(Claim(f"{loop.name}-{name.removeprefix(_ON_ASYNCIO)}", path, loop) for loop in LOOPS)]


def files() -> list[str]:
    """Return the paths of the server files in this folder, sorted."""
    with os.scandir(FOLDER) as found:
        return sorted(file.path for file in found if file.name.endswith(".py") and not file.name.startswith("_"))


def is_file(text: str) -> bool:
    """Say whether what a user calls a server is a file, and not a name."""
    return text.endswith(".py") or os.sep in text
