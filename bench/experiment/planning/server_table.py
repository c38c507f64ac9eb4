"""A server as people describe it: a `[[server]]` of a plan, or a `--server` of the command line. Starts nothing."""

from __future__ import annotations

import dataclasses
import re
import shlex
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import msgspec
from msgspec import Meta

from bench.errors import UsageError, unknown_name
from bench.experiment.model import Server
from bench.experiment.planning.address import split_address
from bench.experiment.planning.values import convert

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NAME_CHARS_MAX = 100
"""A name is a part of names of folders, of which most file systems take 255 bytes."""
NAME = rf"^[A-Za-z0-9][A-Za-z0-9._@+-]{{0,{NAME_CHARS_MAX - 1}}}$(?!\n)"
"""Python's `$` is also before the last line feed."""
_NAMED = f"letters, digits and . _ @ + -, beginning with a letter or a digit, and {NAME_CHARS_MAX} at most"
_COMMAND = "a command line, or a list of words; {port} in it is filled in"
_READY = '"line" (it prints READY HOST PORT), "port" (it listens on its port) or "either"'

PID_MAX = 2**31 - 1
READY_TIMEOUT_MAX_S = 86_400
_READY_TIMEOUT = f"a number of seconds above 0, and {READY_TIMEOUT_MAX_S} at most"

_OF_COMMANDS = {" ", "{", "/"}
"""Characters that no name of a server has."""

STARTS = ("command", "file", "target")
"""How a server comes to be there: a table has one of these keys."""

Name = Annotated[str, Meta(pattern=NAME, description=_NAMED)]
Ready = Literal["line", "port", "either"]


class ServerTable(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A `command` in any language, a Python `file` with `serve`, or a `target` that runs already: one of the three."""

    name: Name
    command: Annotated[str | list[str] | None, Meta(description=_COMMAND)] = None
    file: Annotated[str | None, Meta(description="the path of a Python file that defines serve(listener)")] = None
    target: Annotated[str | None, Meta(description="HOST:PORT, [IPV6]:PORT or unix:PATH")] = None
    pid: Annotated[Annotated[int, Meta(ge=1, le=PID_MAX)] | None, Meta(description="a process id")] = None
    env: Annotated[dict[str, str], Meta(description="a table of texts")] = {}
    cwd: Annotated[str | None, Meta(description="the path of a folder")] = None
    ready: Annotated[Ready | None, Meta(description=_READY)] = None
    ready_timeout_s: Annotated[float, Meta(gt=0, le=READY_TIMEOUT_MAX_S, description=_READY_TIMEOUT)] = 10.0
    stop_signal: Annotated[str, Meta(description="the name of a signal, such as SIGINT")] = "SIGTERM"
    host: Annotated[str, Meta(description="the address to listen on")] = "127.0.0.1"
    port: Annotated[Annotated[int, Meta(ge=1, le=65535)] | None, Meta(description="a port number, 1 to 65535")] = None
    connections_max: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="a whole number, 1 or more")] = None

    @classmethod
    def read(cls, raw: Mapping[str, Any], where: str) -> ServerTable:
        """Read a table of plain values that stands at `where`. Raises UsageError."""
        return convert(raw, cls, where).checked(where)

    @property
    def words(self) -> tuple[str, ...]:
        """The command split as a shell would split it, though none will see it. Raises UsageError if it cannot be."""
        if not isinstance(self.command, str):
            return tuple(self.command or ())
        try:
            return tuple(shlex.split(self.command))
        except ValueError as error:
            raise UsageError(f"the command {self.command!r} cannot be split into words: {error}") from error

    @property
    def knows_port(self) -> bool:
        """Whether a command is told its port, or always listens on the same."""
        return self.port is not None or any("{port}" in word for word in self.words)

    def checked(self, where: str) -> ServerTable:
        """Return it if its keys go together. Raises UsageError otherwise, naming `where`."""
        try:
            self._check()
        except UsageError as error:
            raise UsageError(f"{where}: {error}") from error
        return self

    def _check(self) -> None:
        kinds = [kind for kind in STARTS if getattr(self, kind) is not None]
        if len(kinds) != 1:
            raise UsageError(f"{self.name} needs one of command, file and target, and has {len(kinds)} of them")
        if self.pid is not None and self.target is None:
            raise UsageError("pid belongs to a target: the process of a server that is started here is known")
        if self.stop_signal not in signal.Signals.__members__:
            raise unknown_name("signal", self.stop_signal, signal.Signals.__members__)
        if self.target is not None:
            split_address(self.target)
        if self.command is not None and not self.words:
            raise UsageError(f"the command of {self.name} is empty")
        self._check_what_a_process_is_given()
        if self.command is not None and self.ready in {"port", "either"} and not self.knows_port:
            raise UsageError(f"{self.name} must know its port: put {{port}} into the command, or give port")

    def _check_what_a_process_is_given(self) -> None:
        if "\0" in "".join([*self.words, *self.env, *self.env.values(), self.cwd or "", self.file or ""]):
            raise UsageError(f"{self.name} has a zero byte in its command, env, cwd or file: no program takes one")
        for name in self.env:
            if not name or "=" in name:
                raise UsageError(f"env of {self.name} has a variable {name!r}: name it without =")
        for path in filter(None, (self.cwd, self.file)):
            try:
                Path(path).expanduser()
            except RuntimeError as error:
                raise UsageError(f"{self.name} is at {path}, and that home is not known: write the path") from error

    def placed(self, folder: Path) -> ServerTable:
        """Return it with absolute paths, those in it being seen from `folder`."""
        file = None if self.file is None else str(folder / Path(self.file).expanduser())
        return msgspec.structs.replace(self, file=file, cwd=str(folder / Path(self.cwd or ".").expanduser()))

    def server(self, started: Server | None = None) -> Server:
        """Return the server that it describes. `started` is what a catalog made of its `file`."""
        if self.target is not None:
            host, port = split_address(self.target)
            return Server(
                name=self.name,
                target=self.target,
                host=host,
                port=port,
                pid=self.pid,
                connections_max=self.connections_max,
            )
        server = started or Server(
            name=self.name, command=self.words, cwd=self.cwd, ready="either" if self.knows_port else "line"
        )
        return dataclasses.replace(
            server,
            env={**server.env, **self.env},
            ready=self.ready or server.ready,
            ready_timeout_s=self.ready_timeout_s,
            stop_signal=self.stop_signal,
            host=self.host,
            port=self.port,
            connections_max=self.connections_max or server.connections_max,
        )


def parse_server(text: str, option: str = "--server") -> str | ServerTable:
    """Read what an option names as a server: a known name, a file with `serve`, or NAME= before a file or a command.

    Paths are seen from the working directory. Raises UsageError, also for a command without a name.
    """
    label, equals, rest = text.partition("=")
    if not equals or re.fullmatch(NAME, label) is None:
        label, rest = "", text
    elif not rest.strip():
        raise UsageError(f"{option} {text}: write a command, or a file with serve(listener), behind {label}=")
    if rest.endswith(".py") and " " not in rest.strip():
        table = ServerTable(name=label or Path(rest).stem, file=rest)
    elif label:
        table = ServerTable(name=label, command=rest)
    elif set(text) & _OF_COMMANDS:
        raise UsageError(f'{option} {text}: a command needs a name, by which tables call it: write "mine={text}"')
    else:
        return text
    return table.checked(f"{option} {text}").placed(Path.cwd())


def split_servers(texts: Sequence[str], known: Sequence[ServerTable]) -> tuple[list[str], list[ServerTable]]:
    """Read several `--server`; a name of a known table stands for that. Return names and tables.

    Raises UsageError, also for a command that is not told its port.
    """
    described = {table.name: table for table in known}
    chosen = [parse_server(text) for text in texts]
    for text, one in zip(texts, chosen, strict=True):
        if isinstance(one, ServerTable):
            _require_port(one, text)
    found = [described.get(one, one) if isinstance(one, str) else one for one in chosen]
    return (
        [one for one in found if isinstance(one, str)],
        [one for one in found if isinstance(one, ServerTable)],
    )


def _require_port(table: ServerTable, text: str) -> None:
    """Raise UsageError for a command that is not told its port: nobody would know when it is ready, or where."""
    if table.words and not table.knows_port:
        raise UsageError(
            f"--server {text}: {table.name} is not told its port: put {{port}} into the command. If it chooses one and"
            ' prints READY HOST PORT, describe it in a plan, as a [[server]] with ready = "line"'
        )
