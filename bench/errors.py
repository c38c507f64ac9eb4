"""One family of exceptions, each with the exit code it means. Raise anywhere; `bench.cli.main` catches once.

A message says what, where and what to do. Imports nothing of ours.
"""

from __future__ import annotations

import difflib
from enum import IntEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class ExitCode(IntEnum):
    """What the exit status of every command means; scripts outside the project hold on to these."""

    FINE = 0
    REGRESSED = 1
    WRONG_USE = 2
    INCONCLUSIVE = 3
    INVALID = 4
    NO_BASELINE = 5


class BenchError(Exception):
    """Base of the family: anything that a person must be told in a sentence rather than by a traceback."""

    exit_code = ExitCode.INVALID


class UsageError(BenchError):
    """Wrong use: an unknown name, a plan that does not hold, a folder that cannot be written."""

    exit_code = ExitCode.WRONG_USE


class MeasurementError(BenchError):
    """A trial, or the whole host, could not be measured validly."""

    exit_code = ExitCode.INVALID


class ServerError(MeasurementError):
    """A server under test did not start, died or broke its contract; carries the tail of its log."""


class NoBaselineError(BenchError):
    """There is nothing comparable to compare with."""

    exit_code = ExitCode.NO_BASELINE


def unknown_name(kind: str, name: str, known: Iterable[str]) -> UsageError:
    """Build the error for a name that is not known, with the nearest right one suggested."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names)}"
    return UsageError(f"unknown {kind} {name!r}: {hint}")
