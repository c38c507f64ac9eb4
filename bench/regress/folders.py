"""Two servers (--a and --b) that their paths alone tell apart: the folder of each, and the files that differ there.

Two commands may name two copies of the same code. If they differ in anything else, such as an option, that is the
difference which is measured, and nothing is to be found here. Reads only.
"""

from __future__ import annotations

import filecmp
import os
from dataclasses import dataclass, field
from itertools import takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from bench.verdict.pairs import Arm

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bench.experiment.model import Server

FILES_MAX = 20_000
"""Of a folder: one with more files is not compared, because that would take longer than the measurement."""

_NOT_CODE = {".git", "__pycache__"}


class _NotByPathsAloneError(Exception):
    """The servers are told apart by something else than their folders."""


@dataclass(frozen=True, slots=True)
class Apart:
    """The folder of each arm, and the names of the files in which the folders differ; both empty for equal commands."""

    homes: Mapping[Arm, Path] = field(default_factory=dict)
    changed: tuple[str, ...] = ()


def told_apart(servers: Mapping[Arm, Server]) -> Apart | None:
    """Return what tells two servers apart if nothing but the place of their files does, else None.

    None too if files that the commands name differ, because then the servers do, or if the folders are too large.
    """
    one, other = servers[Arm.BASELINE], servers[Arm.CANDIDATE]
    if (one.env, one.cwd, len(one.command)) != (other.env, other.cwd, len(other.command)):
        return None
    words = [pair for pair in zip(one.command, other.command, strict=True) if pair[0] != pair[1]]
    try:
        pairs = {places for pair in words if (places := _places(*pair, Path(one.cwd or os.curdir)))}
        if not pairs:
            return Apart()
        (homes,) = pairs if len(pairs) == 1 else [_not_by_paths()]
        changed = _differing(*homes)
    except (_NotByPathsAloneError, OSError):
        return None
    return Apart(dict(zip(Arm, homes, strict=True)), changed)


def _not_by_paths() -> tuple[Path, Path]:
    raise _NotByPathsAloneError


def _places(one: str, other: str, cwd: Path) -> tuple[Path, Path] | None:
    """Return the folders in which two words name the same place; None for names of one file, or of equal ones."""
    (option, _, path), (other_option, _, other_path) = one.rpartition("="), other.rpartition("=")
    first, second = (Path(os.path.abspath(cwd / name)) for name in (path, other_path))  # noqa: PTH100 - links stay
    are_files = first.is_file() and second.is_file()
    if option != other_option or not (are_files or (first.is_dir() and second.is_dir())):
        raise _NotByPathsAloneError
    if first == second:
        return None
    if are_files and not filecmp.cmp(first, second, shallow=False):
        raise _NotByPathsAloneError
    ends = zip(reversed(first.parts), reversed(second.parts), strict=False)
    common = sum(1 for _ in takewhile(lambda names: names[0] == names[1], ends))
    if common:
        first, second = first.parents[common - 1], second.parents[common - 1]
    elif are_files:
        return None
    if first.is_relative_to(second) or second.is_relative_to(first):
        raise _NotByPathsAloneError
    return first, second


def _differing(one: Path, other: Path) -> tuple[str, ...]:
    """Return the names of the files that only one folder has, or both with different contents."""
    files = [_files(folder) for folder in (one, other)]
    common = files[0] & files[1]
    return tuple(sorted((files[0] ^ files[1]) | {name for name in common if not _are_equal(one / name, other / name)}))


def _are_equal(one: Path, other: Path) -> bool:
    try:
        return filecmp.cmp(one, other, shallow=False)
    except OSError:  # it may not be read
        return False


def _files(root: Path) -> set[str]:
    found: set[str] = set()
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name not in _NOT_CODE]
        paths = (Path(folder, name) for name in names if name not in _NOT_CODE)
        found.update(str(path.relative_to(root)) for path in paths if path.is_file())
        if len(found) > FILES_MAX:
            raise _NotByPathsAloneError
    return found
