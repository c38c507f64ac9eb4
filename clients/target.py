"""Where the load goes: an address as people write it, resolved once, and how to open a socket to it.

A name may stand for several addresses, of which the first that accepts a connection is used by all.
"""

from __future__ import annotations

import os
import socket
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

from clients.tls import new_context
from clients.workload import WorkloadError

if TYPE_CHECKING:
    import ssl


class TargetError(WorkloadError):
    """An address that cannot be used: says what is wrong with it."""


_LAST_PORT = 65_535
_PATH_MAX_BYTES = 107  # of a UNIX socket on Linux; elsewhere a few less


@dataclass(frozen=True, slots=True)
class Target:
    """A resolved address; `tls` is the context to wrap connections with, None for plain ones.

    `others` are the further addresses of the name, each a family and an address.
    """

    text: str
    family: int
    address: Any
    tls: ssl.SSLContext | None = None
    server_name: str | None = None
    others: tuple[tuple[int, Any], ...] = ()

    @property
    def is_tcp(self) -> bool:
        """Whether the address is IPv4 or IPv6 rather than a UNIX socket."""
        return self.family != socket.AF_UNIX

    @property
    def host(self) -> str:
        """The address without its port, in numbers; the path of a UNIX socket."""
        numeric = socket.NI_NUMERICHOST | socket.NI_NUMERICSERV
        return socket.getnameinfo(self.address, numeric)[0] if self.is_tcp else self.address

    @property
    def where(self) -> str:
        """The address as `text` is written, but in numbers."""
        if not self.is_tcp:
            return self.text
        host = f"[{self.host}]" if self.family == socket.AF_INET6 else self.host
        return f"{host}:{self.address[1]}"

    def reached(self, timeout_s: float) -> Self:
        """Return the target at the first of its addresses that accepts a connection; as it is if there is no choice.

        One address is not tried: it is the load that finds out whether somebody listens there.
        """
        choices = [self, *(replace(self, family=family, address=address) for family, address in self.others)]
        if len(choices) == 1:
            return self
        return next((choice for choice in choices if choice.accepts(timeout_s)), self)

    def accepts(self, timeout_s: float) -> bool:
        """Say whether a connection can be made, at most so long from now; it is closed at once."""
        try:
            with closing(socket.socket(self.family, socket.SOCK_STREAM)) as sock:
                sock.settimeout(timeout_s)
                sock.connect(self.address)
        except OSError:
            return False
        return True

    def open(self) -> socket.socket:
        """Return a new non-blocking socket of the right family, not yet connected. Raise OSError."""
        sock = socket.socket(self.family, socket.SOCK_STREAM)
        sock.setblocking(False)
        if self.is_tcp:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock


def parse_target(
    text: str, *, tls: bool = False, cafile: str | None = None, insecure: bool = False, via: str | None = None
) -> Target:
    """Resolve `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`; with `via`, to that address. Raise TargetError."""
    context = _tls_context(cafile, insecure=insecure) if tls else None
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if path.startswith("@"):
            raise TargetError(f"target {text!r} is a socket without a file, which cannot be measured: give it a path")
        if not 0 < len(os.fsencode(path)) <= _PATH_MAX_BYTES:
            raise TargetError(f"target {text!r}: write unix:PATH with a path of 1 to {_PATH_MAX_BYTES} bytes")
        return Target(text, socket.AF_UNIX, path, context, "localhost" if tls else None)
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if ":" in host and not bracketed and "/" not in host and not text.startswith("["):
        raise TargetError(f"target {text!r}: write an IPv6 address in brackets, as in [::1]:5433")
    host = host[1:-1] if bracketed else host
    if not colon or not host or "/" in host or not (port.isascii() and port.isdigit() and 0 < int(port) <= _LAST_PORT):
        raise TargetError(f"target {text!r} is not understood: write HOST:PORT, [IPV6]:PORT or unix:PATH")
    try:
        found = socket.getaddrinfo(via or host, int(port), type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise TargetError(f"host {host!r} does not resolve: {getattr(error, 'strerror', 'no such name')}") from error
    (family, address), *others = dict.fromkeys((family, address) for family, _, _, _, address in found)
    return Target(text, family, address, context, host if tls else None, tuple(others))


def _tls_context(cafile: str | None, *, insecure: bool) -> ssl.SSLContext:
    try:
        return new_context(cafile, trusts_any=insecure)
    except OSError as error:
        raise TargetError(f"certificate file {cafile!r} cannot be read: {error}") from error
