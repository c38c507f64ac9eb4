"""The words of a verdict, in the order in which they count, and the exit code of each. Nothing is decided here."""

from __future__ import annotations

from enum import StrEnum

from bench.errors import ExitCode


class Word(StrEnum):
    """The verdict in one word, worst first.

    The word of a cell is the worst word of its gating metrics. It is OK if one IMPROVED and another is slower within
    its budget.
    """

    REGRESSED = "REGRESSED"
    INVALID = "INVALID"
    NO_BASELINE = "NO-BASELINE"
    INCONCLUSIVE = "INCONCLUSIVE"
    IMPROVED = "IMPROVED"
    OK = "OK"


EXIT_CODES = {
    Word.REGRESSED: ExitCode.REGRESSED,
    Word.INVALID: ExitCode.INVALID,
    Word.NO_BASELINE: ExitCode.NO_BASELINE,
    Word.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    Word.IMPROVED: ExitCode.FINE,
    Word.OK: ExitCode.FINE,
}


def worst(words: list[Word]) -> Word:
    """Return the worst of the words; INCONCLUSIVE if there is none, because nothing was shown."""
    order = list(Word)
    return min(words, key=order.index, default=Word.INCONCLUSIVE)
