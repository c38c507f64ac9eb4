"""The fast conversations, resumed by hand over a pair of sockets: what is booked, and when."""

from __future__ import annotations

import select
import socket
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from clients.clock import now_ns
from clients.conversations import Buffers, lockstep, punctual, solo
from clients.ledger import Ledger
from clients.recorder import Recorder
from clients.workload import Workload

SIZE = 64


class Pair:
    """A conversation, the peer that it talks to, and the books."""

    def __init__(self, buffers=None, kernel=None, **workload):
        self.workload = Workload(connections=1, message_bytes=SIZE, **workload)
        self.buffers = buffers or Buffers(self.workload)
        self.recorder = Recorder(open_loop=False)
        self.kernel = kernel
        self.ledger = Ledger(kernel=kernel, recorder=self.recorder, clock=now_ns, receive_bytes=SIZE, is_buffered=False)

    def __enter__(self):
        self.ours, self.peer = socket.socketpair()
        self.ours.setblocking(False)
        self.common = SimpleNamespace(
            workload=self.workload,
            recorder=self.recorder,
            clock=now_ns,
            buffers=self.buffers,
            kernel=self.kernel,
        )
        self.conversation = (lockstep if self.kernel is None else solo)(self.ours, self.ledger, self.common)
        return self

    def open_loop(self, dispatcher):
        self.conversation = punctual(self.ours, self.ledger, self.common, dispatcher)
        return self.conversation

    def __exit__(self, *_):
        self.conversation.close()
        self.ours.close()
        self.peer.close()

    def resume(self):
        self.conversation.send(None)

    @property
    def books(self):
        self.ledger.check_conservation()
        return self.ledger.sent, self.ledger.answered, len(self.recorder.response)


@pytest.fixture(params=["lockstep", "solo"])
def kernel(request):
    """The kernel of a conversation in a closed loop: one that always has something to do, so that `solo` yields too."""
    return SimpleNamespace(next_ns=0) if request.param == "solo" else None


def test_a_reply_is_booked_by_the_time_that_it_waits_again(kernel):
    with Pair(kernel=kernel) as pair:
        pair.resume()
        assert pair.books == (1, 0, 0)
        for number in range(1, 4):
            pair.peer.sendall(pair.peer.recv(SIZE))
            pair.resume()
            assert pair.books == (number + 1, number, number)
        assert pair.ledger.in_flight == 1


def test_a_reply_is_booked_though_the_next_message_cannot_be_sent(kernel):
    with Pair(kernel=kernel) as pair:
        pair.resume()
        pair.peer.sendall(pair.peer.recv(SIZE))
        pair.peer.close()
        with pytest.raises(BrokenPipeError):
            pair.resume()
        assert pair.books == (2, 1, 1)
        assert pair.ledger.in_flight == 1


def test_the_last_reply_of_a_share_is_booked_too(kernel):
    with Pair(kernel=kernel, requests_per_connection=2) as pair:
        pair.resume()
        pair.peer.sendall(pair.peer.recv(SIZE))
        pair.resume()
        pair.peer.sendall(pair.peer.recv(SIZE))
        with pytest.raises(StopIteration):
            pair.resume()
        assert pair.books == (2, 2, 2)
        assert pair.ledger.in_flight == 0


def test_what_was_settled_is_not_booked_again(kernel):
    with Pair(kernel=kernel) as pair:
        pair.resume()
        pair.peer.sendall(pair.peer.recv(SIZE))
        pair.resume()
        echo = pair.peer.recv(SIZE)
        pair.peer.sendall(echo[:10])
        pair.resume()
        assert pair.books == (2, 1, 1)
        pair.peer.sendall(echo[10:])
        pair.resume()
        assert pair.books == (3, 2, 2)
        pair.peer.sendall(pair.peer.recv(SIZE))
        pair.resume()
        assert pair.books == (4, 3, 3)


def test_conversations_that_share_buffers_expect_each_its_own_echo():
    with Pair() as first, Pair(buffers=first.buffers) as second:
        for pair in (first, second):
            pair.resume()
        for _ in range(3):
            echoes = [pair.peer.recv(SIZE) for pair in (first, second)]
            assert echoes[0] != echoes[1]
            for pair, echo in zip((first, second), echoes, strict=True):
                pair.peer.sendall(echo)
                pair.resume()
        assert first.books == second.books == (4, 3, 3)


@contextmanager
def echoing(peer, count):
    """Echo so many messages meanwhile."""

    def echo():
        for _ in range(count):
            peer.sendall(peer.recv(SIZE, socket.MSG_WAITALL))

    thread = threading.Thread(target=echo)
    thread.start()
    yield
    thread.join()


def test_one_that_is_alone_keeps_the_thread_as_long_as_the_kernel_has_nothing_to_do():
    idle = SimpleNamespace(next_ns=now_ns() + 3600 * 1_000_000_000)
    with Pair(kernel=idle, requests_per_connection=100) as pair, echoing(pair.peer, 100):
        pair.resume()  # it asks only after the first wait when that will be
        with pytest.raises(StopIteration):
            pair.resume()
        assert pair.books == (100, 100, 100)


def test_one_that_is_alone_lets_the_kernel_run_as_soon_as_it_has_something_to_do():
    busy = SimpleNamespace(next_ns=0)
    with Pair(kernel=busy, requests_per_connection=100) as pair, echoing(pair.peer, 100):
        for _ in range(100):
            pair.resume()
            select.select([pair.ours], [], [])
        with pytest.raises(StopIteration):
            pair.resume()
        assert pair.books == (100, 100, 100)


def test_one_that_is_alone_leaves_it_to_the_poller_to_wait_for_a_server_that_takes_its_time():
    idle = SimpleNamespace(next_ns=now_ns() + 3600 * 1_000_000_000)
    with Pair(kernel=idle) as pair:
        pair.resume()
        pair.peer.sendall(pair.peer.recv(SIZE))
        pair.resume()  # comes back, though no second echo comes
        assert pair.books == (2, 1, 1)
        pair.peer.sendall(pair.peer.recv(SIZE))
        pair.resume()
        assert pair.books == (3, 2, 2)


def test_an_open_loop_books_response_from_the_due_time_and_service_from_the_send():
    with Pair() as pair:
        rested = []
        dispatcher = SimpleNamespace(due_ns=1 << 62, rests=rested.append)
        conversation = pair.open_loop(dispatcher)
        conversation.send(None)
        assert rested == [pair.ours.fileno()]
        due_ns = now_ns() - 1_000_000_000
        conversation.send(due_ns)
        assert (pair.ledger.sent, pair.ledger.answered, pair.ledger.in_flight) == (1, 0, 1)
        pair.peer.sendall(pair.peer.recv(SIZE))
        conversation.send(None)
        assert pair.books == (1, 1, 1)
        (response_ns,), (service_ns,) = pair.recorder.response, pair.recorder.service
        assert 0 < service_ns < 1_000_000_000 <= response_ns <= now_ns() - due_ns
        assert len(rested) == 2


def test_messages_differ_and_so_do_their_expected_echoes(kernel):
    with Pair(kernel=kernel) as pair:
        pair.resume()
        first = pair.peer.recv(SIZE)
        pair.peer.sendall(first)
        pair.resume()
        second = pair.peer.recv(SIZE)
        assert first != second
        pair.peer.sendall(first)  # stale
        with pytest.raises(Exception, match="mismatch"):
            pair.resume()
