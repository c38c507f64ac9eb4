"""The words of a verdict, which of several counts, and the exit code that each means. Decides nothing."""

from __future__ import annotations

from enum import StrEnum

from bench.errors import ExitCode


class Word(StrEnum):
    """The verdict in one word, worst first: the word of a cell is the first of its gating metrics' in this order."""

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
    """Return the word that counts; INCONCLUSIVE for none, since nothing was shown."""
    order = list(Word)
    return min(words, key=order.index, default=Word.INCONCLUSIVE)
