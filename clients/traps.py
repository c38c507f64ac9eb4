"""What a coroutine may ask of the kernel: the coroutines' side of `kernel.py`, as a list.

`suspend` has the only `yield` of this room's `async` functions. A trap that can be built on these may not be added.
"""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any, TypeVar

from clients.kernel import Kernel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Generator

    from clients.clock import NowNs
    from clients.kernel import Task, Trap

T = TypeVar("T")


@types.coroutine
def suspend(trap: Trap = None) -> Generator[Trap, Any, Any]:
    """Yield to the kernel, and return what the kernel resumes the task with."""
    return (yield trap)


def ready() -> Awaitable[None]:
    """Await this to be resumed when the watched descriptor is ready, or earlier."""
    return suspend()


def watch(fd: int) -> Awaitable[None]:
    """Await this to become the task that `fd` resumes, and to go on."""
    return suspend((Kernel.on_watch, fd))


def alarm(due_ns: int) -> Awaitable[None]:
    """Await this to be resumed at `due_ns`, or when the watched descriptor is ready if that is earlier."""
    return suspend(until(due_ns))


def until(due_ns: int) -> Trap:
    """Return the trap of an alarm, for a loop that yields by itself."""
    return (Kernel.on_alarm, due_ns)


async def sleep_until(due_ns: int, clock: NowNs) -> None:
    """Return once the clock reads `due_ns` or more."""
    while clock() < due_ns:
        await alarm(due_ns)


async def join(task: Task[T]) -> T:
    """Return what another task returned, once it has ended; None if it was cancelled."""
    while not task.done:
        await suspend((Kernel.on_join, task))
    return task.result  # type: ignore[return-value]  # done, so it is what the task returned
