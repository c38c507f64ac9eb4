"""Addresses as people write them. Resolves and opens nothing."""

from __future__ import annotations

from bench.errors import UsageError

UNIX_PREFIX = "unix:"
ABSTRACT = f"{UNIX_PREFIX}@"
"""How other tools write a socket that has a name and no file. A file whose name begins so is `unix:./@NAME`."""
PORTS = range(1, 1 << 16)


def split_address(text: str) -> tuple[str, int]:
    """Return host and port of HOST:PORT or [IPV6]:PORT; for unix:PATH all of it and 0. Raise UsageError otherwise."""
    if text.startswith(ABSTRACT):
        raise UsageError(f"{text!r} is a socket without a file, which cannot be measured: have it listen at a path")
    if text.startswith(UNIX_PREFIX) and text != UNIX_PREFIX:
        return text, 0
    host, _, port = text.rpartition(":")
    bare = host.removeprefix("[").removesuffix("]")
    if not bare or not port.isdecimal() or int(port) not in PORTS or (":" in bare) != host.startswith("["):
        raise UsageError(f"{text!r} is not an address: write HOST:PORT, [IPV6]:PORT or unix:PATH")
    return bare, int(port)


def join_address(host: str, port: int) -> str:
    """Return what `split_address` would split into these."""
    if host.startswith(UNIX_PREFIX):
        return host
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
