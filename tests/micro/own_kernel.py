"""What the kernel of the load generator does for its tasks, each as work that can be done so many times.

Nothing is timed here, and nothing is listed: `mechanisms.py` does that. Only the standard library and `clients/` may be
imported, because other Pythons have nothing more.
"""

from __future__ import annotations

import contextlib
import os
from itertools import repeat
from typing import TYPE_CHECKING

from clients.kernel import Kernel
from clients.traps import alarm, join, ready, watch

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from micro.mechanisms import Work


async def nothing() -> None:
    pass


async def listening(fd: int) -> None:
    """Watch a descriptor, and suspend whenever it is resumed."""
    await watch(fd)
    while True:
        await ready()


async def spawning(kernel: Kernel, _: int, times: int) -> None:
    for _ in repeat(None, times):
        await join(kernel.spawn(nothing()))


async def handing(kernel: Kernel, fd: int, times: int) -> None:
    kernel.spawn(listening(fd))
    await join(kernel.spawn(nothing()))  # by then the other task watches
    for _ in repeat(None, times):
        kernel.hand(fd, None)


async def coming_due(_: Kernel, __: int, times: int) -> None:
    for _ in repeat(None, times):
        await alarm(0)


async def becoming_ready(_: Kernel, fd: int, times: int) -> None:
    await watch(fd)
    for _ in repeat(None, times):
        await ready()


@contextlib.contextmanager
def on_our_kernel(main: Callable[[Kernel, int, int], object]) -> Iterator[Work]:
    """Run a coroutine on the kernel of the load generator, with a pipe that can be read for ever."""
    readable, writable = os.pipe()
    os.write(writable, b"x")

    def work(times: int) -> None:
        kernel = Kernel()
        kernel.run(main(kernel, readable, times))

    try:
        yield work
    finally:
        os.close(readable)
        os.close(writable)
