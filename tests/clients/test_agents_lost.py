"""Agents that are lost, or their coordinator: each part killed or stopped, at each stage. No Dask; real processes.

A stopped keeper is noticed by its silence, so these take seconds and `nox -s cluster` runs them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import socket
import threading
import time
from contextlib import ExitStack, contextmanager

import psutil
import pytest
from helpers.agents import agents, keeper, loads_of
from helpers.generator import wait_until

from clients.agents.alive import KEEP_ALIVE_NS, SILENCE_NS
from clients.agents.line import AgentLostError, Line, hear_all
from clients.clock import now_ns
from clients.workload import Workload

pytestmark = pytest.mark.cluster
SECOND_NS = 1_000_000_000
NOTICED_NS = KEEP_ALIVE_NS + SILENCE_NS + SECOND_NS
"""Three seconds after the keep-alive that was missed, and one because this machine is busy."""
STAGES = ("before CONNECTED", "before GO", "in the window", "before the result")
LOAD = Workload(connections=2, warmup_s=0.0, duration_s=1.0, timeout_s=20.0)
SHORT = Workload(connections=1, warmup_s=0.0, duration_s=0.2)
LONG = dataclasses.replace(SHORT, duration_s=60.0)
START_AHEAD_NS = SECOND_NS // 2


@contextmanager
def full_listener():
    """Listen where no connection is made any more: those that wait to be accepted are too many."""
    with ExitStack() as stack:
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
        while not (loads := [one for one in loads_of(self._process) if "--share" in one.cmdline()]):  # else a mere fork
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
        assert noticed_ns - striker.struck_ns < NOTICED_NS
        loads = [*striker.loads, *loads_of(processes[0])]
        for line in group._lines:
            line.close()
        if number == signal.SIGSTOP and victim == "keeper":
            processes[1].kill()  # as the actor does
        assert psutil.wait_procs(loads, timeout=5)[1] == []


def brought_to(stage, line, address):
    """Bring the agent of a line to a stage of a load, as its coordinator."""

    def hear(begin):
        words = hear_all([line], now_ns() + 20 * SECOND_NS, f"did not say {begin}")[line]
        assert words.startswith(begin)

    load = LONG if stage == "in the window" else SHORT
    words = [address, "--workload", json.dumps(load.to_json()), "--coordinated", "--share", "0/1"]
    line.trip()
    if stage == "before LOAD":
        return
    line.say(f"LOAD {json.dumps(words)}")
    if stage == "before CONNECTED":
        line.trip()
        return
    hear("CONNECTED 1 1")
    if stage == "before GO":
        return
    line.say(f"GO {now_ns() + SECOND_NS // 10}")
    hear("WENT")
    if stage == "after the result":
        hear("{")


@pytest.mark.parametrize("end", ["is silent, as one that is stopped", "is gone"])
def test_a_coordinator_that_is_lost_leaves_nothing_at_any_stage(end):
    stages = ("before LOAD", *STAGES, "after the result")
    with ExitStack() as stack:
        full, address = stack.enter_context(full_listener()), stack.enter_context(lingering_server())
        keepers, loads = [], []
        for stage in stages:
            process, seat = stack.enter_context(keeper())
            line = stack.enter_context(Line(seat))
            brought_to(stage, line, full if stage == "before CONNECTED" else address)
            keepers.append(psutil.Process(process.pid))
            loads += loads_of(process)
            if end == "is gone":
                line.close()
        limit_s = NOTICED_NS / 1e9 if end != "is gone" else 2.0
        alive = psutil.wait_procs([*keepers, *loads], timeout=limit_s)[1]
    assert len(loads) >= len(stages) - 2
    assert alive == []
