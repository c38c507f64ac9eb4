"""The two arms of a comparison: for each an environment of its own, with a server in it for each cell.

Nothing is measured here. If the baseline cannot be built, there is nothing to compare with. If the candidate cannot be
built, the measurement is invalid. Either message has the end of the log.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from bench.errors import BenchError, MeasurementError, NoBaselineError, UsageError
from bench.experiment.model import Server
from bench.experiment.planning.catalog import catalog, describe
from bench.regress.revisions import FOLDERS, Repository
from bench.verdict.pairs import Arm

if TYPE_CHECKING:
    from collections.abc import Mapping

SETUP_TIMEOUT_S = 1800.0
LOG_TAIL_LINES = 15
OUR_NAME = "echobench"

ERRORS: dict[Arm, type[BenchError]] = {Arm.BASELINE: NoBaselineError, Arm.CANDIDATE: MeasurementError}


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where the server of one arm runs.

    `home` holds everything of the arm. `tree` is the root of its files, and `here` is the folder in it where its
    commands run. `env` adds to the variables of this process. `venv` is None if the arm was not set up.
    """

    arm: Arm
    label: str
    home: Path
    tree: Path
    here: Path
    env: Mapping[str, str]
    venv: Path | None = None

    @property
    def search_path(self) -> str:
        """The PATH that the arm's commands are looked up in."""
        return self.env.get("PATH", os.environ.get("PATH", os.defpath))


def default_setup(tree: Path) -> str | None:
    """Return the command that installs a repository by default; None if there is nothing to install."""
    if is_ours(tree):
        return None
    if (tree / "pyproject.toml").exists() or (tree / "setup.py").exists():
        return "python -m pip install -e ."
    return "python -m pip install -r requirements.txt" if (tree / "requirements.txt").exists() else None


def is_ours(tree: Path) -> bool:
    """Say whether a tree is this project, whose servers run from a checkout with nothing installed."""
    file = tree / "pyproject.toml"
    if not file.exists() or not (tree / "servers" / "__main__.py").exists():
        return False
    try:
        project: dict[str, Any] = tomllib.loads(file.read_text(encoding="utf-8")).get("project", {})
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is not TOML: {error}") from error
    return project.get("name") == OUR_NAME


def build(arm: Arm, label: str, tree: Path, repository: Repository, setup: str | None) -> Environment:
    """Make the environment of one arm. The shell runs `setup` in the tree, in a fresh virtual environment.

    Without `setup` the server runs in the environment that this command runs in. Raises NoBaselineError or
    MeasurementError, with the end of the log, if the set-up fails.
    """
    env = _moved_python_path(repository.root, tree)
    plain = Environment(arm=arm, label=label, home=tree.parent, tree=tree, here=tree / repository.prefix, env=env)
    if setup is None:
        return plain
    venv = plain.home / "venv"
    path = f"{venv / 'bin'}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    ready = replace(plain, venv=venv, env={**env, "VIRTUAL_ENV": str(venv), "PATH": path})
    _run(plain, [sys.executable, "-m", "venv", str(venv)])
    _run(ready, ["sh", "-ec", setup])
    return ready


def our_server(where: Environment, name: str) -> Server:
    """Return one of this project's servers as it is in an arm's tree. Raise the arm's error if it is not there."""
    python = str(where.venv / "bin" / "python") if where.venv else sys.executable
    try:
        server = catalog(python, where.tree).server(name)
    except UsageError as error:
        raise ERRORS[where.arm](f"{where.label} has no server to offer: {error}") from error
    return replace(server, name=_name(name, where.arm), env={**where.env, **server.env})


def command_server(
    where: Environment, name: str, command: str, ready: Literal["line", "port", "either"], repository: Repository
) -> Server:
    """Return the server that a command starts in an arm's environment.

    Raises UsageError for a command that names a file of the user's checkout, because both arms would run that same
    file. Raises the arm's error if the program is not there.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--command {command!r} cannot be split into words: {error}") from error
    if not words:
        raise UsageError("--command is empty: say how to start the server, such as 'python -m myserver --port {port}'")
    for word in words:
        if str(repository.root) in word:
            raise UsageError(
                f"--command names {word}, which is the same file for both arms: write it relative to the repository"
            )
    relative = os.sep in words[0] and not Path(words[0]).is_absolute()
    program = str(where.here / words[0]) if relative else words[0]
    found = shutil.which(program, path=where.search_path)
    if found is None:
        raise ERRORS[where.arm](f"there is no program {words[0]!r} in {where.label}: install it with --setup")
    return Server(
        name=_name(name, where.arm),
        command=(found, *words[1:]),
        env=where.env,
        cwd=str(where.here),
        ready=ready,
        interpreter=describe(found).description if Path(found).name.startswith("python") else None,
    )


def _name(name: str, arm: Arm) -> str:
    return f"{name}@{FOLDERS[arm]}"


def _moved_python_path(root: Path, tree: Path) -> dict[str, str]:
    """Return PYTHONPATH with its folders of the checkout moved to the arm, so that each arm imports its own code."""
    given = os.environ.get("PYTHONPATH")
    if not given:
        return {}
    entries = [Path(entry) for entry in given.split(os.pathsep) if entry]
    moved = [tree / entry.relative_to(root) if entry.is_relative_to(root) else entry for entry in entries]
    return {"PYTHONPATH": os.pathsep.join(map(str, moved))}


def _run(where: Environment, command: list[str]) -> None:
    """Run a step of the set-up in an arm, and write its output to the arm's log."""
    log = where.home / "setup.log"
    with log.open("ab") as output:
        try:
            done = subprocess.run(
                command,
                cwd=where.here,
                env={**os.environ, **where.env},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                timeout=SETUP_TIMEOUT_S,
                check=False,
            )
            ended = f"ended with status {done.returncode}" if done.returncode else ""
        except subprocess.TimeoutExpired:
            ended = f"did not end within {SETUP_TIMEOUT_S:g} s"
    if ended:
        tail = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_TAIL_LINES:])
        raise ERRORS[where.arm](f"the set-up of {where.label} {ended}: {shlex.join(command)}\n{tail}")
