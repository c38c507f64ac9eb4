"""A server under test: started afresh, awaited without guessing, and stopped whatever happens.

Nothing here may connect to a server: the load generator is its first client.
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import time
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.errors import ServerError, UsageError
from bench.experiment.host.machine import join_cpus
from bench.experiment.planning.address import ABSTRACT, PORTS, UNIX_PREFIX, join_address
from bench.experiment.trial.child import BACKGROUND, POLL_S, STOP_TIMEOUT_S, Child, ChildError
from bench.experiment.trial.kinship import Kinship
from bench.experiment.trial.listening import Listening, is_served_by_others
from bench.text import cut

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Sequence
    from pathlib import Path

    from bench.experiment.model import Server

LOOK_S = 0.1
"""So often it is asked whether a silent server has ended: its end shows in no pipe that what it started holds open."""
PADDING_BYTES_MAX = 4095
PADDING_NAME = "ECHOBENCH_PADDING"

_ANY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - read from a server, never bound


@dataclass(slots=True)
class RunningServer:
    """A server that listens. One that is not ours has no `child`, and a `pid` only if it was told.

    If other processes serve than the child and what it started, `pid` is None, because nothing is known of these.
    `was_killed` is known once it has been stopped.
    """

    server: Server
    host: str
    port: int
    pid: int | None
    child: Child | None = None
    was_killed: bool = False

    @property
    def address(self) -> str:
        """What `python -m clients` takes: HOST:PORT, [IPV6]:PORT or unix:PATH."""
        return join_address(self.host, self.port)

    @property
    def is_unseen(self) -> bool:
        """Whether what we started serves nothing itself."""
        return self.child is not None and self.pid is None

    @property
    def has_died(self) -> bool:
        """Whether a server of ours has ended without being told to."""
        return self.child is not None and self.child.returncode is not None


@contextlib.contextmanager
def launch(
    server: Server,
    *,
    log: Path,
    seed: int = 0,
    cpus: Collection[int] = (),
    stop_timeout_s: float = STOP_TIMEOUT_S,
) -> Iterator[RunningServer]:
    """Start a server, yield it once it listens, and end it and all it started.

    `seed` draws what varies between launches (see `layout`). A server that runs already (`target`) is yielded as it is
    and never signalled. Raises ServerError, with the tail of its log, when it ends before it listens or is silent for
    its `ready_timeout_s`.
    """
    with launch_together([server], logs=[log], seed=seed, cpus=cpus, stop_timeout_s=stop_timeout_s) as (found,):
        if isinstance(found, ServerError):
            raise found
        yield found


@contextlib.contextmanager
def launch_together(
    servers: Sequence[Server],
    *,
    logs: Sequence[Path],
    seed: int = 0,
    cpus: Collection[int] = (),
    stop_timeout_s: float = STOP_TIMEOUT_S,
) -> Iterator[list[RunningServer | ServerError]]:
    """Start servers at the same time, yield them once each listens or has failed, and end them and all they started.

    What `launch` says of one holds for each.
    """
    launched = Launch(servers, logs=logs, seed=seed, cpus=cpus)
    try:
        yield launched.listening()
    finally:
        launched.end(stop_timeout_s)


class Launch:
    """Servers that are started at the same time, when this is made. Whoever made it ends it.

    `seed` draws what varies between launches; `cpus` binds the servers; each has a log. Raises UsageError for a server
    whose host is not here. One that cannot be started is an error of its own, which `listening` returns.
    """

    def __init__(
        self, servers: Sequence[Server], *, logs: Sequence[Path], seed: int = 0, cpus: Collection[int] = ()
    ) -> None:
        self._found: list[RunningServer | ServerError] = []
        try:
            for server, log in zip(servers, logs, strict=True):
                try:
                    self._found.append(_start(server, log=log, seed=seed, cpus=cpus))
                except ServerError as error:
                    self._found.append(error)
        except BaseException:
            self.end()
            raise

    def listening(self) -> list[RunningServer | ServerError]:
        """Return the servers once each listens at an address of its own, or why it does not."""
        found = [_listening(one) if isinstance(one, RunningServer) else one for one in self._found]
        taken = Counter(one.address for one in found if isinstance(one, RunningServer))
        return [_shared(one) if isinstance(one, RunningServer) and taken[one.address] > 1 else one for one in found]

    def end(self, stop_timeout_s: float = STOP_TIMEOUT_S) -> None:
        """End them and all they started; all are told before the first is waited for."""
        running = [one for one in self._found if isinstance(one, RunningServer)]
        started = [(one, one.child) for one in running if one.child is not None]
        kinship = Kinship()
        for _, child in started:
            child.ask_to_end(kinship)
        for server, child in started:
            server.was_killed = child.stop(stop_timeout_s)


def _start(server: Server, *, log: Path, seed: int, cpus: Collection[int]) -> RunningServer:
    """Start a server, and return it before it listens. Raises ServerError."""
    if server.target is not None:
        return RunningServer(server=server, host=server.host, port=server.port or 0, pid=server.pid)
    port = server.port or (0 if server.ready == "line" else free_port(server.host))
    command = [part.replace("{host}", server.host).replace("{port}", str(port)) for part in server.command]
    if server.binds_itself and (listed := join_cpus(cpus)) is not None:
        command += ["--cpus", listed]
    try:
        child = Child(
            command,
            log=log,
            env={**os.environ, **layout(seed), **server.env},
            cwd=server.cwd,
            cpus=() if server.binds_itself else cpus,
            stop_signal=signal.Signals[server.stop_signal],
        )
    except ChildError as error:
        raise ServerError(f"{server.name}: {error}") from error
    return RunningServer(server=server, host=server.host, port=port, pid=child.pid, child=child)


def _listening(running: RunningServer) -> RunningServer | ServerError:
    """Return a server once it listens, or why it does not."""
    if running.child is not None:
        try:
            running.host, running.port = _await_ready(running.server, running.child, running.port)
        except ServerError as error:
            return error
        if is_served_by_others(running.port, running.child.pid):
            running.pid = None
        running.child.drain()
    return running


def _shared(running: RunningServer) -> ServerError:
    """Say that another server has the address too: who answers there, nobody knows."""
    return ServerError(
        f"{running.server.name} listens at {running.address}, and so does another server that is alive beside it: give "
        "each an address of its own, by {port} in its command or a socket in its own folder"
    )


def layout(seed: int) -> dict[str, str]:
    """Return the environment that differs from launch to launch: hash seed, and 0 to 4095 bytes of padding.

    The size of the environment moves the stack, which alone can bias a measurement by several percent (Mytkowicz et
    al., ASPLOS 2009). Drawn at random, it is noise that more trials average out.
    """
    draw = random.Random(seed)
    return {"PYTHONHASHSEED": str(draw.randrange(2**32)), PADDING_NAME: "x" * draw.randint(0, PADDING_BYTES_MAX)}


def _await_ready(server: Server, child: Child, port: int) -> tuple[str, int]:
    """Return host and port once it says READY, or listens on the port it was given: what its rule asks for."""
    listening = None if server.ready == "line" else Listening(server.host, port, child.pid)
    deadline_s = time.monotonic() + server.ready_timeout_s
    while True:
        line = child.read_line(min(deadline_s, time.monotonic() + (LOOK_S if listening is None else POLL_S)))
        if line is not None:
            if server.ready != "port" and line.startswith("READY ") and child.returncode is None:
                return _parse_ready(server, line)
            child.note(line)
        if listening is not None and child.returncode is None and (host := listening.at()) is not None:
            return host, port
        if time.monotonic() > deadline_s:
            raise ServerError(
                f"{server.name} {_NOT_YET[server.ready]} within {server.ready_timeout_s:g} s; {child.log_tail()}"
            )
        if line is None and child.ended_within(POLL_S):
            tail = child.log_tail()
            hint = _AT_ONCE if child.returncode == 0 and not tail.startswith(BACKGROUND) else ""
            raise ServerError(f"{server.name} {child.how_it_ended} before it was ready{hint}; {tail}")


_AT_ONCE = " (its standard input is empty: one that ends when that does must not read it)"
_NOT_YET = {
    "line": "did not print READY HOST PORT",
    "port": "did not listen on the port it was given",
    "either": "neither printed READY HOST PORT nor listened on the port it was given",
}


def _parse_ready(server: Server, line: str) -> tuple[str, int]:
    match line.split():
        case [_, host, port] if port.isascii() and port.isdecimal() and _is_address(host, int(port)):
            return _placed(server, _ANY_ADDRESS.get(host, host)), int(port)
    raise ServerError(f"{server.name} printed {cut(line)!r}, not READY HOST PORT with an address that can be used")


def _is_address(host: str, port: int) -> bool:
    """Say whether a server can listen there: at a UNIX socket, or at a port of a host that has an address."""
    if host.startswith(UNIX_PREFIX):
        return not host.startswith(ABSTRACT)
    try:
        return port in PORTS and bool(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except (OSError, UnicodeError):
        return False


def _placed(server: Server, host: str) -> str:
    """Return the host with the path of a UNIX socket as it is seen from here, not from the server's folder."""
    path = host.removeprefix(UNIX_PREFIX)
    return host if path == host else UNIX_PREFIX + os.path.abspath(os.path.join(server.cwd or os.curdir, path))  # noqa: PTH100, PTH118 - links stay


def free_port(host: str) -> int:
    """Return a TCP port that nothing on `host` used a moment ago. Raise UsageError if `host` is not here."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as sock:
        try:
            sock.bind((host, 0))
        except OSError as error:
            raise UsageError(f"cannot listen on {host}: {error.strerror or error}") from error
        port: int = sock.getsockname()[1]
        return port
