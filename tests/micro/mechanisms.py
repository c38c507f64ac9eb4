"""The ways to leave a piece of work and to come back to it, each as work that can be done so many times.

Nothing is timed here. What is listed must run on any Python from 3.11 on, so only the standard library, `clients/` and
what a mechanism `needs` may be imported. One suspension is the way out and the way back.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import io
import os
import runpy
import subprocess
import sys
import threading
import types
from functools import partial
from itertools import repeat
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from micro.own_kernel import becoming_ready, coming_due, handing, on_our_kernel, spawning

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    Work = Callable[[int], None]

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
DEPTHS = (1, 3, 10, 30, 100)
TREE_DEPTH = 5
ECHO = "import os\nwhile data := os.read(0, 1): os.write(1, data)"
OUT = object()


class Mechanism(NamedTuple):
    """A way: its name, its words, what opens it, and the row of the plot that it stands in, with its depth there."""

    name: str
    words: str
    opened: Callable[[], AbstractContextManager[Work]]
    row: str
    depth: int | None = None
    needs: str = ""  # a package without which it cannot be


def resuming(send: Callable[[None], object]) -> Work:
    """Return the work of calling `send`, or what stands for it."""

    def work(times: int) -> None:
        for nothing in repeat(None, times):
            send(nothing)

    return work


def resumed(make: Callable[[], object]) -> AbstractContextManager[Work]:
    """Open the work of resuming a generator or a coroutine, which suspends for ever."""
    return contextlib.nullcontext(resuming(make().send))


@contextlib.contextmanager
def loop_alone() -> Iterator[Work]:
    """Turn the loop that all mechanisms of `resuming` have in them."""

    def work(times: int) -> None:
        for _ in repeat(None, times):
            pass

    yield work


@contextlib.contextmanager
def plain_call() -> Iterator[Work]:
    """Call a function that returns at once: what a callback costs."""

    def callback(_):
        return OUT

    yield resuming(callback)


def generator():
    while True:
        yield OUT


def delegating(depth):
    """Suspend below so many generators."""
    yield from generator() if depth == 1 else delegating(depth - 1)


@types.coroutine
def suspended():
    while True:
        yield OUT


@types.coroutine
def suspended_once():
    yield OUT


async def awaiting(depth):
    """Suspend below so many coroutines."""
    await (suspended() if depth == 1 else awaiting(depth - 1))


async def awaiting_anew():
    while True:
        await suspended_once()


@contextlib.contextmanager
def tree(name: str) -> Iterator[Work]:
    """Run the tree of the tutorial, whose program shows that it has 63 nodes."""
    with contextlib.redirect_stdout(io.StringIO()):
        grown = runpy.run_path(str(EXAMPLES / f"{name}.py"))[name]

    def work(times: int) -> None:
        for _ in repeat(None, times):
            with contextlib.suppress(StopIteration):
                grown(TREE_DEPTH).send(None)

    yield work


@contextlib.contextmanager
def greenlet_switch() -> Iterator[Work]:
    """Switch to a greenlet, which switches back."""
    greenlet = importlib.import_module("greenlet").greenlet

    def run(_):
        while True:
            main.switch(OUT)

    main = greenlet.getcurrent()
    yield resuming(greenlet(run).switch)


async def sleep_zero(times: int) -> None:
    for _ in repeat(None, times):
        await asyncio.sleep(0)


async def await_futures(times: int) -> None:
    loop = asyncio.get_running_loop()
    for _ in repeat(None, times):
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        await future


@contextlib.contextmanager
def on_a_loop(library: str, main: Callable[[int], object]) -> Iterator[Work]:
    """Run a coroutine on an event loop that stays open."""
    loop = importlib.import_module(library).new_event_loop()

    def work(times: int) -> None:
        loop.run_until_complete(main(times))

    try:
        yield work
    finally:
        loop.close()


@contextlib.contextmanager
def thread_switch() -> Iterator[Work]:
    """Wake a thread, which wakes this one, and waits: the way in which a thread for each connection suspends."""
    go, gone, ended = threading.Lock(), threading.Lock(), []

    def answer() -> None:
        go.acquire()
        while not ended:
            gone.release()
            go.acquire()

    def work(times: int) -> None:
        for _ in repeat(None, times):
            go.release()
            gone.acquire()

    go.acquire()
    gone.acquire()
    thread = threading.Thread(target=answer)
    thread.start()
    try:
        yield work
    finally:
        ended.append(True)
        go.release()
        thread.join()


@contextlib.contextmanager
def process_switch() -> Iterator[Work]:
    """Wake a process, which wakes this one: a byte through a pipe, and a byte back."""
    command = [sys.executable, "-I", "-S", "-c", ECHO]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as echo:
        there, back = echo.stdin.fileno(), echo.stdout.fileno()

        def work(times: int) -> None:
            for _ in repeat(None, times):
                os.write(there, b"x")
                if not os.read(back, 1):
                    raise RuntimeError("the process at the other end of the pipe has ended")

        yield work


def _deep(row: str, what: str, make: Callable[[int], object]) -> list[Mechanism]:
    words = "a {} {} deep is resumed: every level passes it on"
    return [
        Mechanism(f"{row} {depth}", words.format(what, depth), partial(resumed, partial(make, depth)), row, depth)
        for depth in DEPTHS
    ]


def _alone(name: str, words: str, opened: Callable[[], AbstractContextManager[Work]], needs: str = "") -> Mechanism:
    return Mechanism(name, words, opened, name, None, needs)


def _on(library: str, name: str, words: str, main: Callable[[int], object]) -> Mechanism:
    return _alone(f"{library} {name}", words, partial(on_a_loop, library, main), library)


CALL = "call"
"""The yardstick."""

MECHANISMS = (
    _alone("loop", "a loop turns, as it does in all that follows", loop_alone),
    _alone(CALL, "a function is called, and returns", plain_call),
    _alone("send", "a generator is resumed, and suspends", partial(resumed, generator)),
    *_deep("yield from", "generator", delegating),
    *_deep("await", "coroutine", awaiting),
    _alone("await anew", "a coroutine is resumed, and makes a new awaitable", partial(resumed, awaiting_anew)),
    _alone("binary(5)", "63 generators of a tree are made, run and ended", partial(tree, "binary")),
    _alone("abinary(5)", "63 coroutines of a tree are made, run and ended", partial(tree, "abinary")),
    _alone("greenlet", "a greenlet is switched to, and switches back", greenlet_switch, "greenlet"),
    _on("asyncio", "sleep(0)", "an asyncio task lets the loop run: sleep(0)", sleep_zero),
    _on("asyncio", "future", "an asyncio task awaits a future, which a callback sets", await_futures),
    _on("uvloop", "sleep(0)", "a task on uvloop lets the loop run: sleep(0)", sleep_zero),
    _on("uvloop", "future", "a task on uvloop awaits a future, which a callback sets", await_futures),
    _alone("kernel switch", "clients/kernel.py resumes a task, which suspends", partial(on_our_kernel, handing)),
    _alone("kernel timer", "clients/kernel.py wakes a task whose time has come", partial(on_our_kernel, coming_due)),
    _alone(
        "kernel wake-up", "clients/kernel.py wakes a task whose pipe is ready", partial(on_our_kernel, becoming_ready)
    ),
    _alone(
        "kernel spawn", "clients/kernel.py spawns a task, which ends, and joins it", partial(on_our_kernel, spawning)
    ),
    _alone("thread", "a thread is woken, and wakes this one: two locks", thread_switch),
    _alone("process", "a process is woken, and wakes this one: two pipes", process_switch),
)
