"""One family of exceptions, each with its exit code. They are raised anywhere, and `bench.cli.main` catches them once.

A message says what is wrong, where, and what to do. Imports nothing of ours.
"""

from __future__ import annotations

import difflib
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


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
