"""The socket that every server is given: bound with the same options, and able to outlive a lack of descriptors.

Nothing here may depend on which server is run.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
import time
from typing import TYPE_CHECKING, Any

from servers import BACKLOG
from servers._errors import ServerError

if TYPE_CHECKING:
    from collections.abc import Callable

SHORTAGES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
RETRY_S = 0.05


class Listener(socket.socket):
    """A listening socket whose `accept` outlives a shortage of descriptors.

    A client for which no descriptor is left stays at the head of the queue, and a level-triggered loop spins on it. So
    one descriptor is kept in reserve. It is given up to accept that client and to hang up on it (M. Lehmann, libev(3),
    "The special problem of accept()ing when you can't").
    """

    def __init__(self, family: int) -> None:
        super().__init__(family, socket.SOCK_STREAM)
        self.spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)

    def accept(self) -> tuple[socket.socket, object]:
        """Return the next client there is a descriptor for; raise BlockingIOError as any non-blocking socket does."""
        while True:
            try:
                return super().accept()
            except ConnectionAbortedError:
                continue  # it left while it was in the queue
            except OSError as error:
                if error.errno not in SHORTAGES:
                    raise
            accepted = self._accept_with_spare()
            if accepted is not None:
                return accepted

    def _accept_with_spare(self) -> tuple[socket.socket, object] | None:
        """Take the next client in the place of the spare descriptor; keep it only if there is one again by then."""
        os.close(self.spare)
        accepted = None
        try:
            accepted = super().accept()
            self.spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
        except OSError as error:
            if accepted is not None:
                accepted[0].close()
            self.spare = os.open(os.devnull, os.O_RDONLY | os.O_CLOEXEC)
            if error.errno not in SHORTAGES:
                raise
            if accepted is None:
                time.sleep(RETRY_S)  # the shortage is the whole system's: do not add a busy loop to it
            return None
        return accepted


def bind(host: str, port: int, new_listener: Callable[[int], Listener] = Listener) -> Listener:
    """Return a listening socket on `host` and `port`, or on the path in `unix:PATH`. Raise ServerError if it cannot be.

    TCP_NODELAY is set on the listener: accepted connections inherit it on Linux.
    """
    try:
        if host.startswith("unix:"):
            return _bind_unix(host.removeprefix("unix:"), new_listener)
        return _bind_tcp(host, port, new_listener)
    except socket.gaierror as error:
        raise ServerError(f"the host {host!r} is not known: {error.strerror}") from error
    except OSError as error:
        where = host if host.startswith("unix:") else f"{host} port {port}"
        hint = "; stop what listens there, or use --port 0" if error.errno == errno.EADDRINUSE else ""
        raise ServerError(f"cannot listen on {where}: {error.strerror or error}{hint}") from error


def _bind_tcp(host: str, port: int, new_listener: Callable[[int], Listener]) -> Listener:
    name = host.encode() if host.isascii() else host  # text, even digits, would load a codec and a database of Unicode
    family, _, _, _, address = socket.getaddrinfo(name, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listener = new_listener(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return _listen(listener, address)


def _bind_unix(name: str, new_listener: Callable[[int], Listener]) -> Listener:
    from pathlib import Path  # noqa: PLC0415 - most servers listen on TCP, and would wait for it

    path = Path(name)
    if path.exists() and stat.S_ISSOCK(path.stat().st_mode) and not _answers(str(path)):
        path.unlink()  # left behind by a server that has ended
    return _listen(new_listener(socket.AF_UNIX), str(path))


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        return client.connect_ex(path) == 0


def _listen(listener: Listener, address: tuple[Any, ...] | str) -> Listener:
    try:
        listener.bind(address)
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    return listener


def ready_line(listener: socket.socket) -> str:
    """Return what a server says once it listens: READY HOST PORT; for a UNIX socket READY unix:PATH 0."""
    name = listener.getsockname()
    host, port = (f"unix:{name}", 0) if listener.family == socket.AF_UNIX else name[:2]
    return f"READY {host} {port}"
