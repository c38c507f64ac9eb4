"""The user's checkout, and what would lead from an arm back into it. Reads names and links, and judges nothing."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_PATHS = re.compile(r"""(?<![^\s:;,="'@(\[{<])(?:-[A-Za-z])?([/~][^\s:;,="')\]}>]*)""")
"""Paths that start at the root or at a home folder, wherever they stand in a text; an option's letter may precede."""

_QUOTED = re.compile(r"""["'](/[^"']+)["']""")
_MARKS_OF_ENVIRONMENTS = ("pyvenv.cfg", "conda-meta")
_IMPORTED = re.compile(r"^import[ \t]+(\w+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Checkout:
    """The working tree of the user's repository. Symbolic links are followed wherever a path is asked about."""

    root: Path

    def inside(self, path: str | os.PathLike[str]) -> Path | None:
        """Return where in the checkout a path is, or what it links to; None if it is elsewhere."""
        absolute = os.path.abspath(os.path.expanduser(path))  # noqa: PTH100, PTH111 - "~x" may be no user
        for found in (Path(absolute), Path(os.path.realpath(absolute))):
            for root in (self.root, self.root.resolve()):
                if found.is_relative_to(root):
                    return found.relative_to(root)
        return None

    def code(self, path: str | os.PathLike[str]) -> Path | None:
        """Return the same, but None within an environment (venv, conda): what that holds is of no revision."""
        found = self.inside(path)
        if found is None:
            return None
        folders = [self.root / found, *(self.root / parent for parent in found.parents)][:-1]
        is_environment = any((folder / mark).exists() for folder in folders for mark in _MARKS_OF_ENVIRONMENTS)
        return None if is_environment else found

    def moved(self, text: str, tree: Path) -> str:
        """Return a text, such as the value of a variable, with its paths of the checkout moved to an arm's tree."""

        def swapped(found: re.Match[str]) -> str:
            place = self.code(found[1])
            return found[0] if place is None else found[0].removesuffix(found[1]) + str(tree / place)

        def element(part: str) -> str:
            if part.startswith("/") and os.path.exists(part) and (place := self.code(part)) is not None:  # noqa: PTH110
                return str(tree / place)  # with any blanks that it has
            return _PATHS.sub(swapped, part)

        return os.pathsep.join(map(element, text.split(os.pathsep)))

    def named(self, text: str) -> bool:
        """Whether a text has a path of the checkout in it."""
        return str(self.root) in text or any(self.inside(path) is not None for path in _PATHS.findall(text))

    def links(self, folder: Path) -> Iterator[Path]:
        """Yield the symbolic links below a folder that lead out of it, to files of the checkout."""
        folders, home = [str(folder)], folder.resolve()
        while folders:
            with os.scandir(folders.pop()) as entries:
                for entry in entries:
                    if entry.is_dir(follow_symlinks=False):
                        folders.append(entry.path)
                    elif entry.is_symlink() and self._is_left(Path(entry.path).resolve(), home):
                        yield Path(entry.path)

    def _is_left(self, target: Path, home: Path) -> bool:
        return not target.is_relative_to(home) and self.code(target) is not None

    def added_by(self, pth: Path) -> list[Path]:
        """Return the folders of the checkout that a .pth file makes importable.

        Its lines name them, or the editable finder that it imports names the packages in them.
        """
        text = pth.read_text(encoding="utf-8", errors="replace")
        finders = [pth.with_name(f"{name}.py") for name in _IMPORTED.findall(text)]
        inner = "\n".join(file.read_text(encoding="utf-8", errors="replace") for file in finders if file.is_file())
        folders = [line for line in text.splitlines() if line.startswith("/")] + _QUOTED.findall(text)
        packages = _QUOTED.findall(inner)
        found = [place for path in folders if (place := self.code(path)) is not None]
        return found + [place.parent for path in packages if (place := self.code(path)) is not None]
