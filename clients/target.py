"""Where the load goes: an address as people write it, resolved once, and how to open a socket to it."""

from __future__ import annotations

import os
import socket
import ssl
from dataclasses import dataclass
from typing import Any

from clients.workload import WorkloadError


class TargetError(WorkloadError):
    """An address that cannot be used: says what is wrong with it."""


_LAST_PORT = 65_535
_PATH_MAX_BYTES = 107  # of a UNIX socket on Linux; elsewhere a few less


@dataclass(frozen=True, slots=True)
class Target:
    """A resolved address; `tls` is the context to wrap connections with, None for plain ones."""

    text: str
    family: int
    address: Any
    tls: ssl.SSLContext | None = None
    server_name: str | None = None

    @property
    def is_tcp(self) -> bool:
        """Whether the address is IPv4 or IPv6 rather than a UNIX socket."""
        return self.family != socket.AF_UNIX

    def open(self) -> socket.socket:
        """Return a new non-blocking socket of the right family, not yet connected. Raise OSError."""
        sock = socket.socket(self.family, socket.SOCK_STREAM)
        sock.setblocking(False)
        if self.is_tcp:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return sock


def parse_target(text: str, *, tls: bool = False, cafile: str | None = None, insecure: bool = False) -> Target:
    """Resolve `HOST:PORT`, `[IPV6]:PORT` or `unix:PATH`. Raise TargetError."""
    context = _tls_context(cafile, insecure=insecure) if tls else None
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        if not 0 < len(os.fsencode(path)) <= _PATH_MAX_BYTES:
            raise TargetError(f"target {text!r}: write unix:PATH with a path of 1 to {_PATH_MAX_BYTES} bytes")
        return Target(text, socket.AF_UNIX, path, context, "localhost" if tls else None)
    host, colon, port = text.rpartition(":")
    bracketed = host.startswith("[") and host.endswith("]")
    if ":" in host and not bracketed:
        raise TargetError(f"target {text!r}: write an IPv6 address in brackets, as in [::1]:5433")
    host = host[1:-1] if bracketed else host
    if not colon or not host or not (port.isascii() and port.isdigit() and 0 < int(port) <= _LAST_PORT):
        raise TargetError(f"target {text!r} is not understood: write HOST:PORT, [IPV6]:PORT or unix:PATH")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, int(port), type=socket.SOCK_STREAM)[0]
    except (OSError, UnicodeError) as error:
        raise TargetError(f"host {host!r} does not resolve: {getattr(error, 'strerror', 'no such name')}") from error
    return Target(text, family, address, context, host if tls else None)


def _tls_context(cafile: str | None, *, insecure: bool) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=cafile)
    except (OSError, ssl.SSLError) as error:
        raise TargetError(f"certificate file {cafile!r} cannot be read: {error}") from error
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
