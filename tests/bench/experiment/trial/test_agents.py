"""Trials whose load agents make: what becomes of a lost one, and of a cluster that is smaller afterwards.

The cluster is a program that speaks its protocol. Real ones are in test_agents_run.py.
"""

from __future__ import annotations

import json
import sys
import time

import pytest
from helpers.checkout import CHECKOUT

from bench.cli.progress import line_of
from bench.errors import UsageError
from bench.experiment.doubts import Doubt
from bench.experiment.host.machine import Cores, usable_cpus
from bench.experiment.model import AgentCluster, AgentsReached, Block, Status, Trial
from bench.experiment.planning.catalog import catalog
from bench.experiment.trial.agents import END_TIMEOUT_S, AgentLostError, Agents, reached
from bench.experiment.trial.child import ChildError
from bench.experiment.trial.live import LiveBench, live_bench
from clients.workload import Workload

SERVED = catalog().server("threads")
WORKLOAD = Workload(connections=3, warmup_s=0.05, duration_s=0.2, seed=5)


@pytest.fixture
def agents_of(tmp_path):
    """Return a function from what each start of the cluster does to its agents."""

    def made(*starts):
        command = [sys.executable, str(CHECKOUT / "tests/helpers/fake_agents.py"), json.dumps(starts)]
        command.append(str(tmp_path / "starts"))
        return Agents(AgentCluster("local:2"), log=tmp_path / "agents.log", scratch=tmp_path, command=command)

    return made


def asked(agents, tmp_path):
    return agents.connect("127.0.0.1:9", WORKLOAD, hlog=tmp_path / "hlog", tag="0001")


def test_a_trial_by_agents_has_their_rows_and_what_they_doubt(agents_of, tmp_path):
    cpus = usable_cpus()
    trial = Trial(number=7, round=1, server=SERVED, workload_name="w", workload=WORKLOAD)
    with agents_of([2, "RESULT", "LOST"], [2]) as agents:
        bench = LiveBench(logs=tmp_path, cores=Cores((cpus[0],), (cpus[-1],), shared=False), agents=agents)
        (whole,), (lost,) = bench(Block(trials=(trial,))), bench(Block(trials=(trial,)))
    assert whole.status is Status.MEASURED, whole.detail
    assert [row["share"] for row in whole.agents] == ["0/2", "1/2"]
    assert {row["host"] for row in whole.agents} == {"127.0.0.1"}
    for name in ("sent", "replies"):
        assert sum(row[name] for row in whole.agents) == whole.metrics[name] > 0
    assert Doubt.AGENTS_DIFFER in whole.doubts
    assert whole.detail == "agent 1@127.0.0.1 made 0.40 times as many requests"
    assert "Tag=0007.response," in whole.hlog
    assert not {name for name in whole.metrics if name.startswith("client_rss")}
    assert (lost.status, lost.detail) == (Status.AGENT_LOST, "agent 1@127.0.0.1 hung up")
    assert line_of(lost) == "threads w: agent-lost: agent 1@127.0.0.1 hung up"


def test_a_cluster_is_made_once_for_the_look_and_all_trials(agents_of, tmp_path):
    trials = [Trial(number=n, round=n, server=SERVED, workload_name="w", workload=WORKLOAD) for n in (1, 2)]
    logs = tmp_path / "logs"
    logs.mkdir()
    with agents_of([2, "RESULT", "RESULT"]) as agents:
        agents.reach()
        assert agents.found == AgentsReached(2, is_networked=False)
        with live_bench(logs=logs, agents=agents) as bench:
            found = [bench(Block(trials=(trial,)))[0] for trial in trials]
    assert [one.status for one in found] == [Status.MEASURED] * 2, found
    assert (tmp_path / "starts").read_text() == "x"
    assert (logs / "agents.log").read_text().startswith("a word of the cluster")


def test_after_a_loss_a_whole_cluster_goes_on(agents_of, tmp_path):
    with agents_of([2, "LOST"], [2, "LOST"]) as agents:
        for _ in range(2):
            with pytest.raises(AgentLostError, match="agent 1@127"):
                asked(agents, tmp_path)
    assert (tmp_path / "starts").read_text() == "xx"


def test_a_cluster_that_has_become_another_is_never_loaded_with(agents_of, tmp_path):
    with agents_of([3, "LOST"], [2], [4], [3, "LOST"]) as agents:
        with pytest.raises(AgentLostError, match="1@127"):
            asked(agents, tmp_path)
        with pytest.raises(AgentLostError, match=r"has 2 agents now, and the run began with 3 \(0@"):
            asked(agents, tmp_path)
        with pytest.raises(AgentLostError, match=r"has 4 agents now, .*: end what has joined, then go on"):
            asked(agents, tmp_path)
        with pytest.raises(AgentLostError, match="1@127"):
            asked(agents, tmp_path)  # it has three again


def test_a_cluster_that_is_refused_after_a_loss_is_a_lost_agent(agents_of, tmp_path):
    with agents_of([2, "LOST"], ["REFUSED"]) as agents:
        with pytest.raises(AgentLostError):
            asked(agents, tmp_path)
        with pytest.raises(AgentLostError, match="cannot be used any more: the cluster has no workers"):
            asked(agents, tmp_path)


def test_an_agent_lost_as_the_cluster_is_reached_is_named(agents_of):
    with agents_of(["LOST"]) as agents, pytest.raises(UsageError, match=r"^agent 1@.* lost its Dask worker"):
        agents.reach()


def test_an_interrupt_while_the_cluster_is_reached_waits_for_nothing(agents_of, monkeypatch):
    def interrupted(deadline_s):
        assert heard(deadline_s) == "DEAF"
        raise KeyboardInterrupt

    began_s = time.monotonic()
    with agents_of(["DEAF"]) as agents:
        heard = agents._next_line
        monkeypatch.setattr(agents, "_next_line", interrupted)
        with pytest.raises(KeyboardInterrupt):
            agents.reach()
    assert time.monotonic() - began_s < END_TIMEOUT_S


@pytest.mark.parametrize(("word", "says"), [("GONE", "ended with status 0"), ("KILLED", "was ended by SIGKILL")])
def test_a_coordinator_that_ends_is_a_failed_generator(word, says, agents_of, tmp_path):
    with agents_of([2, word]) as agents, pytest.raises(ChildError, match=f"{says} and gave no CONNECTED") as caught:
        asked(agents, tmp_path)
    assert not isinstance(caught.value, AgentLostError)


def test_a_stopped_coordinator_is_noticed_long_before_the_deadline(agents_of, tmp_path, monkeypatch):
    monkeypatch.setattr("bench.experiment.trial.agents.LOOK_S", 0.05)
    began_s = time.monotonic()
    with agents_of([2, "STOPPED"]) as agents, pytest.raises(ChildError, match=r"was stopped \(SIGSTOP\)"):
        asked(agents, tmp_path)
    assert time.monotonic() - began_s < END_TIMEOUT_S, "and it is not waited for"


def test_a_cluster_that_cannot_be_is_wrong_use():
    with (
        pytest.raises(UsageError, match="N of local:N is a whole number from 1"),
        reached(AgentCluster("local:0")),
    ):
        pytest.fail("there is no such cluster")


def test_only_agents_that_are_made_here_use_our_cores():
    assert AgentCluster("local:3").made_here == 3
    assert AgentCluster("tcp://10.0.0.1:8786").made_here == 0
