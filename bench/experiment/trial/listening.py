"""Where a server listens that was given a port: asked of the kernel, without a connection.

A listener on the address that the server was told to use is the server. One on another address is the server only if
one of its own processes holds the socket; else it is a stranger's, and the server is not ready.
"""

from __future__ import annotations

import socket
import sys
import time
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from bench.experiment.trial.kinship import descendants
from bench.experiment.trial.sock_diag import ListeningSocket, listening_sockets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from bench.experiment.trial.sock_diag import Address

ELSEWHERE_S = 0.1
"""A server that listens on several addresses opens one after the other: so long is waited for the one it was told."""

_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LISTEN = "0A"
_WORD = 8  # hexadecimal digits


class Listening:
    """Looks whether a server listens. It was told to use `host` and `port`; `pid` is its first process."""

    def __init__(self, host: str, port: int, pid: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._host, self._port, self._pid, self._clock = host, port, pid, clock
        self._asked = {ip_address(row[4][0]) for row in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
        self._elsewhere_since_s: float | None = None

    def at(self) -> str | None:
        """Return the address at which the server accepts connections: `host` if it can be, None for none yet."""
        found = list(listeners(self._port, self._pid))
        if any(_accepts(one, asked) for one in found for asked in self._asked):
            return self._host
        held = set().union(*_sockets_of(self._pid)) if found else set()
        own = sorted((one.address for one in found if one.inode in held), key=str)
        if not own:
            self._elsewhere_since_s = None
            return None
        if self._elsewhere_since_s is None:
            self._elsewhere_since_s = self._clock()
        return _reached_at(own[0]) if self._clock() - self._elsewhere_since_s >= ELSEWHERE_S else None


def is_served_by_others(port: int, pid: int) -> bool:
    """Say whether none of the listeners on a port belongs to a process or to what it has started.

    So it is where a command asks a daemon to serve, as `docker run` does. False if there is no listener, or if the
    sockets of a process may not be looked at.
    """
    found = {one.inode for one in listeners(port, pid)}
    try:
        return bool(found) and all(map(found.isdisjoint, _sockets_of(pid, refused=PermissionError)))
    except PermissionError:
        return False


def listeners(port: int, pid: int) -> Iterator[ListeningSocket]:
    """Yield the TCP listeners on a port of this machine, whose sockets are called as `_sockets_of` calls them.

    Where the kernel has no tables, those of a process and of what it has started are all that can be seen.
    """
    if not _TABLES[0].exists():
        yield from _listeners_of(pid, port)
    elif (told := listening_sockets(port)) is None:
        yield from _in_tables(port)
    else:
        yield from told


def _in_tables(port: int) -> Iterator[ListeningSocket]:
    local = f":{port:04X}"
    for table in _TABLES:
        rows = (row.split() for row in table.read_text().splitlines()[1:]) if table.exists() else ()
        for row in rows:
            if row[1].endswith(local) and row[3] == _LISTEN:
                yield ListeningSocket(_address(row[1].partition(":")[0]), inode=row[9])


def _listeners_of(pid: int, port: int) -> Iterator[ListeningSocket]:
    for one in _family_of(pid):
        with suppress(psutil.Error):  # it has ended, or may not be looked at
            for connection in psutil.Process(one).net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    yield ListeningSocket(ip_address(connection.laddr.ip), inode=str(one))


def _address(digits: str) -> Address:
    """Read an address as /proc writes it: words of 32 bits in the machine's own order of bytes."""
    words = (int(digits[at : at + _WORD], 16) for at in range(0, len(digits), _WORD))
    packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    return ip_address(packed)


def _accepts(listener: ListeningSocket, asked: Address) -> bool:
    """Say whether a listener takes connections to an address; one on :: may take those of IPv4 too."""
    address = listener.address
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    if address.is_unspecified:
        return address.version == asked.version or (isinstance(address, IPv6Address) and not listener.is_v6only)
    return address == asked


def _reached_at(listening: Address) -> str:
    """Return an address that a listener is reached at: one on any address has no other than the loopback's."""
    if not listening.is_unspecified:
        return str(listening)
    return "127.0.0.1" if isinstance(listening, IPv4Address) else "::1"


def _family_of(pid: int) -> Iterator[int]:
    """Yield a process, and all that it started if that is asked for: to find those takes a look at every process."""
    yield pid
    yield from (process.pid for process in descendants(pid))


def _sockets_of(pid: int, refused: type[OSError] | tuple[()] = ()) -> Iterator[set[str]]:
    """Yield the sockets that a process and each that it started hold, by their inodes; by the process elsewhere.

    Those that cannot be seen are left out, unless the reason is one that is `refused`, which is raised.
    """
    if not _TABLES[0].exists():
        yield from ({str(one)} for one in _family_of(pid))
        return
    for one in _family_of(pid):
        held: set[str] = set()
        try:
            for name in Path(f"/proc/{one}/fd").iterdir():
                with suppress(FileNotFoundError):  # closed meanwhile
                    held.add(str(name.readlink()).removeprefix("socket:[").removesuffix("]"))
        except refused:
            raise
        except OSError:  # it has ended, or may not be looked at
            pass
        yield held
