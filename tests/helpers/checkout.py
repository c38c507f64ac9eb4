"""Where the project's files are. No test works its way up from its own place."""

from __future__ import annotations

from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
"""The folder that holds our packages: for a child's PYTHONPATH, and for files of the project."""

KNOWN_BAD = CHECKOUT / "tests" / "known_bad"
"""The servers of which each has one fault."""
