"""Step 3: futures. A coroutine waits for a value that is not there yet, and whoever has the value sets it."""

from __future__ import annotations

import select
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from _main import main

if TYPE_CHECKING:
    import socket
    from collections.abc import Coroutine, Generator

    Task = Coroutine["Future", None, None]

RECV_SIZE = 64 * 1024


class Future:
    """A value that is not there yet, and the task that waits for it."""

    def __init__(self, loop: Loop) -> None:
        self.loop, self.done, self.value = loop, False, None
        self.task: Task | None = None

    def __await__(self) -> Generator[Future, None, Any]:
        """Suspend the task that awaits this until the value is there, and return the value."""
        if not self.done:
            yield self
        return self.value

    def set(self, value: Any = None) -> None:
        """Give the value. The task that waits goes on at the loop's next turn."""
        self.done, self.value = True, value
        if self.task:
            self.loop.ready.append(self.task)


class Loop:
    """The coroutines that can go on, and the futures of sockets."""

    def __init__(self) -> None:
        self.ready: deque[Task] = deque()
        self.reading: dict[socket.socket, Future] = {}

    def readable(self, sock: socket.socket) -> Future:
        """Return the future that is done when a socket can be read."""
        future = self.reading[sock] = Future(self)
        return future

    def run(self) -> None:
        """Set the futures of sockets that can be read, resume the coroutines that can go on, and again."""
        while True:
            readable, _, _ = select.select(self.reading, (), (), 0 if self.ready else None)
            for sock in readable:
                self.reading.pop(sock).set()
            while self.ready:
                task = self.ready.popleft()
                with suppress(StopIteration):
                    task.send(None).task = task


def serve(listener: socket.socket) -> None:
    """Run one coroutine that accepts, and one for each client."""
    loop = Loop()
    loop.ready.append(accept(loop, listener))
    loop.run()


async def accept(loop: Loop, listener: socket.socket) -> None:
    """Give each client a coroutine of its own."""
    listener.setblocking(False)
    while True:
        await loop.readable(listener)
        with suppress(BlockingIOError):
            connection, _ = listener.accept()
            loop.ready.append(echo(loop, connection))


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
