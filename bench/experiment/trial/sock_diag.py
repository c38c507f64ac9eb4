"""Which TCP sockets listen on a port of this machine, as the kernel tells over netlink, see sock_diag(7). Reads only.

The tables of /proc/net tell it too, but not which listener takes IPv6 alone. And they have a row for every connection,
also for the tens of thousands that linger for a minute after a load: to read them takes longer than a server's start.
"""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import closing
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

Address = IPv4Address | IPv6Address

_SOCK_DIAG, _BY_FAMILY, _DUMP = 4, 20, 0x301
_END = 3  # NLMSG_DONE; any other kind is an error
_LISTENING = 1 << 10
_V6ONLY = 11  # INET_DIAG_SKV6ONLY
_REQUEST = struct.Struct("=BBxxIH46x")
_HEADER, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=HH")
_MESSAGE = struct.Struct("=B3x2s2x16s44xI")  # an inet_diag_msg: family, source port, source address, inode
_ADDRESS_BYTES = {socket.AF_INET: 4, socket.AF_INET6: 16}
_ANSWER_BYTES, _ANSWER_S = 1 << 16, 1.0


class ListeningSocket(NamedTuple):
    """A listener. `inode` is how the links in /proc/PID/fd call it."""

    address: Address
    inode: str
    is_v6only: bool = False


def listening_sockets(port: int) -> list[ListeningSocket] | None:
    """Return the listeners on a port; None where the kernel does not tell, or may not be asked."""
    if sys.platform != "linux":
        return None
    try:
        with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG)) as kernel:
            kernel.settimeout(_ANSWER_S)
            return [found for family in _ADDRESS_BYTES for found in _asked(kernel, family, port)]
    except OSError:
        return None


def _asked(kernel: socket.socket, family: socket.AddressFamily, port: int) -> Iterator[ListeningSocket]:
    """Yield the listeners of one family. Raise OSError if there is no answer."""
    request = _REQUEST.pack(family, socket.IPPROTO_TCP, _LISTENING, socket.htons(port))
    kernel.send(_HEADER.pack(_HEADER.size + len(request), _BY_FAMILY, _DUMP, 0, 0) + request)
    while True:
        answer = kernel.recv(_ANSWER_BYTES)
        while answer:
            size, kind, *_ = _HEADER.unpack_from(answer)
            if kind == _END:
                return
            if kind != _BY_FAMILY:
                raise OSError(f"the kernel knows no listeners of {family.name}")
            message, answer = answer[_HEADER.size : size], answer[_aligned(size) :]
            _, at, address, inode = _MESSAGE.unpack_from(message)
            if int.from_bytes(at, "big") == port:  # port 0 asks for all
                yield ListeningSocket(
                    ip_address(address[: _ADDRESS_BYTES[family]]), str(inode), _is_v6only(message[_MESSAGE.size :])
                )


def _is_v6only(attributes: bytes) -> bool:
    while attributes:
        size, kind = _ATTRIBUTE.unpack_from(attributes)
        if kind == _V6ONLY:
            return attributes[_ATTRIBUTE.size] == 1
        attributes = attributes[_aligned(size) :]
    return False


def _aligned(size: int) -> int:
    return (size + 3) & ~3
