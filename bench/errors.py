"""One family of exceptions, each with its exit code. They are raised anywhere, and `bench.cli.main` catches them once.

A message says what is wrong, where, and what to do. Imports nothing of ours.
"""

from __future__ import annotations

import difflib
import errno
import os
import shlex
import sys
import traceback
from enum import IntEnum
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


BROKEN = 70
"""The exit status of a program with a fault in itself: EX_SOFTWARE of sysexits.h."""

_OURS = {"bench", "clients", "servers"}


class ExitCode(IntEnum):
    """What the exit status of every command means. Scripts outside the project rely on these numbers."""

    FINE = 0
    REGRESSED = 1
    WRONG_USE = 2
    INCONCLUSIVE = 3
    INVALID = 4
    NO_BASELINE = 5


class BenchError(Exception):
    """Base of the family: an error that a person is told in a sentence, and not by a traceback."""

    exit_code = ExitCode.INVALID


class UsageError(BenchError):
    """Wrong use, such as an unknown name, a plan with a wrong value, or a folder that cannot be written."""

    exit_code = ExitCode.WRONG_USE


class MeasurementError(BenchError):
    """A trial, or the whole host, could not be measured validly."""

    exit_code = ExitCode.INVALID


class ServerError(MeasurementError):
    """A server under test did not start, died or broke its contract. The message has the tail of its log."""


class NoBaselineError(BenchError):
    """There is nothing comparable to compare with."""

    exit_code = ExitCode.NO_BASELINE


def is_full(error: OSError) -> bool:
    """Whether a file could not be written for want of room: the disk, a quota or a limit of this process is used up."""
    return error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


def unwritable(where: object, error: OSError, cure: str) -> BenchError:
    """Return the error for a file or folder that cannot be written.

    A full disk is no wrong use, whatever was being written: it is a MeasurementError, and the cure is to make room.
    All else is a UsageError with its `cure`.
    """
    why = f"cannot write to {where}: {os.strerror(error.errno) if error.errno else error}"
    return MeasurementError(f"{why}; make room, or {cure}") if is_full(error) else UsageError(f"{why}; {cure}")


def not_installed(error: ModuleNotFoundError) -> UsageError | None:
    """Return the error for a library that is not installed. None if the module is ours or Python's: a fault of ours."""
    library = (error.name or "").partition(".")[0]
    if not library or library in _OURS or library in sys.stdlib_module_names:
        return None
    root = Path(__file__).parent.parent
    what = shlex.quote(str(root)) if (root / "pyproject.toml").is_file() else "echobench"
    return UsageError(
        f"{library} is not installed for {sys.executable}: install what echobench needs with"
        f" `{shlex.quote(sys.executable)} -m pip install {what}`, best in a virtual environment"
    )


def tell_fault(error: Exception) -> int:
    """Say on stderr what ended us, and return the exit status: 70 with a traceback if it was a fault of ours.

    A library that is missing is wrong use, and so is one that cannot be loaded. Too little memory is no fault either.
    """
    known: BenchError | None = None
    if isinstance(error, ModuleNotFoundError):
        known = not_installed(error)
    elif isinstance(error, ImportError):
        known = _not_loaded(error)
    elif isinstance(error, MemoryError):
        known = MeasurementError("there is not enough memory: raise its limit (`ulimit -v`, or that of the cgroup)")
    if known is None:
        traceback.print_exception(error)
        return BROKEN
    sys.stderr.write(f"echobench: {known}\n")
    return known.exit_code


def _not_loaded(error: ImportError) -> UsageError | None:
    """Return the error for a library that is there and cannot be loaded. None if a module of ours asks for too much."""
    frames = traceback.extract_tb(error.__traceback__)
    ours = tuple(str(Path(__file__).parent.parent / room) for room in _OURS)
    if not frames or frames[-1].filename.startswith(ours):
        return None
    why = str(error).partition("\n")[0]
    return UsageError(f"a library cannot be loaded ({why}): give it more memory (`ulimit -v`), or install it anew")


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Return the error for a name that is not known.

    It names the family that the name is the beginning of (`asyncio`), or the nearest known name, or all of them.
    """
    names = sorted(known)
    family = [one for one in names if one.startswith(f"{name}-")]
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
    hint = f"choose one of {', '.join(family)}" if len(family) > 1 else hint
    return UsageError(f"unknown {kind} {name!r}: {hint}")
