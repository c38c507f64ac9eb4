"""stdout and stderr never fail a command: what one of them cannot take goes on elsewhere. Prints nothing else.

A disk can be full when minutes of measuring are to be told. What stdout cannot take is written to stderr, and what
stderr cannot take is dropped. A pipe that nobody reads is another matter: BrokenPipeError is left to the caller.
Every command is loaded after this file, so nothing is imported that takes time.
"""

from __future__ import annotations

import io
import os
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from _typeshed import ReadableBuffer

STDOUT, STDERR = 1, 2


class _Spilling(io.FileIO):
    """A descriptor, which becomes another one when it cannot be written any more; `spill` makes it so."""

    def __init__(self, descriptor: int, spill: Callable[[OSError], None]) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._spill = spill
        self.has_spilled = False

    def write(self, data: ReadableBuffer, /) -> int:
        """Write, and return how many bytes were written. Raise BrokenPipeError if nobody reads any more."""
        try:
            return super().write(data)
        except (BrokenPipeError, InterruptedError):
            raise
        except OSError as error:
            self._spill(error)
            self.has_spilled = True
            return super().write(data)


def outlast_full_disks() -> None:
    """Let stdout and stderr go on when they cannot be written. One that is closed is not wanted: it is /dev/null."""
    for name, descriptor, spill in (("stdout", STDOUT, _to_stderr), ("stderr", STDERR, _to_nowhere)):
        stream = getattr(sys, name)
        if stream is None:
            _redirect_to_nowhere(descriptor)
            setattr(sys, name, open(descriptor, "w", encoding="utf-8", closefd=False))  # noqa: SIM115 - no path
        elif stream is getattr(sys, f"__{name}__"):
            stream.flush()
            raw = _Spilling(descriptor, spill)
            made = io.TextIOWrapper(
                io.BufferedWriter(raw),
                encoding=stream.encoding,
                errors=stream.errors,
                line_buffering=stream.line_buffering or stream.write_through,
            )
            setattr(sys, name, made)


def has_spilled() -> bool:
    """Say whether something that was meant for stdout could not be written there, and was not excused."""
    raw = _raw()
    return raw is not None and raw.has_spilled


def excuse() -> None:
    """Forget it: the exit status says the same as what could not be written."""
    raw = _raw()
    if raw is not None:
        raw.has_spilled = False


def _raw() -> _Spilling | None:
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    return raw if isinstance(raw, _Spilling) else None


def _to_stderr(error: OSError) -> None:
    sys.stderr.write(f"echobench: standard output cannot be written: {error.strerror}; it goes on here\n")
    sys.stderr.flush()
    os.dup2(STDERR, STDOUT)


def _to_nowhere(_error: OSError) -> None:
    _redirect_to_nowhere(STDERR)


def _redirect_to_nowhere(descriptor: int) -> None:
    nowhere = os.open(os.devnull, os.O_WRONLY)
    if nowhere != descriptor:
        os.dup2(nowhere, descriptor)
        os.close(nowhere)
