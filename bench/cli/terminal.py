"""The console that commands print on: a terminal in its own width, or a file. Nothing is printed here."""

from __future__ import annotations

import sys

from rich.console import Console

WIDE = 160
"""Columns of a file or a CI log, where a table need not be folded."""


def standard_output() -> Console:
    """Return a console on standard output."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
