"""Text of others for people: what a server or a tool said is cut before it is shown, and its file is named.

What would move a cursor, colour a terminal or name its window is taken out. All places that show such text cut it
here. Imports nothing of ours.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

LINE_CHARS = 200
"""So much of a line is shown: a terminal's width or two. A server that prints what it echoes writes kilobytes."""

SENTENCE_CHARS = 3 * LINE_CHARS
TAIL_LINES = 12
TAIL_BYTES = 1 << 16
"""So much of the end of a log is read, so that its last lines are seen from their beginnings."""

TEMPORARY = "echobench-"
"""How our temporary folders begin. What lies in one is gone when its name is read."""

_ESCAPE = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]|(?:\x1b\]|\x9d)[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)?|\x1b[ -/]*[0-~]"
)
"""The sequences of ECMA-48: one of control, such as a colour; a command of the terminal, such as a title; any other."""
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
"""Control characters, and those that turn the direction of a line."""
_CUT = re.compile(r"… \([\d,]+ characters? more(?: in .+)?\)$")


def cut(line: str, log: Path | None = None, *, chars: int = LINE_CHARS) -> str:
    """Return the first `chars` of a line of others, with how much is missing; `log` has the rest.

    A line that was cut before stays as it is.
    """
    line = _UNSEEN.sub("\N{REPLACEMENT CHARACTER}", _ESCAPE.sub("", line))
    more = len(line) - chars
    if more <= 0 or _CUT.search(line):
        return line
    where = "" if log is None or log.parent.name.startswith(TEMPORARY) else f" in {log}"
    return f"{line[:chars]}… ({more:,} character{'s' * (more != 1)} more{where})"


def cut_lines(text: str) -> str:
    """Return a text of several lines, each cut: a sentence of ours, which ends with a cure, later than a quotation."""
    return "\n".join(
        cut(line, chars=LINE_CHARS if line.startswith("  | ") else SENTENCE_CHARS) for line in text.splitlines()
    )


def quoted(said: bytes, log: Path | None = None) -> str:
    """Return the last lines of what a process said, each cut and marked as its words; nothing if it said nothing.

    `said` is the end of its `log`: TAIL_BYTES of it are enough. A log that will be gone when this is read is None.
    """
    lines = said[-TAIL_BYTES:].decode(errors="replace").strip().splitlines()[-TAIL_LINES:]
    return "\n".join(f"  | {cut(line, log)}" for line in lines)
