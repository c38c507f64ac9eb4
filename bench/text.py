"""Text of others for people: what a server or a tool said is cut before it is shown, and its file is named.

All places that show such text cut it here. Imports nothing of ours.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LINE_CHARS = 200
"""So much of a line is shown: a terminal's width or two. A server that prints what it echoes writes kilobytes."""

TAIL_LINES = 12
TAIL_BYTES = 1 << 16
"""So much of the end of a log is read, so that its last lines are seen from their beginnings."""

TEMPORARY = "echobench-"
"""How our temporary folders begin. What lies in one is gone when its name is read."""

_CUT = re.compile(r"… \([\d,]+ characters? more(?: in .+)?\)$")


def cut(line: str, log: Path | None = None) -> str:
    """Return a line of others, no longer than can be read, with how much is missing; `log` has the rest.

    A line that was cut before stays as it is.
    """
    more = len(line) - LINE_CHARS
    if more <= 0 or _CUT.search(line):
        return line
    where = "" if log is None or log.parent.name.startswith(TEMPORARY) else f" in {log}"
    return f"{line[:LINE_CHARS]}… ({more:,} character{'s' * (more != 1)} more{where})"


def cut_lines(text: str) -> str:
    """Return a text of several lines, each cut."""
    return "\n".join(map(cut, text.splitlines()))


def quoted(said: bytes, log: Path | None = None) -> str:
    """Return the last lines of what a process said, each cut and marked as its words; nothing if it said nothing.

    `said` is the end of its `log`: TAIL_BYTES of it are enough. A log that will be gone when this is read is None.
    """
    lines = said[-TAIL_BYTES:].decode(errors="replace").strip().splitlines()[-TAIL_LINES:]
    return "\n".join(f"  | {cut(line, log)}" for line in lines)
