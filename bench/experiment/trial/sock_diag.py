"""What the kernel tells of TCP listeners beyond its tables: which of them take IPv6 alone. Reads only.

Asked over netlink, see sock_diag(7). Where there is none, nothing is known.
"""

from __future__ import annotations

import socket
import struct
import sys
from contextlib import closing
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_SOCK_DIAG, _BY_FAMILY, _DUMP = 4, 20, 0x301
_LISTENING = 1 << 10
_V6ONLY = 11  # INET_DIAG_SKV6ONLY
_HEADER, _ATTRIBUTE = struct.Struct("=IHHII"), struct.Struct("=HH")
_INODE_AT, _ATTRIBUTES_AT = 68, 72  # in an inet_diag_msg
_ANSWER_BYTES, _ANSWER_S = 1 << 16, 1.0


def v6only_sockets() -> set[str]:
    """Return the listening sockets that take no connections of IPv4, by their inodes; none where that is not told."""
    if sys.platform != "linux":
        return set()
    request = struct.pack("=BBxxI48x", socket.AF_INET6, socket.IPPROTO_TCP, _LISTENING)
    header = _HEADER.pack(_HEADER.size + len(request), _BY_FAMILY, _DUMP, 0, 0)
    try:
        with closing(socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _SOCK_DIAG)) as kernel:
            kernel.settimeout(_ANSWER_S)
            kernel.send(header + request)
            return set(_v6only(kernel))
    except OSError:  # a kernel without it, or one that may not be asked
        return set()


def _v6only(kernel: socket.socket) -> Iterator[str]:
    while True:
        answer = kernel.recv(_ANSWER_BYTES)
        while answer:
            size, kind, *_ = _HEADER.unpack_from(answer)
            if kind != _BY_FAMILY:  # the end, or an error
                return
            message, answer = answer[_HEADER.size : size], answer[_aligned(size) :]
            if _is_v6only(message[_ATTRIBUTES_AT:]):
                yield str(int.from_bytes(message[_INODE_AT:_ATTRIBUTES_AT], sys.byteorder))


def _is_v6only(attributes: bytes) -> bool:
    while attributes:
        size, kind = _ATTRIBUTE.unpack_from(attributes)
        if kind == _V6ONLY:
            return attributes[_ATTRIBUTE.size] == 1
        attributes = attributes[_aligned(size) :]
    return False


def _aligned(size: int) -> int:
    return (size + 3) & ~3
