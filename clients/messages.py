"""What is sent: messages that are unique on their connection, and among connections.

A message begins with eight bytes that hold a sequence number and the number of its connection, least significant byte
first, so that even a message of one byte differs from the one before; the fast conversations write a time there, which
none of their messages has twice. The rest is pseudo-random bytes, with all values among them. A stale, swapped or
damaged reply cannot equal the message that is expected.
"""

from __future__ import annotations

import random
import struct
from itertools import count, cycle
from typing import TYPE_CHECKING

import numpy as np

from clients.grammar import parse_sizes

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from clients.workload import Workload

_STAMP = struct.Struct("<Q")
STAMP_BYTES = _STAMP.size
_DRAWN_AT_ONCE = 1024
_CONNECTION_SHIFT = 40  # a connection sends fewer than 2**40 messages


def messages(workload: Workload, connection: int) -> Iterator[bytes | bytearray]:
    """Return the messages of a connection, given by its number, without end; what takes long to make is made now.

    Messages of one size are stamped into `pipeline` buffers in turn, since no more are in flight: a message is valid
    until `pipeline` more were taken.
    """
    numbers = count(connection << _CONNECTION_SHIFT)
    filling = _filling(max(workload.message_bytes - STAMP_BYTES, 0))
    if workload.message_sizes:
        return _of_drawn_sizes(numbers, filling, draw_sizes(workload.message_sizes, workload.seed + connection))
    if workload.message_bytes < STAMP_BYTES:
        return (_STAMP.pack(number)[: workload.message_bytes] for number in numbers)
    return _of_one_size(numbers, [bytearray(STAMP_BYTES) + filling for _ in range(workload.pipeline)])


def draw_sizes(text: str, seed: int) -> Iterator[int]:
    """Yield the sizes in bytes of a range or a mixture, without end; the seed decides which."""
    sizes = parse_sizes(text)
    assert not isinstance(sizes, int)  # a workload of one size draws none
    random = np.random.default_rng(seed)
    while True:
        if isinstance(sizes, range):
            yield from random.integers(sizes.start, sizes.stop, _DRAWN_AT_ONCE).tolist()
        else:
            yield from random.choice(sizes[0], _DRAWN_AT_ONCE, p=sizes[1]).tolist()


def _of_drawn_sizes(numbers: Iterable[int], filling: bytes, sizes: Iterable[int]) -> Iterator[bytes]:
    for number, size in zip(numbers, sizes, strict=False):
        yield _STAMP.pack(number)[:size] + filling[: max(size - STAMP_BYTES, 0)]


def _of_one_size(numbers: Iterable[int], buffers: list[bytearray]) -> Iterator[bytearray]:
    for number, buffer in zip(numbers, cycle(buffers), strict=False):
        _STAMP.pack_into(buffer, 0, number)
        yield buffer


_cached_filling = b""


def _filling(size: int) -> bytes:
    """Return `size` pseudo-random bytes, the same for every connection, made once."""
    global _cached_filling  # noqa: PLW0603  # 10,000 connections share one
    if len(_cached_filling) != size:
        _cached_filling = random.Random(size).randbytes(size)
    return _cached_filling
