"""The actor that a Dask worker runs, without a worker: the keepers that it starts, and how they are scheduled."""

from __future__ import annotations

import os
from types import SimpleNamespace

import psutil
import pytest
from helpers.agents import of_agents

from clients.workers import WorkerGroup

pytestmark = pytest.mark.cluster


@pytest.fixture
def agent(monkeypatch):
    engine = pytest.importorskip("clients.agents.engine")  # here, because it loads Dask
    monkeypatch.setattr("distributed.get_worker", lambda: SimpleNamespace(periodic_callbacks={}, loop=None))
    return engine.Agent()


def test_a_late_word_to_end_spares_the_next_keeper(agent):
    agent.open("127.0.0.1", "first")
    agent.open("127.0.0.1", "second")
    (second,) = of_agents(psutil.Process().children())
    agent.end("first")
    assert second.is_running()
    agent.end("second")
    assert not second.is_running()


def test_agents_are_scheduled_as_workers_are_and_hear_no_terminal(agent):
    agent.open("127.0.0.1", "token")
    (keeper,) = of_agents(psutil.Process().children())
    with WorkerGroup(["127.0.0.1:1"], 1) as workers:
        sessions = [os.getsid(process.pid) for process in (keeper, *workers._children)]
        group = os.getpgid(keeper.pid)
    agent.end("token")
    assert sessions == [os.getsid(0)] * 2, "Linux shares a core out between sessions first"
    assert group == keeper.pid, "Ctrl-C at a terminal is for the group in the foreground"
