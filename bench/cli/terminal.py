"""Where commands print: a terminal as wide as it is, or a file. Nothing is printed here."""

from __future__ import annotations

import sys

from rich.console import Console

WIDE = 160
"""Columns of what is not a terminal: a table in a file or a CI log need not be folded."""


def standard_output() -> Console:
    """Return a console on standard output."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
