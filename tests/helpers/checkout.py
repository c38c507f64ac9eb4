"""Where the project's files are. No test works its way up from its own place."""

from __future__ import annotations

import importlib.util
from pathlib import Path

CHECKOUT = Path(__file__).parents[2]
"""The folder that holds our packages: for a child's PYTHONPATH, and for files of the project."""

KNOWN_BAD = CHECKOUT / "tests" / "known_bad"
"""The servers of which each has one fault."""


def module_of(file):
    """Return what a file of the project defines that is in no package."""
    spec = importlib.util.spec_from_file_location(file.stem, file)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
