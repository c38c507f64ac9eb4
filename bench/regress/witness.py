"""What the servers of both arms load: each is launched once, answers once, and is looked at. Nothing is judged here.

A Python says itself which modules it loads (PYTHONVERBOSE). Any program is seen by the files of its arm that it opens,
which `opened` hears of from the kernel, by what it executes and maps, and by the files that its command names.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import socket
import sys
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import ServerError
from bench.experiment.planning.address import UNIX_PREFIX
from bench.experiment.trial.observed import processes_of, program_of
from bench.experiment.trial.process import RunningServer, launch_together
from bench.experiment.trial.procfs import GONE
from bench.regress.opened import Opened
from bench.scratch import scratch

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    import psutil

    from bench.experiment.model import Server
    from bench.verdict.pairs import Arm

ANSWER_TIMEOUT_S = 1.0
GREETING_BYTES_MAX = 65536
_QUIETLY = 'exec 2>"$0"; exec "$@"'
"""A command for the shell that sends what a server says of its modules to a file of its own, whole."""

_MODULE = re.compile(
    r"^# (?:.* matches |code object from '?|extension module '.*' loaded from ')(/[^'\n]*)", re.MULTILINE
)
_PTH = re.compile(r"^Processing \.pth file: '(.*)'$", re.MULTILINE)
_MAPPED = re.compile(r" (/.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """What the server of one arm was seen to load.

    `own` are the files of the arm, as their names in it with a hash of each, in which the arm's own place counts as
    nothing. `others` are real paths of files elsewhere. `pths` are the .pth files that its Pythons read. If `is_whole`,
    no file of the arm can have been missed.
    """

    own: frozenset[tuple[str, str]]
    others: frozenset[Path]
    pths: tuple[Path, ...]
    is_whole: bool


def look(
    servers: Mapping[Arm, Server], homes: Mapping[Arm, Sequence[Path]], message_bytes: int, *, together: bool
) -> dict[Arm, Loaded]:
    """Launch the server of each arm, send it one message, and return what it has loaded then.

    `homes` are the folders whose files count as an arm's own. Without `together` one is launched after the other. A
    server that does not start is left out, because the measurement says that better.
    """
    found: dict[Arm, Loaded] = {}
    with scratch() as folder:
        for arms in [list(servers)] if together else [[arm] for arm in servers]:
            voices = [folder / f"{arm}.modules" for arm in arms]
            talkative = [_talkative(servers[arm], voice) for arm, voice in zip(arms, voices, strict=True)]
            logs = [voice.with_suffix(".log") for voice in voices]
            with ExitStack() as stack:
                opened = {arm: stack.enter_context(Opened(homes[arm])) for arm in arms}
                launched = stack.enter_context(launch_together(talkative, logs=logs))
                for arm, voice, running in zip(arms, voices, launched, strict=True):
                    if not isinstance(running, ServerError):
                        _greet(running, min(message_bytes, GREETING_BYTES_MAX))
                        found[arm] = _loaded(running, voice, homes[arm], opened[arm])
    return found


def _talkative(server: Server, voice: Path) -> Server:
    command = ("/bin/sh", "-c", _QUIETLY, str(voice), *server.command)
    return replace(server, command=command, env={**server.env, "PYTHONVERBOSE": "1"})


def _greet(running: RunningServer, size: int) -> None:
    """Send a message and wait for its echo, for what a server loads with its first connection.

    Whether the answer is right, the measurement finds out.
    """
    host, is_unix = running.host, running.host.startswith(UNIX_PREFIX)
    family = socket.AF_UNIX if is_unix else socket.AF_INET6 if ":" in host else socket.AF_INET
    with closing(socket.socket(family)) as connection, suppress(OSError):
        connection.settimeout(ANSWER_TIMEOUT_S)
        connection.connect(host.removeprefix(UNIX_PREFIX) if is_unix else (host, running.port))
        connection.sendall(bytes(size))
        while size > 0 and (data := connection.recv(size)):
            size -= len(data)


def _loaded(running: RunningServer, voice: Path, homes: Sequence[Path], opened: Opened) -> Loaded:
    assert running.pid is not None
    said = voice.read_text(encoding="utf-8", errors="replace")
    modules = set(map(Path, _MODULE.findall(said)))
    touched = {path for process in processes_of(running.pid) for path in _touched(process)}
    files = {_source(path) for path in {*modules, *touched, *opened.seen()}}
    real = {Path(os.path.realpath(path)) for path in files if os.path.isfile(path)}  # noqa: PTH113 - of any text
    inner = [Path(os.path.realpath(home)) for home in homes]
    owned = {path: home for path in real for home in inner if path.is_relative_to(home)}
    return Loaded(
        own=frozenset((str(path.relative_to(home)), _digest(path, *homes, *inner)) for path, home in owned.items()),
        others=frozenset(real - owned.keys()),
        pths=tuple(sorted(set(map(Path, _PTH.findall(said))))),
        is_whole=bool(modules) or opened.is_whole,
    )


def _source(path: Path) -> Path:
    """Return the source of a module that Python has compiled; any other file as it is."""
    if path.suffix != ".pyc" or path.parent.name != "__pycache__":
        return path
    with suppress(ValueError):  # another program's name
        return Path(importlib.util.source_from_cache(str(path)))
    return path


def _digest(path: Path, *homes: Path) -> str:
    """Return the hash of a file without the place of the arm, which scripts and programs hold in themselves."""
    content = path.read_bytes()
    for home in homes:
        content = content.replace(os.fsencode(home), b"")
    return hashlib.sha256(content).hexdigest()


def _touched(process: psutil.Process) -> Iterator[Path]:
    """Yield the files that a process executes, maps, or has words of in its command."""
    if (program := program_of(process)) is not None:
        yield program
    with suppress(*GONE):
        cwd = Path(process.cwd())
        for word in process.cmdline():
            yield from (cwd / part for part in {word, *re.split("[:=,]", word)} if part)
    if sys.platform == "linux":
        with suppress(OSError):
            yield from map(Path, _MAPPED.findall(Path(f"/proc/{process.pid}/maps").read_text(errors="replace")))
