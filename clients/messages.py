"""What is sent: messages that are unique on their connection, and among connections.

A message begins with eight bytes that hold a sequence number and the number of its connection, least significant byte
first, so that even a message of one byte differs from the one before. The rest is pseudo-random bytes, with all values
among them. A stale, swapped or damaged reply cannot equal the message that is expected.
"""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from itertools import count, cycle

from clients.sizes import draw_sizes
from clients.workload import Workload

_STAMP = struct.Struct("<Q")
_CONNECTION_SHIFT = 40  # a connection sends fewer than 2**40 messages


def messages(workload: Workload, number: int) -> Iterator[bytes | bytearray]:
    """Yield the messages of connection `number` without end.

    Messages of one size are stamped into `pipeline` buffers in turn, since no more are in flight: a message is valid
    until `pipeline` more were taken.
    """
    stamps = count(number << _CONNECTION_SHIFT)
    filling = _filling(max(workload.message_bytes - _STAMP.size, 0))
    if workload.message_sizes:
        for stamp, size in zip(stamps, draw_sizes(workload.message_sizes, workload.seed + number), strict=False):
            yield _STAMP.pack(stamp)[:size] + filling[: max(size - _STAMP.size, 0)]
    elif workload.message_bytes < _STAMP.size:
        for stamp in stamps:
            yield _STAMP.pack(stamp)[: workload.message_bytes]
    else:
        stamp_into = _STAMP.pack_into
        buffers = cycle([bytearray(_STAMP.size) + filling for _ in range(workload.pipeline)])
        for stamp, buffer in zip(stamps, buffers, strict=False):
            stamp_into(buffer, 0, stamp)
            yield buffer


_cached_filling = b""


def _filling(size: int) -> bytes:
    """Return `size` pseudo-random bytes, the same for every connection, made once."""
    global _cached_filling  # noqa: PLW0603  # 10,000 connections share one
    if len(_cached_filling) != size:
        _cached_filling = random.Random(size).randbytes(size)
    return _cached_filling
