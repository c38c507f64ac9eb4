"""A copy of the source that a test may change, as a person who follows a recipe would change a checkout.

What runs there runs in a process of its own, so that nothing of the copy is imported into the tests.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from typing import TYPE_CHECKING, Any

from helpers.checkout import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


BEING_WRITTEN = shutil.ignore_patterns("*.pyc.*")
"""For `shutil.copytree`: bytecode that another process writes just now is gone when it is to be copied."""


class SourceCopy:
    """Copies of some packages and files of the checkout, in a folder that does not exist yet.

    Bytecode comes along, so that only what a test changes is compiled.
    """

    def __init__(self, folder: Path, *, packages: Sequence[str], files: Sequence[str] = ()) -> None:
        self.folder = folder
        for package in packages:
            shutil.copytree(CHECKOUT / package, folder / package, ignore=BEING_WRITTEN)
        for file in files:
            shutil.copy(CHECKOUT / file, folder)

    def add(self, changes: Mapping[str, Sequence[tuple[str, str]]]) -> None:
        """Put each text before its anchor."""
        for file, additions in changes.items():
            text = (self.folder / file).read_text()
            for anchor, added in additions:
                assert text.count(anchor) == 1, f"{file} has another shape than the recipe says"
                text = text.replace(anchor, added + anchor)
            (self.folder / file).write_text(text)

    def run(self, *arguments: str, status: int = 0) -> str:
        """Return what Python printed, given these arguments, that ended with this status."""
        done = subprocess.run(
            [sys.executable, "-P", *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder)},
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == status, done.stdout + done.stderr
        return done.stdout

    def answer(self, script: str) -> Any:
        """Return what a script printed as JSON."""
        return json.loads(self.run("-c", textwrap.dedent(script)))
