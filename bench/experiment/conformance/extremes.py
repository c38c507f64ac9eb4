"""The cases that are hard on the process itself: no descriptors left, and the order to end. It must be our own."""

from __future__ import annotations

import os
import select
import signal
import time
from contextlib import ExitStack, suppress

import psutil

from bench.experiment.conformance.case import Access, BrokenError, Group, UntriedError, case
from bench.experiment.conformance.crowds import stand
from bench.experiment.conformance.echoes import KIB
from bench.experiment.conformance.footprint import has_ended, wait_until
from bench.experiment.conformance.subject import GREETING, Subject
from bench.experiment.conformance.wire import Connection, payload
from bench.experiment.trial.kinship import descendants

ROOM = 24  # descriptors left to each process of the server
EXCESS = 32  # clients for whom there is none
QUIET_S = 0.5  # nobody else is being served when nothing has come for so long
MESSAGE_BYTES = 16 * KIB
BUSY_S = 0.2  # before it is told to end
SPIN_MAX_SHARE = 0.05  # of one CPU: a server that spins takes all it is given, which on a busy machine is not much


@case(
    "descriptors",
    group=Group.STANDARD,
    limit_s=60,
    connections=ROOM + EXCESS,
    needs=("turns",),
    access=Access.OWN,
    fresh=True,
    seconds=1,
)
def outlive_want_of_descriptors(target: Subject, *, seconds: float) -> str:
    """Serve whom it can when it is out of descriptors (EMFILE), let the rest wait or go, do not spin, and recover."""
    before = target.at_rest()
    processes = _leave_room(target)
    with ExitStack() as stack:
        served, unserved = _besiege(target, processes * ROOM + EXCESS, stack)
        if not served:
            raise BrokenError(f"nobody was served although there was room for {ROOM}")
        for connection in served:
            connection.turn(GREETING)
        spent_s = _cpu_spent_s(target, seconds)
        if unserved and spent_s > SPIN_MAX_SHARE * seconds:
            raise BrokenError(f"it spins: {spent_s:.2f} s of CPU in {seconds:g} s with nothing to do")
    target.wait_released(before)
    target.require_alive("it had run out of descriptors and its clients had gone")
    return f"served {len(served)}, refused or left waiting {unserved}" if unserved else "never ran out of descriptors"


def _leave_room(target: Subject) -> int:
    """Lower the limit of every process of the server to a few descriptors more than it holds; return how many."""
    if not hasattr(psutil.Process, "rlimit"):
        raise UntriedError("this system does not let us lower the limits of another process")
    processes = [psutil.Process(target.known_pid), *descendants(target.known_pid)]
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            _, hard = process.rlimit(psutil.RLIMIT_NOFILE)
            process.rlimit(psutil.RLIMIT_NOFILE, (process.num_fds() + ROOM, hard))
    return len(processes)


def _besiege(target: Subject, clients: int, stack: ExitStack) -> tuple[list[Connection], int]:
    """Connect more clients than there are descriptors for; return those served, and how many were not."""
    pending: dict[int, Connection] = {}
    poller = select.poll()
    for _ in range(clients):
        with suppress(BrokenError):  # refused: one of those that are not served
            connection = stack.enter_context(target.connect())
            pending[connection.socket.fileno()] = connection
            connection.send(GREETING)
            poller.register(connection.socket, select.POLLIN)
    served: list[Connection] = []
    while ready := poller.poll(QUIET_S * 1000):
        target.deadline.remaining_s()
        for descriptor, _ in ready:
            poller.unregister(descriptor)
            with suppress(BrokenError):
                pending[descriptor].expect(GREETING)
                served.append(pending[descriptor])
    return served, clients - len(served)


def _cpu_spent_s(target: Subject, window_s: float) -> float:
    before_s = target.footprint().cpu_s
    time.sleep(window_s)
    return target.footprint().cpu_s - before_s


@case(
    "stop",
    group=Group.STANDARD,
    limit_s=30,
    needs=("turns",),
    access=Access.OWN,
    fresh=True,
    count=8,
    within_s=3,
)
def end_when_told(target: Subject, *, count: int, within_s: float) -> str:
    """End within 3 s of SIGTERM, or of its own stop signal, while clients keep it busy, and leave the port free."""
    with ExitStack() as stack:
        connections = stand(target, min(count, target.connections_max or count), stack)
        _keep_busy(connections, until=time.monotonic() + BUSY_S)
        told_at = time.monotonic()
        os.killpg(target.known_pid, signal.Signals[target.stop_signal])  # one we started leads its group
        while not has_ended(target.known_pid):
            if time.monotonic() - told_at > within_s:
                raise BrokenError(f"{target.stop_signal} did not end it within {within_s:g} s")
            _keep_busy(connections, until=time.monotonic() + 0.01)
        took_s = time.monotonic() - told_at
    if not wait_until(lambda: _is_free(target), within_s=within_s):
        raise BrokenError(f"something still listens on port {target.port} after {target.stop_signal}")
    return f"ended after {took_s * 1000:.0f} ms"


def _keep_busy(connections: list[Connection], *, until: float) -> None:
    """Send whatever is taken and read whatever comes, without looking at it, on all connections that still stand."""
    poller = select.poll()
    for connection in connections:
        connection.socket.setblocking(False)
        poller.register(connection.socket, select.POLLIN | select.POLLOUT)
    sockets = {connection.socket.fileno(): connection.socket for connection in connections}
    message = payload(MESSAGE_BYTES)
    while (left_s := until - time.monotonic()) > 0:
        for descriptor, events in poller.poll(left_s * 1000):
            try:
                if events & ~select.POLLOUT and not sockets[descriptor].recv(MESSAGE_BYTES):
                    poller.unregister(descriptor)
                elif events & select.POLLOUT:
                    sockets[descriptor].send(message)
            except BlockingIOError:
                continue
            except OSError:
                poller.unregister(descriptor)


def _is_free(target: Subject) -> bool:
    """Say whether nothing listens there any more."""
    try:
        target.connect().close()
    except BrokenError:
        return True
    return False
