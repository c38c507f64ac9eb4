"""Worker processes, one for each CPU and at least two: each runs `coroutines` and accepts from the same listener."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from servers import coroutines

if TYPE_CHECKING:
    import socket

TEACHING = True
WORKERS_MIN = 2  # one worker would be the model of `coroutines`


def serve(listener: socket.socket) -> None:
    """Fork a worker for every CPU this process may use, and wait: the kernel hands out the connections."""
    gone, _open_while_we_live = os.pipe()
    for _ in range(max(WORKERS_MIN, cpus())):
        if os.fork() == 0:
            os.close(_open_while_we_live)
            threading.Thread(target=die_with_parent, args=(gone,), daemon=True).start()
            coroutines.serve(listener)
    worker, status = os.wait()
    raise RuntimeError(f"worker {worker} ended with wait status {status}")


def cpus() -> int:
    """Return how many CPUs this process may use."""
    if hasattr(os, "sched_getaffinity"):  # Linux; and not under every interpreter
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def die_with_parent(gone: int) -> None:
    """End the worker when the parent has gone, whatever ended it: only then does the pipe come to its end."""
    os.read(gone, 1)
    os._exit(0)
