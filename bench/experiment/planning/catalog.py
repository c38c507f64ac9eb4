"""Which servers there are, and how a name, a file or a command becomes one.

The servers are asked, never imported: `python -P -m servers --json`, once per interpreter. That is also what tells
which of them an interpreter can run.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

import bench
from bench.errors import UsageError, unknown_name
from bench.experiment.model import Server
from bench.files import cache_folder
from bench.scratch import scratch
from bench.text import cut

ROOT = Path(bench.__file__).resolve().parent.parent
"""The folder that holds our rooms: a checkout, or `_rooms` of the installed package."""

ANSWER_TIMEOUT_S = 30.0
_SAFE_PATH_SINCE = (3, 11)  # the version of Python that knows -P

_DESCRIBE = """
import json, os, platform, sys, sysconfig
jit = getattr(sys, "_jit", None)
pypy = platform.python_implementation() == "PyPy"
print(json.dumps({
    "executable": sys.executable,
    "implementation": platform.python_implementation(),
    "version": "%d.%d.%d" % (sys.pypy_version_info if pypy else sys.version_info)[:3],
    "language": list(sys.version_info[:2]),
    "build": " ".join(platform.python_build()).strip(),
    "compiler": platform.python_compiler(),
    "free_threaded": bool(sysconfig.get_config_var("Py_GIL_DISABLED")),
    "jit": pypy or bool(jit and jit.is_enabled()),
    "can_bind": hasattr(os, "sched_setaffinity"),
}))
"""


class Interpreter(msgspec.Struct, frozen=True, kw_only=True):
    """A Python that can run servers, as it describes itself; `label` is a short name with a version in it.

    `can_bind` says whether it has a call that binds a process to CPUs.
    """

    label: str
    executable: str
    implementation: str
    version: str
    language: tuple[int, int]
    build: str
    compiler: str
    free_threaded: bool
    jit: bool
    can_bind: bool

    @property
    def description(self) -> str:
        """Version and build in one line: what the `interpreter` column of a trial holds."""
        traits = [word for word, holds in (("free-threaded", self.free_threaded), ("JIT", self.jit)) if holds]
        return ", ".join([f"{self.implementation} {self.version}", *traits, self.build, self.compiler])


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One row of the servers' own listing. `reason` and `install` say why it cannot run, and what would help."""

    name: str
    summary: str = ""
    runnable: bool
    reason: str | None = None
    install: str | None = None
    connections_max: int | None = None
    refuses_beyond: bool = False
    library: str | None = None
    version: str | None = None

    @property
    def gap(self) -> str | None:
        """Why it cannot run and the remedy, as one sentence; None if it can run."""
        if self.runnable:
            return None
        return f"{self.reason or 'it cannot run here'}" + (f"; run: {self.install}" if self.install else "")


@dataclass(frozen=True, slots=True)
class Catalog:
    """The servers of one folder under one interpreter."""

    interpreter: Interpreter
    path: Path
    entries: dict[str, Entry]

    def server(self, name: str, *, label: str | None = None, binds_itself: bool = False) -> Server:
        """Return a server by its name, `label` being what tables call it; one that cannot run here has a `gap`.

        With `binds_itself` it is bound to its CPUs by itself if the interpreter can do that. Older revisions cannot.
        Raises UsageError, with the nearest name, when there is none.
        """
        if name not in self.entries:
            raise unknown_name("server", name, self.entries)
        entry = self.entries[name]
        return self._server(
            label or name,
            name,
            connections_max=entry.connections_max,
            binds_itself=binds_itself and self.interpreter.can_bind,
            gap=entry.gap,
        )

    def file(self, path: Path, *, label: str | None = None) -> Server:
        """Return the server that a file with `serve` makes; one that cannot run here has a `gap`.

        Raises UsageError when there is no such file.
        """
        if not os.path.isfile(path):  # noqa: PTH113 - false too for a path that may not be looked at, or is too long
            raise UsageError(f"there is no server file {path} that can be read")
        entry = self._examined(path.resolve())
        return self._server(
            label or path.stem, str(path.resolve()), connections_max=entry.connections_max, gap=entry.gap
        )

    def _examined(self, path: Path) -> Entry:
        """Ask what a server file is: it is parsed there, not imported."""
        place = _environment(self.interpreter, self.path)
        (row,) = _rows(self.interpreter, str(path), **place)
        return row

    @property
    def libraries(self) -> dict[str, str | None]:
        """The libraries that the servers are built on, with the version that this interpreter has of each."""
        return {entry.library: entry.version for entry in self.entries.values() if entry.library is not None}

    def _server(self, label: str, argument: str, **fields: Any) -> Server:
        return Server(
            name=label,
            command=(*_run_servers(self.interpreter), argument, "--host", "{host}", "--port", "{port}"),
            interpreter=self.interpreter.description,
            **_environment(self.interpreter, self.path),
            **fields,
        )


@functools.cache
def catalog(python: str = sys.executable, root: Path = ROOT) -> Catalog:
    """Ask an interpreter which servers of the folder `root` it can run. Raises UsageError if it cannot be asked."""
    cache_folder()  # servers are compiled into it: if it is another than usual, they learn so from the environment
    interpreter = describe(python)
    path = root if python == sys.executable else _only_servers_of(root)
    place = _environment(interpreter, path)
    return Catalog(interpreter, path, {row.name: row for row in _rows(interpreter, **place)})


@functools.cache
def describe(python: str) -> Interpreter:
    """Ask an interpreter, a path or a name on the PATH, what it is. Raises UsageError if it cannot be run."""
    command = shutil.which(python)
    if command is None:
        raise UsageError(f"there is no Python interpreter {python!r}: give a path, or a name that is on the PATH")
    *_, answer = ["", *_ask([command, "-c", _DESCRIBE]).strip().splitlines()]  # a wrapper may say something before
    try:
        facts = msgspec.json.decode(answer, type=dict[str, Any])
        found = msgspec.convert({"label": Path(python).name, **facts}, Interpreter)
    except (msgspec.MsgspecError, UnicodeError):
        raise UsageError(f"{command} does not answer as Python does: it said {cut(answer)!r}") from None
    if any(letter.isdigit() for letter in found.label):
        return found
    build = "t" if found.free_threaded else ""  # .venv/bin/python says nothing
    return msgspec.structs.replace(found, label=f"{found.label}{found.version}{build}")


def _rows(interpreter: Interpreter, *words: str, **place: Any) -> list[Entry]:
    """Return what the servers' listing says under an interpreter. Raises UsageError if it is no listing."""
    answer = _ask([*_run_servers(interpreter), "--json", *words], **place)
    begun = f"\n{answer}".find("\n[")  # a wrapper may say something before
    try:
        return msgspec.json.decode(answer[max(begun, 0) :], type=list[Entry])
    except msgspec.MsgspecError as error:
        raise UsageError(f"{interpreter.executable} does not list servers: it said {cut(answer)!r}") from error


def _run_servers(interpreter: Interpreter) -> tuple[str, ...]:
    safe_path = ("-P",) if interpreter.language >= _SAFE_PATH_SINCE else ()
    return (interpreter.executable, *safe_path, "-m", "servers")


def _environment(interpreter: Interpreter, path: Path) -> dict[str, Any]:
    """Return env and cwd that make `servers` ours: without -P the working directory comes first, so it must be ours."""
    cwd = None if interpreter.language >= _SAFE_PATH_SINCE else str(path)
    return {"env": {"PYTHONPATH": str(path)}, "cwd": cwd}


@functools.cache
def _only_servers_of(root: Path) -> Path:
    """Return a folder with nothing but `servers` in it: what else a checkout holds is not for another interpreter."""
    until_the_end = contextlib.ExitStack()
    atexit.register(until_the_end.close)
    folder = until_the_end.enter_context(scratch())
    (folder / "servers").symlink_to(root / "servers")
    return folder


def _ask(command: list[str], *, env: dict[str, str] | None = None, cwd: str | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            env={**os.environ, "PYTHONIOENCODING": "utf-8", **(env or {})},
            cwd=cwd,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=ANSWER_TIMEOUT_S,
            check=True,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UsageError(f"cannot run {command[0]}: {error}") from error
    except subprocess.CalledProcessError as error:
        raise UsageError(f"{command[0]} cannot be used: {_gist(error.stderr)}") from error
    return done.stdout


def _gist(stderr: str) -> str:
    """Return the line that says most: the last of a traceback, the first of anything else."""
    lines = stderr.strip().splitlines() or ["it failed without a word"]
    return lines[-1] if lines[0].startswith("Traceback") else lines[0]
