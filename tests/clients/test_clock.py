"""Both pollers on real sockets: the same readiness, and waits as fine as the clock."""

from __future__ import annotations

import select
import socket

import pytest

from clients.clock import EpollPoller, SelectorPoller, best_poller, now_ns

MILLISECOND_NS = 1_000_000

needs_epoll = pytest.mark.skipif(not hasattr(select, "epoll"), reason="no epoll on this platform")


@pytest.fixture(params=[pytest.param("epoll", marks=needs_epoll), "selector"])
def poller(request):
    made = EpollPoller(batch=4) if request.param == "epoll" else SelectorPoller()
    yield made
    made.close()


@pytest.fixture
def pair():
    one, other = socket.socketpair()
    with one, other:
        yield one, other


def ready(poller, timeout_ns=0):
    return [fd for fd, _ in (poller.wait(timeout_ns) if timeout_ns else poller.poll())]


def test_a_descriptor_is_ready_as_long_as_there_is_something_to_read(poller, pair):
    one, other = pair
    poller.register(one.fileno())
    assert ready(poller) == []
    other.send(b"x")
    assert ready(poller) == ready(poller, MILLISECOND_NS) == ready(poller, 50 * MILLISECOND_NS) == [one.fileno()]
    one.recv(1)
    assert ready(poller) == []


def test_poller_reports_ready_for_writing_only_while_that_is_wanted(poller, pair):
    one, _ = pair
    poller.register(one.fileno())
    poller.want_write(one.fileno(), wanted=True)
    assert ready(poller) == [one.fileno()]
    poller.want_write(one.fileno(), wanted=False)
    assert ready(poller) == []


def test_the_end_of_file_is_something_to_read(poller, pair):
    one, other = pair
    poller.register(one.fileno())
    other.close()
    assert ready(poller) == [one.fileno()]


def test_a_forgotten_descriptor_is_ready_no_more(poller, pair):
    one, other = pair
    poller.register(one.fileno())
    other.send(b"x")
    poller.unregister(one.fileno())
    assert ready(poller) == []


@pytest.mark.parametrize("timeout_ns", [100_000, 2 * MILLISECOND_NS, 5 * MILLISECOND_NS])
def test_epoll_poller_does_not_round_its_timeout_up(timeout_ns):
    """It may end early, since the kernel spins the last stretch; rounded up to whole milliseconds it would end late."""
    if not hasattr(select, "epoll"):
        pytest.skip("no epoll on this platform")
    poller = EpollPoller(batch=4)
    took_ns = []
    for _ in range(20):
        began_ns = now_ns()
        assert poller.wait(timeout_ns) == []
        took_ns.append(now_ns() - began_ns)
    poller.close()
    assert min(took_ns) < timeout_ns + MILLISECOND_NS // 2
    assert min(took_ns) > timeout_ns - 3 * MILLISECOND_NS


@needs_epoll
def test_poller_returns_at_most_a_batch_and_the_rest_next():
    pairs = [socket.socketpair() for _ in range(6)]
    poller = best_poller(batch=4)
    for one, other in pairs:
        poller.register(one.fileno())
        other.send(b"x")
    first, second = ready(poller), ready(poller)
    assert len(first) == 4
    assert set(first) | set(second) == {one.fileno() for one, _ in pairs}
    poller.close()
    for one, other in pairs:
        one.close()
        other.close()
