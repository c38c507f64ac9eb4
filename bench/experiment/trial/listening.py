"""Where a server listens that was given a port: read from the kernel's tables, without a connection.

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

from bench.experiment.trial.child import descendants
from bench.experiment.trial.sock_diag import v6only_sockets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Address = IPv4Address | IPv6Address

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
        v6only = v6only_sockets() if any(_is_any_ipv6(address) for address, _ in found) else set()
        if any(_accepts(address, asked, v6only=inode in v6only) for address, inode in found for asked in self._asked):
            return self._host
        held = _sockets_of(self._pid) if found else set()
        own = sorted((address for address, inode in found if inode in held), key=str)
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
    found = {inode for _, inode in listeners(port, pid)}
    try:
        return bool(found) and found.isdisjoint(_sockets_of(pid, refused=PermissionError))
    except PermissionError:
        return False


def listeners(port: int, pid: int) -> Iterator[tuple[Address, str]]:
    """Yield the address of each TCP listener on a port of this machine, and its socket as `_sockets_of` calls it.

    Where there is no table, those of a process and of what it has started are all that can be seen.
    """
    if not _TABLES[0].exists():
        yield from _listeners_of(pid, port)
        return
    local = f":{port:04X}"
    for table in _TABLES:
        rows = (row.split() for row in table.read_text().splitlines()[1:]) if table.exists() else ()
        for row in rows:
            if row[1].endswith(local) and row[3] == _LISTEN:
                yield _address(row[1].partition(":")[0]), row[9]


def _listeners_of(pid: int, port: int) -> Iterator[tuple[Address, str]]:
    for one in _family_of(pid):
        with suppress(psutil.Error):  # it has ended, or may not be looked at
            for connection in psutil.Process(one).net_connections("tcp"):
                if connection.status == psutil.CONN_LISTEN and connection.laddr.port == port:
                    yield ip_address(connection.laddr.ip), str(one)


def _address(digits: str) -> Address:
    """Read an address as /proc writes it: words of 32 bits in the machine's own order of bytes."""
    words = (int(digits[at : at + _WORD], 16) for at in range(0, len(digits), _WORD))
    packed = b"".join(word.to_bytes(4, sys.byteorder) for word in words)
    return ip_address(packed)


def _is_any_ipv6(address: Address) -> bool:
    return isinstance(address, IPv6Address) and address.is_unspecified


def _accepts(listening: Address, asked: Address, *, v6only: bool) -> bool:
    """Say whether a listener takes connections to an address; one on :: takes those of IPv4 too if not `v6only`."""
    if isinstance(listening, IPv6Address) and listening.ipv4_mapped is not None:
        listening = listening.ipv4_mapped
    if listening.is_unspecified:
        return listening.version == asked.version or (isinstance(listening, IPv6Address) and not v6only)
    return listening == asked


def _reached_at(listening: Address) -> str:
    """Return an address that a listener is reached at: one on any address has no other than the loopback's."""
    if not listening.is_unspecified:
        return str(listening)
    return "127.0.0.1" if isinstance(listening, IPv4Address) else "::1"


def _family_of(pid: int) -> list[int]:
    return [pid, *(process.pid for process in descendants(pid))]


def _sockets_of(pid: int, refused: type[OSError] | tuple[()] = ()) -> set[str]:
    """Return the sockets that a process and all it has started hold, by their inodes; by the process elsewhere.

    Those that cannot be seen are left out, unless the reason is one that is `refused`, which is raised.
    """
    if not _TABLES[0].exists():
        return set(map(str, _family_of(pid)))
    held: set[str] = set()
    for one in _family_of(pid):
        try:
            for name in Path(f"/proc/{one}/fd").iterdir():
                with suppress(FileNotFoundError):  # closed meanwhile
                    held.add(str(name.readlink()).removeprefix("socket:[").removesuffix("]"))
        except refused:
            raise
        except OSError:  # it has ended, or may not be looked at
            continue
    return held
