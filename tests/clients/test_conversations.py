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
from clients.faults import Fault
from clients.ledger import RECEIVE_BYTES_MAX, Ledger
from clients.load import Load, Share
from clients.recorder import Recorder
from clients.target import parse_target
from clients.workload import Workload

SIZE = 64

# A kernel that always has something to do, so that `solo` yields before each reply, as `lockstep` does.
BUSY = SimpleNamespace(next_ns=0, want_write=lambda _fd, *, wanted: None)

in_a_closed_loop = pytest.mark.parametrize("begin", [lockstep, solo])


class Pair:
    """A conversation, the peer that it talks to, and the books."""

    def __init__(self, begin=lockstep, *, buffers=None, kernel=BUSY, **workload):
        self.workload = Workload(**{"connections": 1, "message_bytes": SIZE, **workload})
        self.buffers = buffers or Buffers(self.workload)
        self.recorder = Recorder(open_loop=False)
        self.begin, self.kernel = begin, kernel
        size = self.workload.message_bytes
        self.ledger = Ledger(kernel=kernel, recorder=self.recorder, clock=now_ns, receive_bytes=size)

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
        self.conversation = self.begin(self.ours, self.ledger, self.common)
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


@in_a_closed_loop
def test_a_reply_is_booked_by_the_time_that_it_waits_again(begin):
    with Pair(begin) as pair:
        pair.resume()
        assert pair.books == (1, 0, 0)
        for number in range(1, 4):
            pair.peer.sendall(pair.peer.recv(SIZE))
            pair.resume()
            assert pair.books == (number + 1, number, number)
        assert pair.ledger.in_flight == 1


@in_a_closed_loop
def test_a_reply_is_booked_though_the_next_message_cannot_be_sent(begin):
    with Pair(begin) as pair:
        pair.resume()
        pair.peer.sendall(pair.peer.recv(SIZE))
        pair.peer.close()
        with pytest.raises(BrokenPipeError):
            pair.resume()
        assert pair.books == (2, 1, 1)
        assert pair.ledger.in_flight == 1


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
        assert pair.ledger.in_flight == 0


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
    with Pair(solo, kernel=idle, requests_per_connection=100) as pair, echoing(pair.peer, 100):
        pair.resume()  # it asks only after the first wait when that will be
        with pytest.raises(StopIteration):
            pair.resume()
        assert pair.books == (100, 100, 100)


def test_one_that_is_alone_lets_the_kernel_run_as_soon_as_it_has_something_to_do():
    with Pair(solo, requests_per_connection=100) as pair, echoing(pair.peer, 100):
        for _ in range(100):
            pair.resume()
            select.select([pair.ours], [], [])
        with pytest.raises(StopIteration):
            pair.resume()
        assert pair.books == (100, 100, 100)


def test_one_that_is_alone_leaves_it_to_the_poller_to_wait_for_a_server_that_takes_its_time():
    idle = SimpleNamespace(next_ns=now_ns() + 3600 * 1_000_000_000)
    with Pair(solo, kernel=idle) as pair:
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


def in_an_open_loop(sock, ledger, common):
    """Begin `punctual` with requests that are always due."""
    always = SimpleNamespace(due_ns=0, claim=lambda _: now_ns())
    return punctual(sock, ledger, common, always)


@pytest.mark.parametrize("begin", [lockstep, solo, in_an_open_loop])
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
        assert (len(message), pair.ledger.sent) == (size, 1)
        pair.peer.sendall(message)
        pair.resume()
        assert (pair.ledger.sent, pair.ledger.answered, len(pair.recorder.response)) == (2, 1, 1)


def test_only_a_worker_with_one_connection_has_the_loop_for_one_that_is_alone():
    target, workload = parse_target("127.0.0.1:1"), Workload(connections=3, message_bytes=SIZE)
    alone = [Load(target, workload, share=Share(worker=worker, workers=2))._common.is_alone for worker in range(2)]
    assert alone == [False, True]
