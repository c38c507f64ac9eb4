"""Making a connection, against a socket that answers by script: early wake-ups, deadlines, and what is left behind."""

from __future__ import annotations

import errno
import socket

import pytest

from clients.dial import dial
from clients.faults import Failure, Fault
from clients.target import Target
from clients.traps import join, sleep_until

MILLISECOND_NS = 1_000_000
FD = 7


class ScriptedSocket:
    """Answers `connect_ex` with one code after another, and the last one for ever."""

    def __init__(self, *codes):
        self.codes = list(codes)
        self.is_closed = False

    def connect_ex(self, address):
        return self.codes.pop(0) if len(self.codes) > 1 else self.codes[0]

    def fileno(self):
        return FD

    def close(self):
        self.is_closed = True


class ScriptedTarget(Target):
    """A target whose socket is given."""

    def __init__(self, sock):
        super().__init__("scripted", socket.AF_INET, ("scripted", 1))
        object.__setattr__(self, "sock", sock)

    def open(self):
        return self.sock


def dialled(world, sock, deadline_ns=50 * MILLISECOND_NS):
    """Dial; return the socket, or the failure."""

    async def main():
        try:
            return await dial(ScriptedTarget(sock), world.kernel, world.clock, deadline_ns)
        except Fault as fault:
            return fault.failure

    return world.kernel.run(main())


def test_a_connection_that_stands_at_once_is_returned_unwatched(world):
    sock = ScriptedSocket(0)
    assert dialled(world, sock) is sock
    assert world.poller.wants_write == {}


def test_an_early_wake_up_is_no_connection(world):
    """The descriptor became ready twice while the connection was still under way."""
    sock = ScriptedSocket(errno.EINPROGRESS, errno.EALREADY, errno.EALREADY, 0)
    for number in (1, 2, 3):
        world.poller.at(number * MILLISECOND_NS, FD)
    assert dialled(world, sock) is sock
    assert world.clock.now_ns == pytest.approx(3 * MILLISECOND_NS, abs=2_000)
    assert world.poller.wants_write == {FD: False}


@pytest.mark.parametrize("code", [errno.ECONNREFUSED, errno.ECONNRESET, errno.ENETUNREACH])
@pytest.mark.parametrize("at_once", [True, False])
def test_what_the_kernel_refuses_is_refused_and_nothing_is_left(world, code, at_once):
    sock = ScriptedSocket(code) if at_once else ScriptedSocket(errno.EINPROGRESS, code)
    world.poller.at(MILLISECOND_NS, FD)
    assert dialled(world, sock) is Failure.REFUSED
    assert sock.is_closed
    assert world.poller.wants_write == {}


@pytest.mark.parametrize("at_once", [True, False])
def test_no_local_port_left_is_no_fault_of_the_server(world, at_once):
    code = errno.EADDRNOTAVAIL
    sock = ScriptedSocket(code) if at_once else ScriptedSocket(errno.EINPROGRESS, code)
    world.poller.at(MILLISECOND_NS, FD)
    assert dialled(world, sock) is Failure.NO_LOCAL_PORT
    assert sock.is_closed


@pytest.mark.parametrize("code", [errno.EINPROGRESS, errno.EAGAIN])
def test_what_does_not_stand_by_the_deadline_is_refused(world, code):
    sock = ScriptedSocket(code)
    assert dialled(world, sock) is Failure.REFUSED
    assert world.clock.now_ns == pytest.approx(50 * MILLISECOND_NS, abs=2 * MILLISECOND_NS)
    assert sock.is_closed
    assert world.poller.wants_write == {}


def test_a_full_queue_of_a_unix_socket_is_tried_again(world):
    sock = ScriptedSocket(errno.EAGAIN, errno.EAGAIN, 0)
    assert dialled(world, sock) is sock
    assert world.clock.now_ns <= 5 * MILLISECOND_NS


@pytest.mark.parametrize("code", [errno.EMFILE, errno.ENFILE])
def test_no_descriptor_left_is_no_fault_of_the_server(world, code):
    class Exhausted(ScriptedTarget):
        def open(self):
            raise OSError(code, "Too many open files")

    async def main():
        with pytest.raises(Fault, match="no_descriptor"):
            await dial(Exhausted(None), world.kernel, world.clock, MILLISECOND_NS)

    world.kernel.run(main())


def test_cancelled_while_under_way_it_leaves_nothing(world):
    sock = ScriptedSocket(errno.EINPROGRESS)

    async def main():
        task = world.kernel.spawn(dial(ScriptedTarget(sock), world.kernel, world.clock, 50 * MILLISECOND_NS))
        await sleep_until(MILLISECOND_NS, world.clock)
        world.kernel.cancel(task)
        await join(task)

    world.kernel.run(main())
    assert sock.is_closed
    assert world.poller.wants_write == {}
