"""What it costs to suspend a function and to resume it, in each of the ways that the servers are built on.

One suspension is the way out and the way back. Before it is timed, each way is shown to suspend: what comes out is
what the innermost function gave, or two of a kind take turns.
"""

from __future__ import annotations

import asyncio
import threading
import types

import pytest
from greenlet import greenlet

OUT = object()


def generator():
    while True:
        yield OUT


def delegating(depth):
    if depth == 0:
        yield from generator()
    yield from delegating(depth - 1)


@types.coroutine
def trap():
    yield OUT


class Trap(tuple):
    """A trap made in C: the iterator of a tuple of one suspends once."""

    __slots__ = ()
    __await__ = tuple.__iter__


async def awaiting(what):
    while True:
        await what()


async def awaiting_again(request):
    while True:
        await request


async def awaiting_deep(depth):
    if depth == 0:
        await awaiting(trap)
    await awaiting_deep(depth - 1)


def suspends(send):
    """Say whether each of three calls comes back with what the innermost function gave out."""
    return [send(None) for _ in range(3)] == [OUT] * 3


def test_generator_send(price_of_sending):
    """The yardstick against itself: its interval holds 1, or the machine was not quiet."""
    send = generator().send
    assert suspends(send)
    price_of_sending(send)


def test_yield_from_through_three_generators(price_of_sending):
    send = delegating(2).send
    assert suspends(send)
    price_of_sending(send)


def test_await_of_a_trap(price_of_sending):
    coroutine = awaiting(trap)
    assert suspends(coroutine.send)
    price_of_sending(coroutine.send)


def test_await_of_a_trap_made_in_c(price_of_sending):
    request = Trap((OUT,))
    coroutine = awaiting_again(request)
    assert suspends(coroutine.send)
    price_of_sending(coroutine.send)


def test_await_through_three_coroutines(price_of_sending):
    coroutine = awaiting_deep(1)
    assert suspends(coroutine.send)
    price_of_sending(coroutine.send)


def test_greenlet_switch(price_of_sending):
    def run(_):
        while True:
            main.switch(OUT)

    main = greenlet.getcurrent()
    send = greenlet(run).switch
    assert suspends(send)
    price_of_sending(send)


def test_call_without_suspension(price_of_sending):
    """What a callback costs: a call and a return, and no frame that waits."""

    def callback(_):
        return OUT

    assert suspends(callback)
    price_of_sending(callback)


TIMES = 2_000


@pytest.fixture(params=["asyncio", "uvloop"])
def loop(request):
    new_event_loop = pytest.importorskip(request.param).new_event_loop
    loop = new_event_loop()
    yield loop
    loop.close()


async def sleep_zero(times):
    for _ in range(times):
        await asyncio.sleep(0)


async def await_futures(times):
    loop = asyncio.get_running_loop()
    for _ in range(times):
        future = loop.create_future()
        loop.call_soon(future.set_result, None)
        await future


def takes_turns(loop, what):
    """Say whether two tasks that suspend twice each go on alternately."""
    seen = []

    async def task(name):
        for _ in range(2):
            seen.append(name)
            await what(1)

    async def both():
        await asyncio.gather(task("a"), task("b"))

    loop.run_until_complete(both())
    return seen == ["a", "b", "a", "b"]


def test_sleep_zero(loop, price):
    assert takes_turns(loop, sleep_zero)
    price(lambda: loop.run_until_complete(sleep_zero(TIMES)), TIMES)


def test_await_of_a_future(loop, price):
    assert takes_turns(loop, await_futures)
    price(lambda: loop.run_until_complete(await_futures(TIMES)), TIMES)


def test_thread_switch(price):
    """A thread is woken, wakes this one, and waits: the way a thread per connection suspends."""
    times, go, gone = 500, threading.Lock(), threading.Lock()
    seen = []

    def answer():
        for turn in range(times):
            go.acquire()
            seen.append(turn)
            gone.release()

    def work():
        seen.clear()
        thread = threading.Thread(target=answer)
        thread.start()
        for turn in range(times):
            assert len(seen) == turn
            go.release()
            gone.acquire()
        thread.join()

    go.acquire()
    gone.acquire()
    price(work, times)
    assert len(seen) == times
