"""Step 6: sleeping. A heap has the futures of the clock: when no descriptor is left, `accept` tries again later."""

from __future__ import annotations

import heapq
import select
import time
from collections import deque
from itertools import count
from typing import TYPE_CHECKING, Any

from _main import main

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine, Generator

RECV_SIZE = 64 * 1024
CONNECTIONS_MAX = 1000  # select gives up at descriptor 1024, and some are taken already
RETRY_S = 0.05  # when there is no descriptor for a new client


class Future:
    """A value that is not there yet, and the tasks that wait for it."""

    def __init__(self, loop: Loop) -> None:
        self.loop, self.done, self.value = loop, False, None
        self.tasks: list[Task] = []

    def __await__(self) -> Generator[Future, None, Any]:
        """Suspend the task that awaits this until the value is there, and return the value."""
        if not self.done:
            yield self
        return self.value

    def set(self, value: Any = None) -> None:
        """Give the value. The tasks that wait go on at the loop's next turn."""
        self.done, self.value = True, value
        self.loop.ready.extend(self.tasks)


class Task(Future):
    """A coroutine that runs, and the future of what it returns."""

    def __init__(self, loop: Loop, coroutine: Coroutine[Future, None, Any]) -> None:
        super().__init__(loop)
        self.coroutine = coroutine
        loop.ready.append(self)

    def resume(self) -> None:
        """Run the coroutine up to its next wait, and join those who wait for the same."""
        try:
            self.coroutine.send(None).tasks.append(self)
        except StopIteration as end:
            self.set(end.value)


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
        self.timers: list[tuple[float, int, Future]] = []  # a heap: the first is due first
        self.numbers = count()  # of two that are due at once, the older one is first

    def readable(self, sock: socket.socket) -> Future:
        """Return the future that is done when a socket can be read."""
        future = self.reading[sock] = Future(self)
        return future

    def sleep(self, seconds: float) -> Future:
        """Return the future that is done after so many seconds."""
        future = Future(self)
        heapq.heappush(self.timers, (time.monotonic() + seconds, next(self.numbers), future))
        return future

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
                heapq.heappop(self.timers)[2].set()
            while self.ready:
                self.ready.popleft().resume()
        return task.value


def serve(listener: socket.socket) -> None:
    """Run one task that accepts, and one for each client."""
    loop = Loop()
    loop.run(Task(loop, accept(loop, listener)))


async def accept(loop: Loop, listener: socket.socket) -> None:
    """Give each client a task of its own."""
    listener.setblocking(False)
    clients: dict[socket.socket, Task] = {}
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
            await loop.readable(connection)
            data = connection.recv(RECV_SIZE)
            if not data:
                return
            connection.sendall(data)
    except OSError:
        pass  # a reset is the end of this client, not of the server
    finally:
        connection.close()
        del clients[connection]
        room.set()


if __name__ == "__main__":
    main(serve)
