"""How this process gets memory without waiting for the machine's kernel. Nothing about loads may be added here."""

from __future__ import annotations

import ctypes
import gc
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_KEPT_BYTES = 1 << 30


def keep_freed() -> None:
    """Have malloc keep freed memory instead of returning it to the kernel, where each page would be faulted in anew.

    The arrays that each tick makes and drops are as large as the thresholds of glibc. Their page faults were pauses of
    0.2 ms. The process keeps the memory of its peak. Where there is no mallopt(3), nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)


@contextmanager
def no_collections() -> Iterator[None]:
    """Collect garbage now, and not again within the block: it would be a pause in somebody's latency.

    Nothing on the hot path makes cycles.
    """
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def touch(size_bytes: int) -> None:
    """Touch `size_bytes` of memory once, so that later growth causes no page faults. Works only after `keep_freed`.

    The first touch of a page costs some 2 us on a virtual machine, and a column that grows takes dozens at once.
    """
    held = b"." * size_bytes
    del held
