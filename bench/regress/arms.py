"""The two arms of a comparison: for each an environment of its own, with a server in it for each cell.

An arm runs its own files and touches no others: what would lead from it into the user's checkout is moved to the arm's
tree, or refused. Nothing is measured here. If the baseline cannot be built, there is nothing to compare with. If the
candidate cannot be built, the measurement is invalid. Either message has the end of the log.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal

from bench.errors import BenchError, MeasurementError, NoBaselineError, UsageError
from bench.experiment.model import Server
from bench.experiment.planning.catalog import catalog, describe
from bench.regress.checkout import Checkout
from bench.regress.revisions import FOLDERS, Repository
from bench.text import TAIL_BYTES, cut, quoted
from bench.verdict.pairs import Arm

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

SETUP_TIMEOUT_S = 1800.0
OUR_NAME = "echobench"
VENV = [sys.executable, "-m", "venv"]

_PYTHON_TOOLS = re.compile(r"\b(python|pip|uv|poetry|pdm|pipenv|hatch|conda)")

_ELSEWHERE = {
    **dict.fromkeys(("PIP_TARGET", "PIP_PREFIX", "PIP_ROOT", "PIP_PYTHON", "PIP_USER"), ""),
    "UV_SYSTEM_PYTHON": "false",
}
"""Variables by which a set-up would install into what is not the arm's own, each with the value that means no."""

ERRORS: dict[Arm, type[BenchError]] = {Arm.BASELINE: NoBaselineError, Arm.CANDIDATE: MeasurementError}


@dataclass(frozen=True, slots=True, kw_only=True)
class Environment:
    """Where the server of one arm runs.

    `home` holds everything of the arm. `tree` is the root of its files, and `here` is the folder in it where its
    commands run. `env` adds to the variables of this process. `venv` is None if the arm was not set up. `began_ns` lies
    before the first set-up, in ns since the epoch, by the clock of the file system.
    """

    arm: Arm
    label: str
    home: Path
    tree: Path
    here: Path
    env: Mapping[str, str]
    checkout: Checkout
    began_ns: int
    venv: Path | None = None

    @property
    def search_path(self) -> str:
        """The PATH that the arm's commands are looked up in."""
        return self.env.get("PATH", os.environ.get("PATH", os.defpath))


def setups(given: str | None, trees: Mapping[Arm, Path], prefix: Path) -> dict[Arm, str | None]:
    """Return the set-up of each arm: the `given` one, or what each tree asks for by default. None makes no environment.

    Both arms get an environment if either needs one. A revision that brings the first requirements would otherwise run
    under another interpreter than the other one.
    """
    if given is not None:
        return dict.fromkeys(trees, given or None)
    found = {arm: default_setup(tree, prefix) for arm, tree in trees.items()}
    return {arm: setup or "" for arm, setup in found.items()} if any(found.values()) else found


def default_setup(tree: Path, prefix: Path = Path()) -> str | None:
    """Return the command that installs a revision by default; None if there is nothing to install.

    It installs the project that is nearest to the folder `prefix` of the tree, which is where the command will run.
    """
    if is_ours(tree):
        return None
    for place in (prefix, *prefix.parents):
        if install := _install(tree / place):
            up = os.path.relpath(tree / place, tree / prefix)
            return install if up == os.curdir else f"cd {shlex.quote(up)} && {install}"
    return None


def _install(folder: Path) -> str | None:
    """Return the command that installs the project in a folder; a pyproject with settings of tools only is none."""
    if (folder / "setup.py").exists() or {"project", "build-system"} & _pyproject(folder).keys():
        return "python -m pip install -e ."
    return "python -m pip install -r requirements.txt" if (folder / "requirements.txt").exists() else None


def is_ours(tree: Path) -> bool:
    """Say whether a tree is this project, whose servers run from a checkout with nothing installed."""
    return (tree / "servers" / "__main__.py").exists() and _pyproject(tree).get("project", {}).get("name") == OUR_NAME


def _pyproject(folder: Path) -> dict[str, Any]:
    file = folder / "pyproject.toml"
    try:
        return tomllib.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{file} is not TOML: {error}") from error


def needs_python(trees: Iterable[Path], *commands: str | None) -> bool:
    """Say whether an arm needs an environment of Python: a tree has some Python, or a command speaks of it."""
    if any(_PYTHON_TOOLS.search(command or "") for command in commands):
        return True
    files = (name for tree in trees for _, _, names in os.walk(tree) for name in names)
    return any(name.endswith(".py") or name in {"pyproject.toml", "requirements.txt"} for name in files)


def build(
    arm: Arm,
    label: str,
    tree: Path,
    repository: Repository,
    setup: str | None,
    *,
    python: bool = True,
    mark: Mapping[str, str] = MappingProxyType({}),
) -> Environment:
    """Make the environment of one arm. The shell runs `setup` in the tree, in a fresh virtual environment.

    Without `python` there is no virtual environment, and the shell runs in the environment of this command. The set-up
    and all that it starts carry `mark` in their environment.
    Without `setup` the server runs in the environment that this command runs in. Variables that point into the checkout
    point into the arm's tree. Raises UsageError where nothing that is installed could run, and for a link into the
    checkout. Raises NoBaselineError or MeasurementError, with the end of the log, if the set-up fails.
    """
    checkout = Checkout(repository.root)
    variables = {name: checkout.moved(value, tree) for name, value in os.environ.items()}
    env = {name: value for name, value in variables.items() if value != os.environ[name]}
    env |= {name: value for name, value in _ELSEWHERE.items() if name in os.environ}
    env |= {**_uv_environment(".venv"), **mark}
    ready = Environment(
        arm=arm,
        label=label,
        home=tree.parent,
        tree=tree,
        here=tree / repository.prefix,
        env=env,
        checkout=checkout,
        began_ns=tree.parent.stat().st_ctime_ns,
    )
    if setup is not None:
        ready = _set_up(ready, setup, python=python)
    for link in checkout.links(ready.home):
        raise UsageError(
            f"{link.relative_to(ready.home)} of {label} is a link to {os.path.realpath(link)} in your checkout, which"
            " is the same for both arms: make the link relative"
        )
    return ready


def _set_up(plain: Environment, setup: str, *, python: bool) -> Environment:
    if os.statvfs(plain.home).f_flag & getattr(os, "ST_NOEXEC", 0):
        raise UsageError(
            f"{plain.home} is on a file system that is mounted noexec, so a set-up would run programs of your own"
            " environment and change that: set TMPDIR to a folder elsewhere"
        )
    ready = _with_venv(plain) if python else plain
    if setup:
        guarded = {**ready.env, "PIP_REQUIRE_VIRTUALENV": "1"}  # a pip of the system refuses to change the system
        _run(replace(ready, env=guarded), ["sh", "-ec", setup])
    return ready


def _with_venv(plain: Environment) -> Environment:
    """Make a virtual environment. Raise UsageError if this Python cannot: that is no fault of an arm."""
    venv = plain.home / "venv"
    path = f"{venv / 'bin'}{os.pathsep}{plain.search_path}"
    try:
        _run(plain, [*VENV, str(venv)])
    except BenchError as error:
        raise UsageError(
            f"{sys.executable} cannot make a virtual environment. Install its module venv (on Debian and Ubuntu: "
            f"apt-get install python3-venv), or say --setup '' to install nothing.\n{error}"
        ) from error
    own = {"VIRTUAL_ENV": str(venv), "PATH": path, **_uv_environment(str(venv))}
    return replace(plain, venv=venv, env={**plain.env, **own})


def _uv_environment(own: str) -> dict[str, str]:
    """Return the variable that names uv's environment, with the arm's `own` where it names one outside of the arm."""
    name = "UV_PROJECT_ENVIRONMENT"
    return {name: own} if Path(os.environ.get(name, "")).is_absolute() else {}


def our_server(where: Environment, name: str) -> Server:
    """Return one of this project's servers as it is in an arm's tree. Raise the arm's error if it is not there."""
    python = str(where.venv / "bin" / "python") if where.venv else sys.executable
    try:
        server = catalog(python, where.tree).server(name)
    except UsageError as error:
        raise ERRORS[where.arm](f"{where.label} has no server to offer: {error}") from error
    return replace(server, name=_name(name, where.arm), env={**where.env, **server.env})


def command_server(where: Environment, name: str, command: str, ready: Literal["line", "port", "either"]) -> Server:
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
        if where.checkout.named(word):
            raise UsageError(
                f"--command names {word}, which is the same file for both arms: write it relative to the repository"
            )
    relative = os.sep in words[0] and not Path(words[0]).is_absolute()
    program = str(where.here / words[0]) if relative else words[0]
    found = shutil.which(program, path=where.search_path)
    if found is None and relative and Path(program).is_file():
        raise ERRORS[where.arm](
            f"{words[0]} of {where.label} may not be executed: give it the mode (chmod +x), and if {where.home} is on a"
            " file system that is mounted noexec, set TMPDIR to a folder elsewhere"
        )
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


def _run(where: Environment, command: list[str]) -> None:
    """Run a step of the set-up in an arm, and write its output to the arm's log."""
    log = where.home / "setup.log"
    with log.open("ab") as output:
        step = subprocess.Popen(
            command,
            cwd=where.here,
            env={**os.environ, **where.env},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            status = step.wait(SETUP_TIMEOUT_S)
            ended = f"ended with status {status}" if status else ""
        except subprocess.TimeoutExpired:
            ended = f"did not end within {SETUP_TIMEOUT_S:g} s"
        finally:  # what the step itself started ends with the folder of the comparison
            step.kill()
            step.wait()
    if ended:
        with log.open("rb") as written:
            written.seek(-min(TAIL_BYTES, written.seek(0, os.SEEK_END)), os.SEEK_END)
            said = quoted(written.read())  # the log is gone with the arm
        raise ERRORS[where.arm](f"the set-up of {where.label} {ended}: {cut(shlex.join(command))}\n{said}".rstrip())
