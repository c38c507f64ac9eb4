"""The one clock of the load generator, and how to wait on many sockets until a moment of it.

Times are integer nanoseconds of CLOCK_MONOTONIC. All processes of a machine share it, so a start time means the same
to all of them. The kernel takes clock and poller as arguments, and a test gives it a clock that moves by hand. Nothing
else in this room may ask for the time.
"""

from __future__ import annotations

import select
import selectors
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

NowNs = Callable[[], int]
Events = list[tuple[int, int]]
now_ns: NowNs = time.monotonic_ns

_MILLISECOND_NS = 1_000_000


class Poller(Protocol):
    """Level-triggered readiness of many descriptors."""

    def register(self, fd: int) -> None:
        """Watch a descriptor for reading."""

    def want_write(self, fd: int, *, wanted: bool) -> None:
        """Watch a registered descriptor for writing too, or no longer."""

    def unregister(self, fd: int) -> None:
        """Forget a descriptor."""

    @property
    def poll(self) -> Callable[[], Events]:
        """A function of no arguments: (descriptor, events) of those that are ready now."""

    def wait(self, timeout_ns: int) -> Events:
        """Return the same as soon as a descriptor is ready; nothing if none is after about `timeout_ns`, above 0."""

    def close(self) -> None:
        """Free what the poller holds."""


class EpollPoller:
    """Poller over Linux's epoll, with waits to the resolution of the kernel's timers."""

    def __init__(self, *, batch: int) -> None:
        """Return at most `batch` descriptors at once: the fewer, the more often the kernel reads the clock."""
        self._epoll = select.epoll()
        self._fd = self._epoll.fileno()
        self._batch = batch
        self.poll: Callable[[], Events] = partial(
            self._epoll.poll, 0, batch
        )  # a partial has no frame: this is called all the time

    def register(self, fd: int) -> None:
        """See Poller."""
        self._epoll.register(fd, select.EPOLLIN)

    def want_write(self, fd: int, *, wanted: bool) -> None:
        """See Poller."""
        self._epoll.modify(fd, select.EPOLLIN | select.EPOLLOUT if wanted else select.EPOLLIN)

    def unregister(self, fd: int) -> None:
        """See Poller."""
        self._epoll.unregister(fd)

    def wait(self, timeout_ns: int) -> Events:
        """See Poller."""
        # Python rounds epoll's timeout up to a whole millisecond, so a long wait stops short of its end, and a short
        # one is made by select() on epoll's own descriptor, whose timeout is as fine as the kernel's timers.
        if timeout_ns > 3 * _MILLISECOND_NS:
            return self._epoll.poll((timeout_ns - 2 * _MILLISECOND_NS) / 1e9, self._batch)
        if select.select((self._fd,), (), (), timeout_ns / 1e9)[0]:
            return self.poll()
        return []

    def close(self) -> None:
        """See Poller."""
        self._epoll.close()


class SelectorPoller:
    """Poller over the best selector of the platform, for where there is no epoll."""

    def __init__(self) -> None:
        self._selector = selectors.DefaultSelector()

    def register(self, fd: int) -> None:
        """See Poller."""
        self._selector.register(fd, selectors.EVENT_READ)

    def want_write(self, fd: int, *, wanted: bool) -> None:
        """See Poller."""
        self._selector.modify(fd, selectors.EVENT_READ | selectors.EVENT_WRITE if wanted else selectors.EVENT_READ)

    def unregister(self, fd: int) -> None:
        """See Poller."""
        self._selector.unregister(fd)

    def poll(self) -> Events:
        """See Poller."""
        return self.wait(0)

    def wait(self, timeout_ns: int) -> Events:
        """See Poller."""
        return [(key.fd, events) for key, events in self._selector.select(timeout_ns / 1e9)]

    def close(self) -> None:
        """See Poller."""
        self._selector.close()


def best_poller(*, batch: int = 128) -> Poller:
    """Return the finest poller that this platform has."""
    return EpollPoller(batch=batch) if hasattr(select, "epoll") else SelectorPoller()
