"""The fast conversations, resumed by hand over a pair of sockets: what is booked, and when."""

from __future__ import annotations

import itertools
import os
import select
import socket
import threading
from contextlib import contextmanager
from types import SimpleNamespace

import pytest

from clients.clock import now_ns
from clients.common import Buffers
from clients.conversations import closed_alone, closed_fast, open_fast
from clients.faults import Fault
from clients.inflight import RECEIVE_BYTES_MAX, InFlight
from clients.load import Load, Shard
from clients.recorder import Recorder
from clients.target import parse_target
from clients.workload import Workload

SIZE = 64
SECOND_NS = 1_000_000_000

in_a_closed_loop = pytest.mark.parametrize("begin", [closed_fast, closed_alone])


def hurried():
    """Return a clock that moves by a second with each reading: `closed_alone` then yields before each reply."""
    return itertools.count(SECOND_NS, SECOND_NS).__next__


def still():
    """Read a clock that never moves: `closed_alone` then keeps the thread after its first reply."""
    return SECOND_NS


class Pair:
    """A conversation, the peer that it talks to, and the books."""

    def __init__(self, begin=closed_fast, *, buffers=None, clock=None, **workload):
        self.workload = Workload(**{"connections": 1, "message_bytes": SIZE, **workload})
        self.buffers = buffers or Buffers.of(self.workload)
        self.recorder = Recorder(open_loop=False)
        self.begin, self.clock = begin, clock or hurried()
        kernel = SimpleNamespace(want_write=lambda _fd, *, wanted: None)
        self.in_flight = InFlight(self.workload, kernel=kernel, recorder=self.recorder, clock=self.clock)

    def __enter__(self):
        self.ours, self.peer = socket.socketpair()
        self.ours.setblocking(False)
        self.common = SimpleNamespace(
            workload=self.workload,
            recorder=self.recorder,
            clock=self.clock,
            buffers=self.buffers,
            turnstile=None,
        )
        self.conversation = self.begin(self.ours, self.in_flight, self.common)
        return self

    def open_loop(self, dispatcher):
        self.conversation = open_fast(self.ours, self.in_flight, self.common, dispatcher)
        return self.conversation

    def __exit__(self, *_):
        self.conversation.close()
        self.ours.close()
        self.peer.close()

    def resume(self):
        self.conversation.send(None)

    @property
    def books(self):
        self.in_flight.check_conservation()
        return self.in_flight.sent, self.in_flight.answered, len(self.recorder.response)


@in_a_closed_loop
def test_a_reply_is_booked_by_the_time_that_it_waits_again(begin):
    with Pair(begin) as pair:
        pair.resume()
        assert pair.books == (1, 0, 0)
        for number in range(1, 4):
            pair.peer.sendall(pair.peer.recv(SIZE))
            pair.resume()
            assert pair.books == (number + 1, number, number)
        assert pair.in_flight.requests == 1


@in_a_closed_loop
def test_a_reply_is_booked_though_the_next_message_cannot_be_sent(begin):
    with Pair(begin) as pair:
        pair.resume()
        pair.peer.sendall(pair.peer.recv(SIZE))
        pair.peer.close()
        with pytest.raises(BrokenPipeError):
            pair.resume()
        assert pair.books == (2, 1, 1)
        assert pair.in_flight.requests == 1


@in_a_closed_loop
def test_the_last_reply_of_a_share_is_booked_too(begin):
    with Pair(begin, requests_per_connection=2) as pair:
        pair.resume()
        pair.peer.sendall(pair.peer.recv(SIZE))
        pair.resume()
        pair.peer.sendall(pair.peer.recv(SIZE))
        with pytest.raises(StopIteration):
            pair.resume()
        assert pair.books == (2, 2, 2)
        assert pair.in_flight.requests == 0


@in_a_closed_loop
def test_what_was_settled_is_not_booked_again(begin):
    with Pair(begin) as pair:
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
    with Pair() as first, Pair(buffers=first.buffers, clock=first.clock) as second:
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


def test_closed_alone_keeps_the_thread_while_little_time_has_passed():
    with Pair(closed_alone, clock=still, requests_per_connection=100) as pair, echoing(pair.peer, 100):
        pair.resume()
        with pytest.raises(StopIteration):
            pair.resume()
        assert pair.books == (100, 100, 100)


def test_closed_alone_gives_the_kernel_a_turn_every_10_ms():
    step_ns = 100_000
    clock = itertools.count(SECOND_NS, step_ns).__next__
    with Pair(closed_alone, clock=clock, requests_per_connection=200) as pair, echoing(pair.peer, 200):
        turns = sum(1 for _ in pair.conversation)
        assert pair.books == (200, 200, 200)
    assert turns == 200 * step_ns / 10_000_000


def test_closed_alone_leaves_a_slow_reply_to_the_poller():
    with Pair(closed_alone, clock=still) as pair:
        pair.resume()
        pair.peer.sendall(pair.peer.recv(SIZE))
        pair.resume()  # comes back, though no second echo comes
        assert pair.books == (2, 1, 1)
        pair.peer.sendall(pair.peer.recv(SIZE))
        pair.resume()
        assert pair.books == (3, 2, 2)


@pytest.mark.parametrize("ends", ["cancelled", "its requests are done", "a fault"])
def test_closed_alone_leaves_a_socket_that_does_not_wait(ends):
    with Pair(closed_alone, requests_per_connection=1) as pair:
        pair.resume()
        assert os.get_blocking(pair.ours.fileno())
        if ends == "cancelled":
            pair.conversation.close()
        else:
            pair.peer.sendall(pair.peer.recv(SIZE) if ends == "its requests are done" else b"?" * SIZE)
            with pytest.raises(StopIteration if ends == "its requests are done" else Fault):
                pair.resume()
        assert not os.get_blocking(pair.ours.fileno())


def test_open_fast_books_response_from_due_time_and_service_from_send():
    with Pair(clock=now_ns) as pair:
        rested = []
        dispatcher = SimpleNamespace(due_ns=1 << 62, rests=rested.append)
        conversation = pair.open_loop(dispatcher)
        conversation.send(None)
        assert rested == [pair.ours.fileno()]
        due_ns = now_ns() - 1_000_000_000
        conversation.send(due_ns)
        assert (pair.in_flight.sent, pair.in_flight.answered, pair.in_flight.requests) == (1, 0, 1)
        pair.peer.sendall(pair.peer.recv(SIZE))
        conversation.send(None)
        assert pair.books == (1, 1, 1)
        (response_ns,), (service_ns,) = pair.recorder.response, pair.recorder.service
        assert 0 < service_ns < 1_000_000_000 <= response_ns <= now_ns() - due_ns
        assert len(rested) == 2


@in_a_closed_loop
def test_messages_differ_and_so_do_their_expected_echoes(begin):
    with Pair(begin) as pair:
        messages = []
        for _ in range(5):
            pair.resume()
            messages.append(pair.peer.recv(SIZE))
            assert len(set(messages)) == len(messages)
            pair.peer.sendall(messages[-1])
        pair.resume()
        pair.peer.sendall(messages[0])  # stale
        with pytest.raises(Fault, match="mismatch"):
            pair.resume()


def in_an_open_loop(sock, in_flight, common):
    """Begin `open_fast` with requests that are always due."""
    always = SimpleNamespace(due_ns=0, claim=lambda _: now_ns())
    return open_fast(sock, in_flight, common, always)


@pytest.mark.parametrize("begin", [closed_fast, closed_alone, in_an_open_loop])
def test_a_message_that_goes_out_in_parts_arrives_whole(begin):
    size = RECEIVE_BYTES_MAX
    with Pair(begin, message_bytes=size) as pair:
        pair.ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)
        message = bytearray()
        for _ in range(100):
            pair.resume()
            while select.select([pair.peer], [], [], 0)[0]:
                message += pair.peer.recv(size)
            if len(message) == size:
                break
        assert (len(message), pair.in_flight.sent) == (size, 1)
        pair.peer.sendall(message)
        pair.resume()
        assert (pair.in_flight.sent, pair.in_flight.answered, len(pair.recorder.response)) == (2, 1, 1)


def test_closed_alone_is_chosen_for_the_only_connection_of_a_worker():
    target, workload = parse_target("127.0.0.1:1"), Workload(connections=3, message_bytes=SIZE)
    alone = [Load(target, workload, shard=Shard(worker=worker, workers=2))._common.is_alone for worker in range(2)]
    assert alone == [False, True]
