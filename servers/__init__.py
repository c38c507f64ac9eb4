"""What is measured: one short file per concurrency model, interchangeable by one function.

    def serve(listener: socket.socket) -> None

Echo every byte of each connection until the process ends. The listener is bound, listening and blocking. Read at most
RECV_SIZE bytes at a time. Stop reading while the client does not take what it was sent, so that memory stays bounded.
After the client's end of file, send what is left and close. A fault of a client ends that client's connection only.
Print nothing.

A file here is its model and nothing else. It may import the standard library, the one library it is about, and the
constants below. The command line, the socket and the READY line belong to `servers/__main__.py`.

To add a server, add a file. Its name is the server's: `_` reads `-`, and a trailing `_` is dropped. The first line of
its docstring is what `python -m servers` says about it. The file may also state, as literals:

    LIBRARY = "trio"           the distribution and module it needs
    PYTHON_BELOW = (3, 12)     the first Python that this library does not run on
    PROGRAM = "cc"             the program it needs
    CONNECTIONS_MAX = 1        how many connections it serves at a time; one more waits, or is refused if
    REFUSES_BEYOND = True      this is stated too
    TEACHING = True            it shows a model or a limit: a report never recommends it for a service

and define `prepare()`, which is called before the server says that it is ready.

An asyncio server is `asyncio_NAME.py` with serve(listener, new_loop), where new_loop() makes an event loop. It runs on
asyncio's own loop, and as the server `LOOP-NAME` on every loop in `servers/_loops.py`.
"""

from __future__ import annotations

BACKLOG = 4096
"""Connections the kernel may hold for a server that has not accepted them yet (Linux's own ceiling, somaxconn)."""

RECV_SIZE = 64 * 1024
"""Bytes that a server asks for at a time."""

SWITCH_INTERVAL_S = 1.0
"""How long a thread waits for the interpreter's lock before it asks the holder to give it up: sys.setswitchinterval.

A thread that waits for a socket gives the lock up by itself. At Python's default, 5 ms, thousands of threads ask for
the lock so often that they take the CPU from the threads that work, and from the one that accepts.
"""
