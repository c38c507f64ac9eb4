"""Step 8: cancellation. An exception is thrown into a task where it waits: SIGTERM ends every client in order."""

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
CONNECTIONS_MAX = 1000  # select gives up at descriptor 1024, and some are taken already
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


class Event:
    """Something that is so, or is not so yet: tasks wait until it is."""

    def __init__(self, loop: Loop) -> None:
        self.loop, self.future = loop, Future(loop)

    def set(self) -> None:
        """Say that it is so from now on."""
        if not self.future.done:
            self.future.set()

    def clear(self) -> None:
        """Say that it is no longer so."""
        self.future = Future(self.loop)

    async def wait(self) -> None:
        """Wait until it is so. Another task may be resumed first and change that, so look again."""
        while not self.future.done:
            await self.future


class Loop:
    """The tasks that can go on, and the futures of sockets."""

    def __init__(self) -> None:
        self.ready: deque[Task] = deque()
        self.reading: dict[socket.socket, Future] = {}
        self.timers: list[tuple[float, int, Future, Exception | None]] = []  # a heap: the first is due first
        self.outlived = 0  # timers whose futures were done before they were due
        self.numbers = count()  # of two that are due at once, the older one is first

    def readable(self, sock: socket.socket) -> Future:
        """Return the future that is done when a socket can be read."""
        future = self.reading[sock] = Future(self)
        return future

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
        """Return how long `select` may wait: None is for ever."""
        if self.ready:
            return 0
        return max(0, self.timers[0][0] - time.monotonic()) if self.timers else None

    def run(self, task: Task) -> Any:
        """Set the futures of sockets that can be read, resume the tasks that can go on; return when `task` does."""
        while not task.done:
            readable, _, _ = select.select(self.reading, (), (), self.patience_s())
            for sock in readable:
                self.reading.pop(sock).set()
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
    room = Event(loop)
    room.set()
    while True:
        await room.wait()
        await loop.readable(listener)
        try:
            connection, _ = listener.accept()
        except BlockingIOError:
            continue  # the client has left
        except OSError:
            await loop.sleep(RETRY_S)
            continue
        clients[connection] = Task(loop, echo(loop, connection, clients, room))
        if len(clients) == CONNECTIONS_MAX:
            room.clear()


async def echo(loop: Loop, connection: socket.socket, clients: dict[socket.socket, Task], room: Event) -> None:
    """Send back what comes until the client has finished, or is gone; then there is room for another."""
    try:
        while True:
            await loop.within(IDLE_S, loop.readable(connection))
            data = connection.recv(RECV_SIZE)
            if not data:
                return
            connection.sendall(data)
    except OSError:
        pass  # a reset is the end of this client, not of the server
    finally:
        loop.reading.pop(connection, None)  # a wait that timed out has left its future there
        connection.close()
        del clients[connection]
        room.set()


if __name__ == "__main__":
    main(serve)
