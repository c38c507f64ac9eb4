"""The event loop of `coroutines`: what a future does, and what the loop keeps of a connection."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import contextmanager

import pytest
from helpers.servers import rss_bytes

from servers.coroutines import Future, Loop, echo, resume, send_rest


class Done(Exception):  # noqa: N818 - it ends a test's loop, it is no error
    """Raised by a test's coroutine: the loop lets through what its tasks do not handle."""


@pytest.fixture
def pair():
    """Return two connected sockets, the second with a time limit."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.settimeout(10)
        yield ours, theirs


@pytest.fixture(params=["epoll", "poll"])
def loop(request, monkeypatch):
    """Return a loop over each kind of poller."""
    if request.param == "poll":
        monkeypatch.delattr(select, "epoll")
    return Loop()


def run(loop, *tasks):
    """Start the tasks and run the loop until one of them raises Done."""
    for task in tasks:
        resume(task)
    with pytest.raises(Done):
        loop.run()


def test_a_watched_socket_can_be_awaited_again_and_again(loop, pair):
    ours, theirs = pair
    seen = []

    async def read_thrice():
        readable = loop.watch(ours)
        for message in (b"one", b"two", b"three"):
            theirs.send(message)
            await readable
            seen.append(ours.recv(100))
        raise Done

    run(loop, read_thrice())
    assert seen == [b"one", b"two", b"three"]


def test_a_future_without_a_socket_waits_until_another_task_resumes(loop, pair):
    ours, theirs = pair
    future, seen = Future(), []

    async def wait():
        for turn in ("first", "second"):
            await future
            seen.append(turn)

    async def wake():
        await loop.watch(ours)
        waiter = future.task
        seen.append("wakes")
        resume(waiter)
        assert future.task is waiter
        resume(waiter)
        raise Done

    theirs.send(b"go")
    run(loop, wait(), wake())
    assert seen == ["wakes", "first", "second"]


def test_a_task_may_await_a_future_after_a_socket(loop, pair):
    ours, theirs = pair
    future = Future()

    async def wait():
        await loop.watch(theirs)
        theirs.recv(1)
        theirs.send(b"!")
        await future
        raise Done

    async def wake():
        await loop.watch(ours)
        resume(future.task)

    ours.send(b"?")
    run(loop, wait(), wake())


def test_a_future_suspends_every_coroutine_between_it_and_the_loop(loop, pair):
    ours, theirs = pair
    seen = []

    async def inner(readable):
        await readable
        return ours.recv(100)

    async def outer():
        seen.append(await inner(loop.watch(ours)))
        raise Done

    task = outer()
    resume(task)
    assert seen == []
    theirs.send(b"deep")
    run(loop)
    assert seen == [b"deep"]


def test_resume_outlives_a_task_that_awaits_nothing():
    ran = []

    async def at_once():
        ran.append(True)

    resume(at_once())
    assert ran == [True]


def test_echo_forgets_its_connection_when_the_client_has_finished(loop, pair):
    ours, theirs = pair
    witness, trigger = socket.socketpair()
    descriptor, answer = ours.fileno(), []

    async def stop():
        await loop.watch(witness)
        raise Done

    def finish():
        theirs.sendall(b"last words")
        theirs.shutdown(socket.SHUT_WR)
        while piece := theirs.recv(100):
            answer.append(piece)
        trigger.send(b"!")  # the loop polls once more: `poll` would report a socket that was closed and not forgotten

    with witness, trigger, in_thread(finish):
        run(loop, echo(loop, ours), stop())
    assert b"".join(answer) == b"last words"
    assert loop.futures[descriptor] is None
    assert ours.fileno() == -1


def test_send_rest_waits_for_the_client_and_leaves_the_socket_readable(loop, pair):
    ours, theirs = pair
    message, received, got = bytes(range(256)) * 8192, bytearray(), []

    def take():
        while len(received) < len(message):
            received.extend(theirs.recv(1 << 20))
        theirs.send(b"more")

    async def send():
        ready = loop.watch(ours)
        await send_rest(loop, ours, ready, message)
        await ready
        got.append(ours.recv(100))
        raise Done

    with in_thread(take):
        run(loop, send())
    assert received == message
    assert got == [b"more"]


@contextmanager
def in_thread(client):
    """Run a client beside the loop."""
    thread = threading.Thread(target=client)
    thread.start()
    yield
    thread.join(10)
    assert not thread.is_alive()


def test_a_connection_costs_at_most_half_the_memory_of_an_asyncio_stream(start):
    def per_connection(name):
        server = start(name)
        with server.connect() as first:
            first.exchange(b"x" * 1024)
            before = rss_bytes(server.pid)
            clients = [server.connect() for _ in range(500)]
            try:
                for client in clients:
                    client.exchange(b"x" * 1024)
                return (rss_bytes(server.pid) - before) / len(clients)
            finally:
                for client in clients:
                    client.close()

    assert per_connection("coroutines") <= per_connection("asyncio-streams") / 2
