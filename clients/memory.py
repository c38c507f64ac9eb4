"""How this process gets memory without waiting for the kernel of the machine. Knows nothing of loads."""

from __future__ import annotations

import ctypes

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # of glibc's malloc.h
_KEPT_BYTES = 1 << 30


def keep_freed() -> None:
    """Have malloc keep what is freed rather than give it back to the kernel: each page would be faulted in anew.

    The arrays that a tick makes and drops are as large as the thresholds of glibc, and their page faults were pauses of
    0.2 ms. Memory stays at its peak; where there is no mallopt(3), nothing changes.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)


def touch(size_bytes: int) -> None:
    """Have so much memory at hand, for a process that keeps what it frees.

    The first touch of a page costs some 2 us on a virtual machine, and a column that grows takes dozens at once.
    """
    held = b"." * size_bytes
    del held
