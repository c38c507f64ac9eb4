"""The event loop of `coroutines`: events, futures, and what it keeps of a connection."""

from __future__ import annotations

import select
import socket

import pytest

from servers.coroutines import READABLE, Future, Loop


class Done(Exception):  # noqa: N818 - it ends a test's loop, it is no error
    """Raised by a test's coroutine: the loop lets through what its tasks do not handle."""


@pytest.fixture
def pair():
    """Return two connected sockets."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


@pytest.fixture(params=["epoll", "poll"])
def loop(request, monkeypatch):
    """Return a loop over each kind of poller."""
    if request.param == "poll":
        monkeypatch.delattr(select, "epoll")
    return Loop()


def test_an_event_comes_again_and_again(loop, pair):
    ours, theirs = pair
    seen = []

    async def read_thrice():
        for message in (b"one", b"two", b"three"):
            theirs.send(message)
            await READABLE
            seen.append(ours.recv(100))
        raise Done

    loop.spawn(ours.fileno(), read_thrice())
    with pytest.raises(Done):
        loop.run()
    assert seen == [b"one", b"two", b"three"]


def test_a_future_resumes_the_task_that_awaits_it_when_another_sets_it(loop, pair):
    ours, theirs = pair
    future, seen = Future(), []

    async def wait():
        seen.append("waits")
        await future
        seen.append("resumed")
        await future
        seen.append("and again")

    async def set_it():
        await READABLE
        seen.append("sets")
        future.send(None)
        with pytest.raises(StopIteration):
            future.send(None)
        raise Done

    loop.spawn(theirs.fileno(), wait())
    loop.spawn(ours.fileno(), set_it())
    theirs.send(b"go")
    with pytest.raises(Done):
        loop.run()
    assert seen == ["waits", "sets", "resumed", "and again"]


def test_a_task_may_await_a_future_after_an_event(loop, pair):
    ours, theirs = pair
    future = Future()

    async def wait():
        await READABLE
        theirs.recv(1)
        theirs.send(b"!")
        await future
        raise Done

    async def set_it():
        await READABLE
        future.send(None)

    loop.spawn(theirs.fileno(), wait())
    loop.spawn(ours.fileno(), set_it())
    ours.send(b"?")
    with pytest.raises(Done):
        loop.run()


def test_a_connection_costs_half_the_memory_of_a_stream_of_asyncio_or_less(start, rss_bytes):
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
