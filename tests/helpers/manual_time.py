"""Time that is moved by hand, for tests of what runs on the load generator's kernel. Nothing here knows the real time.

A `FakePoller` also holds the kernel to the contract of a poller. Sockets and processes belong elsewhere.
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass, field

from clients.kernel import Kernel

POLL_NS = 1_000
"""How far a `FakePoller` moves the clock when it is polled."""

POLLS_MAX = 100_000


class ManualClock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now_ns = 0

    def __call__(self) -> int:
        return self.now_ns


@dataclass
class FakePoller:
    """Readiness by script; waiting moves the clock. Obeys `clients.clock.Poller`, and holds the kernel to it."""

    clock: ManualClock
    wants_write: dict[int, bool] = field(default_factory=dict)
    waits_ns: list[int] = field(default_factory=list)
    is_closed: bool = False
    _script: list[tuple[int, int, tuple[int, ...]]] = field(default_factory=list)

    def at(self, when_ns: int, *fds: int) -> None:
        """Let descriptors become ready, in this order in one batch, at a time."""
        heapq.heappush(self._script, (when_ns, len(self._script), fds))

    def register(self, fd: int) -> None:
        assert fd not in self.wants_write, f"descriptor {fd} is registered twice"
        self.wants_write[fd] = False

    def want_write(self, fd: int, *, wanted: bool) -> None:
        assert fd in self.wants_write, f"descriptor {fd} is not registered"
        self.wants_write[fd] = wanted

    def unregister(self, fd: int) -> None:
        del self.wants_write[fd]

    def poll(self) -> list[tuple[int, int]]:
        return self.wait(0)

    def wait(self, timeout_ns: int) -> list[tuple[int, int]]:
        self.waits_ns.append(timeout_ns)
        assert len(self.waits_ns) < POLLS_MAX, "the kernel waits without end"
        end_ns = self.clock.now_ns + max(timeout_ns, POLL_NS)
        ready = []
        while self._script and self._script[0][0] <= end_ns:
            when_ns, _, fds = heapq.heappop(self._script)
            end_ns = max(self.clock.now_ns, when_ns)
            ready += [(fd, 1) for fd in fds if fd in self.wants_write]
            if ready:
                break
        self.clock.now_ns = end_ns
        return ready

    def close(self) -> None:
        self.is_closed = True


class World:
    """A kernel, its clock and its poller, none of which knows the real time."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.poller = FakePoller(self.clock)
        self.kernel = Kernel(clock=self.clock, poller=self.poller)
