"""stdout and stderr carry any text, whatever their encoding: what it lacks is written plainly. Prints nothing.

Every command is loaded after this file, so nothing is imported that takes time.
"""

from __future__ import annotations

import codecs
import io
import sys

from bench.files import UNDECODED

PLAINLY = "echobench-plainly"
"""The error handler that writes a character in others if the encoding of a stream lacks it."""

PLAINLY_OR_RAW = f"{PLAINLY}-or-raw"
"""The same for a stream that writes the bytes of a file's name as they are, as Python's do in the C locale."""

_ASCII = "echobench_ascii"
"""ASCII under a name that click does not know. Under its own, click takes it for a mistake and writes UTF-8 instead."""

_PLAIN = {
    "\N{PLUS-MINUS SIGN}": "+/-",
    "\N{MICRO SIGN}": "u",
    "\N{GREEK SMALL LETTER MU}": "u",
    "\N{GREATER-THAN OR EQUAL TO}": ">=",
    "\N{LESS-THAN OR EQUAL TO}": "<=",
    "\N{ALMOST EQUAL TO}": "~",
    "\N{MULTIPLICATION SIGN}": "x",
    "\N{DIVISION SIGN}": "/",
    "\N{REPLACEMENT CHARACTER}": "?",
    "\N{MIDDLE DOT}": "-",
    "\N{BULLET}": "*",
    "\N{HORIZONTAL ELLIPSIS}": "...",
    "\N{LEFTWARDS ARROW}": "<-",
    "\N{RIGHTWARDS ARROW}": "->",
    "\N{UPWARDS ARROW}": "^",
    "\N{DOWNWARDS ARROW}": "v",
    "\N{EN DASH}": "-",
    "\N{EM DASH}": "-",
    "\N{MINUS SIGN}": "-",
    "\N{LEFT SINGLE QUOTATION MARK}": "'",
    "\N{RIGHT SINGLE QUOTATION MARK}": "'",
    "\N{LEFT DOUBLE QUOTATION MARK}": '"',
    "\N{RIGHT DOUBLE QUOTATION MARK}": '"',
    "\N{NO-BREAK SPACE}": " ",
    **dict(zip("▁▂▃▄▅▆▇", "_.-=+*%", strict=True)),
    "\N{BOX DRAWINGS LIGHT HORIZONTAL}": "-",
    "\N{BOX DRAWINGS HEAVY HORIZONTAL}": "-",
    "\N{BOX DRAWINGS LIGHT VERTICAL}": "|",
    "\N{BOX DRAWINGS HEAVY VERTICAL}": "|",
}
_BOX_DRAWINGS, _BLOCKS, _BRAILLE = range(0x2500, 0x2580), range(0x2580, 0x25A0), range(0x2800, 0x2900)
_BYTES = range(0xDC80, 0xDD00)
"""The characters by which Python has the bytes of a file's name that are no text: `surrogateescape`."""


def carry_any_text() -> None:
    """Let stdout and stderr take any text from now on: none fails a command that has done its work."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and not _carries_all(stream):
            is_ascii = codecs.lookup(stream.encoding).name == "ascii"
            handler = PLAINLY_OR_RAW if stream.errors == UNDECODED else PLAINLY
            stream.reconfigure(encoding=_ASCII if is_ascii else None, errors=handler)


def as_written(text: str) -> str:
    """Return a text as standard output will have it: what its encoding lacks is plain, and may be longer."""
    encoding, errors = sys.stdout.encoding or "utf-8", sys.stdout.errors or "strict"
    return text.encode(encoding, errors).decode(encoding, UNDECODED)


def _carries_all(stream: io.TextIOWrapper) -> bool:
    """Whether no text fails: UTF-8 lacks only what stands for the bytes of a file's name that are no text."""
    return codecs.lookup(stream.encoding).name == "utf-8" and stream.errors != "strict"


def _written_plainly(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return b"".join(map(_plain, error.object[error.start : error.end])), error.end


def _written_plainly_or_raw(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return b"".join(map(_raw, error.object[error.start : error.end])), error.end


def _raw(character: str) -> bytes:
    """Return the byte that a character stands for in a name that was no text; any other character plainly."""
    return bytes([ord(character) - 0xDC00]) if ord(character) in _BYTES else _plain(character)


def _plain(character: str) -> bytes:
    if character in _PLAIN:
        return _PLAIN[character].encode()
    number = ord(character)
    if number in _BOX_DRAWINGS:
        return b"+"
    return b"#" if number in _BLOCKS or number in _BRAILLE else character.encode("ascii", "backslashreplace")


def _ascii_by_another_name(name: str) -> codecs.CodecInfo | None:
    if name != _ASCII:
        return None
    found = codecs.lookup("ascii")
    return codecs.CodecInfo(
        name=_ASCII,
        encode=found.encode,
        decode=found.decode,
        incrementalencoder=found.incrementalencoder,
        incrementaldecoder=found.incrementaldecoder,
        streamreader=found.streamreader,
        streamwriter=found.streamwriter,
    )


codecs.register_error(PLAINLY, _written_plainly)
codecs.register_error(PLAINLY_OR_RAW, _written_plainly_or_raw)
codecs.register(_ascii_by_another_name)
