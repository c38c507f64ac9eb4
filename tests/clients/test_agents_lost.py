"""Agents that are lost: each part of one killed or stopped, at each stage of a load. No Dask here; real processes.

A stopped keeper is noticed by its silence, so these take seconds and `nox -s cluster` runs them.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import threading
import time
from contextlib import contextmanager

import psutil
import pytest
from helpers.agents import agents, loads_of
from helpers.generator import wait_until

from clients.agents.alive import KEEP_ALIVE_NS, SILENCE_NS
from clients.agents.line import AgentLostError
from clients.clock import now_ns
from clients.workload import Workload

pytestmark = pytest.mark.cluster
SECOND_NS = 1_000_000_000
NOTICED_NS = KEEP_ALIVE_NS + SILENCE_NS + 2 * SECOND_NS
STAGES = ("before CONNECTED", "before GO", "in the window", "before the result")
LOAD = Workload(connections=2, warmup_s=0.0, duration_s=1.0, timeout_s=20.0)
START_AHEAD_NS = SECOND_NS // 2


@contextmanager
def full_listener():
    """Listen where no connection is made any more: those that wait to be accepted are too many."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(3):
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(listener.getsockname())
        yield "{}:{}".format(*listener.getsockname())


@contextmanager
def lingering_server():
    """Echo, and never close a connection that its client has ended: who loads it waits for that for a second."""
    done = threading.Event()

    def echo(conversation):
        with conversation, contextlib.suppress(ConnectionError):
            while piece := conversation.recv(65536):
                conversation.sendall(piece)
            done.wait()

    def accept(listener):
        with contextlib.suppress(OSError):  # the listener was shut down
            while True:
                threads.append(threading.Thread(target=echo, args=(listener.accept()[0],)))
                threads[-1].start()

    with socket.create_server(("127.0.0.1", 0)) as listener:
        threads = [threading.Thread(target=accept, args=(listener,))]
        threads[0].start()
        try:
            yield "{}:{}".format(*listener.getsockname())
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            done.set()
            for thread in threads:
                thread.join()


class Striker:
    """Sends a signal to a part of an agent, once a load is at a stage."""

    def __init__(self, process, victim, number, stage):
        self._process, self._victim, self._number, self._stage = process, victim, number, stage
        self._thread = threading.Thread(target=self._when_it_is_started)
        self.struck_ns = 0
        self.loads = []

    def __enter__(self):
        if self._stage == "before CONNECTED":
            self._thread.start()
        return self

    def __exit__(self, *_):
        if self._thread.ident is not None:
            self._thread.join()

    def announce(self, _established, _requested):
        self.loads = loads_of(self._process)
        start_ns = now_ns() + START_AHEAD_NS
        if self._stage == "before GO":
            self._strike()
        else:
            after_ns = {"in the window": SECOND_NS // 3, "before the result": SECOND_NS + SECOND_NS // 3}[self._stage]
            self._thread = threading.Thread(target=self._at, args=(start_ns + after_ns,))
            self._thread.start()
        return start_ns

    def _when_it_is_started(self):
        while not (loads := loads_of(self._process)):
            time.sleep(0.01)  # nothing tells of another process's children
        self.loads = loads
        self._strike()

    def _at(self, moment_ns):
        wait_until(moment_ns)
        self._strike()

    def _strike(self):
        victim = self._process.pid if self._victim == "keeper" else self.loads[0].pid
        os.kill(victim, self._number)
        self.struck_ns = now_ns()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP], ids=["killed", "stopped"])
@pytest.mark.parametrize("victim", ["load", "keeper"])
@pytest.mark.parametrize("stage", STAGES)
def test_a_part_lost_at_a_stage_ends_the_load_with_its_name(stage, victim, number):
    server = full_listener if stage == "before CONNECTED" else lingering_server
    with server() as address, agents(2, address, LOAD) as (processes, group):
        with Striker(processes[1], victim, number, stage) as striker:
            with pytest.raises(AgentLostError, match="agent-lost: agent a1") as lost:
                group.run(LOAD, striker.announce)
            noticed_ns = now_ns()
        assert lost.value.name == "a1"
        # The keeper sleeps during a window, so one that is stopped there is missed at the window's end.
        is_seen_late = (stage, victim, number) == ("in the window", "keeper", signal.SIGSTOP)
        assert noticed_ns - striker.struck_ns < NOTICED_NS + is_seen_late * SECOND_NS
        loads = [*striker.loads, *loads_of(processes[0])]
        for line in group._lines:
            line.close()
        if number == signal.SIGSTOP and victim == "keeper":
            processes[1].kill()  # as the actor does
        assert psutil.wait_procs(loads, timeout=5)[1] == []
