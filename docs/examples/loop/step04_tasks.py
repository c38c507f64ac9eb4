"""Step 4: tasks. A coroutine that runs is itself a future, of what it returns; and many may wait for one future."""

from __future__ import annotations

import select
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from _main import main

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine, Generator

RECV_SIZE = 64 * 1024


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


class Loop:
    """The tasks that can go on, and the futures of sockets."""

    def __init__(self) -> None:
        self.ready: deque[Task] = deque()
        self.reading: dict[socket.socket, Future] = {}

    def readable(self, sock: socket.socket) -> Future:
        """Return the future that is done when a socket can be read."""
        future = self.reading[sock] = Future(self)
        return future

    def run(self, task: Task) -> Any:
        """Set the futures of sockets that can be read, resume the tasks that can go on; return when `task` does."""
        while not task.done:
            readable, _, _ = select.select(self.reading, (), (), 0 if self.ready else None)
            for sock in readable:
                self.reading.pop(sock).set()
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
    while True:
        await loop.readable(listener)
        with suppress(BlockingIOError):
            connection, _ = listener.accept()
            Task(loop, echo(loop, connection))


async def echo(loop: Loop, connection: socket.socket) -> None:
    """Send back what comes until the client has finished, or is gone."""
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


if __name__ == "__main__":
    main(serve)
