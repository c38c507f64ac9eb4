"""Step 10: epoll. The kernel keeps the list of what is watched, so 10,000 clients may wait. It needs Linux."""

from __future__ import annotations

import heapq
import select
import signal
import socket
import time
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any

from _main import main

if TYPE_CHECKING:
    from collections.abc import Coroutine, Generator

RECV_SIZE = 64 * 1024
IDLE_S = 60
RETRY_S = 0.05  # when there is no descriptor for a new client


class Future:
    """A value that is not there yet, and the tasks that wait for it."""

    def __init__(self, loop: Loop) -> None:
        self.loop, self.done, self.value = loop, False, None
        self.error: Exception | None = None
        self.tasks: list[Task] = []

    def __await__(self) -> Generator[Future, None, Any]:
        """Suspend the task that awaits this until the value is there, and return the value."""
        if not self.done:
            yield self
        if self.error is not None:
            raise self.error
        return self.value

    def fail(self, error: Exception) -> None:
        """Give an error instead of the value: it is raised where a task waits."""
        self.error = error
        self.set()

    def set(self, value: Any = None) -> None:
        """Give the value. The tasks that wait go on at the loop's next turn."""
        self.done, self.value = True, value
        self.loop.ready.extend(self.tasks)


class Cancelled(BaseException):
    """Raised where a task waits that is to end now; no handler of OSError or Exception catches it."""


class Task(Future):
    """A coroutine that runs, and the future of what it returns."""

    def __init__(self, loop: Loop, coroutine: Coroutine[Future, None, Any]) -> None:
        super().__init__(loop)
        self.coroutine = coroutine
        self.waits_for: Future | None = None
        self.cancelled: Cancelled | None = None
        loop.ready.append(self)

    def resume(self) -> None:
        """Run the coroutine up to its next wait, and join those who wait for the same."""
        cancelled, self.cancelled = self.cancelled, None
        try:
            self.waits_for = self.coroutine.throw(cancelled) if cancelled else self.coroutine.send(None)
            self.waits_for.tasks.append(self)
        except StopIteration as end:
            self.set(end.value)
        except Cancelled:
            self.set()

    def cancel(self) -> None:
        """Have Cancelled raised where the coroutine waits, when its turn comes."""
        if not self.done and self.cancelled is None:
            self.cancelled = Cancelled()
            if self.waits_for is not None and not self.waits_for.done:  # else its turn comes anyway
                self.waits_for.tasks.remove(self)
                self.loop.ready.append(self)


class Loop:
    """The tasks that can go on, and the futures of sockets."""

    def __init__(self) -> None:
        self.ready: deque[Task] = deque()
        self.poller = select.epoll()
        self.watched: dict[int, int] = {}  # by descriptor: what the kernel will tell of it
        self.waiting: dict[int, Future] = {}
        self.timers: list[tuple[float, int, Future, Exception | None]] = []  # a heap: the first is due first
        self.outlived = 0  # timers whose futures were done before they were due
        self.numbers = count()  # of two that are due at once, the older one is first

    def readable(self, sock: socket.socket) -> Future:
        """Return the future that is done when a socket can be read."""
        return self.watch(sock.fileno(), select.EPOLLIN)

    def writable(self, sock: socket.socket) -> Future:
        """Return the future that is done when the kernel takes more for a socket."""
        return self.watch(sock.fileno(), select.EPOLLOUT)

    def watch(self, descriptor: int, event: int) -> Future:
        """Return the future of an event, and tell the kernel of it unless the last wait was for the same."""
        if descriptor not in self.watched:
            self.poller.register(descriptor, event)
        elif self.watched[descriptor] != event:
            self.poller.modify(descriptor, event)
        self.watched[descriptor] = event
        future = self.waiting[descriptor] = Future(self)
        return future

    def forget(self, sock: socket.socket) -> None:
        """Watch a socket no longer. Call this before it is closed."""
        if self.watched.pop(sock.fileno(), None) is not None:
            self.poller.unregister(sock)
        self.waiting.pop(sock.fileno(), None)

    def sleep(self, seconds: float) -> Future:
        """Return the future that is done after so many seconds."""
        future = Future(self)
        heapq.heappush(self.timers, (time.monotonic() + seconds, next(self.numbers), future, None))
        return future

    async def within(self, seconds: float, future: Future) -> Any:
        """Wait for a future, but not longer: then it fails with TimeoutError."""
        heapq.heappush(self.timers, (time.monotonic() + seconds, next(self.numbers), future, TimeoutError()))
        try:
            return await future
        finally:
            self.outlived += 1
            if self.outlived > len(self.timers) // 2:  # or the heap would hold all timers of the last minute
                self.timers = [timer for timer in self.timers if not timer[2].done]
                heapq.heapify(self.timers)
                self.outlived = 0

    def patience_s(self) -> float | None:
        """Return how long the kernel may wait: None is for ever."""
        if self.ready:
            return 0
        return max(0, self.timers[0][0] - time.monotonic()) if self.timers else None

    def run(self, task: Task) -> Any:
        """Set the futures of sockets that can be read, resume the tasks that can go on; return when `task` does."""
        while not task.done:
            for descriptor, _ in self.poller.poll(self.patience_s()):
                if descriptor in self.waiting:
                    self.waiting.pop(descriptor).set()
                else:  # nobody waits for it now, so the kernel need not repeat it
                    self.poller.modify(descriptor, 0)
                    self.watched[descriptor] = 0
            while self.timers and self.timers[0][0] <= time.monotonic():
                _, _, future, error = heapq.heappop(self.timers)
                if error is None:
                    future.set()
                elif not future.done:
                    future.fail(error)
            while self.ready:
                self.ready.popleft().resume()
        return task.value


def serve(listener: socket.socket) -> None:
    """Run one task that accepts, and one for each client."""
    loop = Loop()
    loop.run(Task(loop, until_told(loop, listener)))


async def until_told(loop: Loop, listener: socket.socket) -> None:
    """Cancel what runs when SIGTERM comes. The interpreter then writes a byte to a socket that a task waits for."""
    told, wake = socket.socketpair()
    wake.setblocking(False)
    signal.set_wakeup_fd(wake.fileno())
    signal.signal(signal.SIGTERM, lambda *_: None)
    clients: dict[socket.socket, Task] = {}
    acceptor = Task(loop, accept(loop, listener, clients))
    await loop.readable(told)
    for task in (acceptor, *clients.values()):
        task.cancel()
        await task


async def accept(loop: Loop, listener: socket.socket, clients: dict[socket.socket, Task]) -> None:
    """Give each client a task of its own."""
    listener.setblocking(False)
    while True:
        await loop.readable(listener)
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            continue  # the client has left
        except OSError:
            await loop.sleep(RETRY_S)
            continue
        clients[connection] = Task(loop, echo(loop, connection, clients))


async def echo(loop: Loop, connection: socket.socket, clients: dict[socket.socket, Task]) -> None:
    """Send back what comes until the client has finished, or is gone."""
    connection.setblocking(False)
    try:
        while True:
            await loop.within(IDLE_S, loop.readable(connection))
            data = connection.recv(RECV_SIZE)
            if not data:
                return
            await send_all(loop, connection, data)
    except OSError:
        pass  # a reset is the end of this client, not of the server
    finally:
        loop.forget(connection)
        connection.close()
        del clients[connection]


async def send_all(loop: Loop, connection: socket.socket, data: bytes) -> None:
    """Send the data, and wait whenever the kernel has no room for more."""
    while data:
        try:
            data = data[connection.send(data) :]
        except BlockingIOError:
            await loop.within(IDLE_S, loop.writable(connection))


if __name__ == "__main__":
    main(serve)
