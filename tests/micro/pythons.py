"""Finds the Pythons of this machine, and says which of them cannot be measured. It starts each one for that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

OLDEST = (3, 11)
NEEDED = ("pytest", "pytest_benchmark")
PROBE = f"""
import importlib.util, json, platform, sys
print(json.dumps({{
    "name": platform.python_implementation() + " " + platform.python_version(),
    "version": sys.version_info[:2],
    "lacks": [name for name in {NEEDED} if importlib.util.find_spec(name) is None],
}}))
"""


class Python(NamedTuple):
    """A Python: its command, its name with version, and the packages without which it cannot be measured."""

    command: str
    name: str
    lacks: tuple[str, ...]

    @property
    def advice(self) -> str:
        """What to do so that it can be measured."""
        missing = " and ".join(name.replace("_", "-") for name in self.lacks)
        return (
            f"{self.name} is not measured: {self.command} has no {missing}. Install what is needed with: "
            f"{self.command} -m pip install pytest pytest-benchmark greenlet"
        )


def probed(command: str) -> Python | None:
    """Return the Python of this command; None if it does not run, or is older than echobench supports."""
    try:
        done = subprocess.run([command, "-c", PROBE], capture_output=True, text=True, timeout=30, check=False)
        found = json.loads(done.stdout)
    except (OSError, ValueError, subprocess.TimeoutExpired):  # a shim of pyenv, say, whose version is not chosen
        return None
    if tuple(found["version"]) < OLDEST:
        return None
    return Python(command, found["name"], tuple(found["lacks"]))


def candidates(search_path: str, pyenv: Path) -> list[str]:
    """Return the commands that look like a Python: this one, those on the path, those of pyenv."""
    folders = [Path(folder) for folder in search_path.split(os.pathsep) if folder]
    found = [
        file for folder in folders for pattern in ("python3", "python3.*", "pypy3*") for file in folder.glob(pattern)
    ]
    found += sorted(pyenv.glob("versions/*/bin/python3"))
    runnable = [str(file) for file in found if os.access(file, os.X_OK) and "config" not in file.name]
    return list(dict.fromkeys([sys.executable, *runnable]))


def all_found(commands: Iterable[str]) -> list[Python]:
    """Return one Python for each name: the first that can be measured, or else the first."""
    by_name: dict[str, Python] = {}
    for command in commands:
        python = probed(command)
        if python and (python.name not in by_name or (by_name[python.name].lacks and not python.lacks)):
            by_name[python.name] = python
    return list(by_name.values())


def asked_for(commands: Sequence[str] | None) -> list[Python]:
    """Return this Python for None, all that are found for no command, else those of the commands.

    Raises ValueError for a command that is no Python that can be measured.
    """
    if commands is None:
        return all_found([sys.executable])
    if not commands:
        home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
        return all_found(candidates(os.environ.get("PATH", ""), home))
    for command in commands:
        if probed(command) is None:
            raise ValueError(f"{command} is no Python of version {OLDEST[0]}.{OLDEST[1]} or later that runs here")
    return all_found(commands)
