"""`agents` of a plan: how it is measured then, what is refused before the first trial, and what run.json says of it."""

from __future__ import annotations

import dataclasses

import pytest

from bench.errors import UsageError
from bench.experiment.host import network
from bench.experiment.model import AgentCluster, AgentsReached, Server
from bench.experiment.planning import preflight
from bench.experiment.planning.plan import NamedWorkload, Plan
from bench.experiment.planning.plan_file import plan_of
from bench.experiment.planning.selection import resolve
from bench.experiment.planning.server_table import ServerTable
from clients.workload import Workload

PLAN = Plan(
    name="p",
    servers=(Server(name="a", command=("a",)), Server(name="b", command=("b",))),
    workloads=(NamedWorkload(name="c4", workload=Workload(connections=4)),),
    rounds=2,
    seed=5,
    agents=AgentCluster("local:2"),
)
ASKED = {"servers": ["threads", "coroutines"], "agents": "local:2"}
ELSEWHERE = AgentsReached(2, is_networked=True)


def target(address):
    return ServerTable(name="t", target=address).server()


def test_agents_are_a_key_of_plans_and_load_whole_trials():
    plan = resolve(plan_of({**ASKED, "insecure_cluster": True, "host": "127.0.0.2"}, "here"))
    assert plan.agents == AgentCluster("local:2", is_insecure=True)
    assert (plan.design, plan.rounds, plan.processes) == ("solo", 3, 2)
    assert {len(servers) for servers, _ in plan.groups} == {1}
    assert {server.host for server in plan.servers} == {"127.0.0.2"}
    assert resolve(plan_of(plan.source, "run.json")) == plan, "a run is taken up by what it was asked"


def test_agents_share_no_block_whatever_the_design():
    assert {len(servers) for servers, _ in PLAN.groups} == {1}
    assert {len(servers) for servers, _ in dataclasses.replace(PLAN, agents=None).groups} == {2}


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({**ASKED, "design": "blocks"}, "--agents local:2 loads one server for a whole trial.*give --design solo"),
        ({**ASKED, "until": "2%"}, "waits for ratios of servers that are alive together"),
        ({"servers": ["threads"], "insecure_cluster": True}, "about the cluster of --agents: give that too"),
        ({**ASKED, "workers": 2}, "leave workers out"),
        ({**ASKED, "generator": "reference"}, "leave generator out"),
    ],
)
def test_what_does_not_go_with_agents_is_refused(fields, says):
    with pytest.raises(UsageError, match=says):
        resolve(plan_of(fields, "here"))


def test_an_address_that_is_not_ours_is_refused():
    with pytest.raises(UsageError, match=r"a: the address 192\.0\.2\.1 cannot be used: .*; give one of this machine"):
        preflight.check_port(Server(name="a", host="192.0.2.1"))


def test_more_agents_than_connections_are_refused_by_the_workload():
    few = AgentsReached(5, is_networked=False)
    with pytest.raises(UsageError, match="5 agents cannot share 4 connections, as c4 has: use more connections"):
        preflight.check_agents(PLAN, few)


@pytest.mark.parametrize(
    ("server", "says"),
    [
        (Server(name="a"), r"where 127\.0\.0\.1 is not this one: a: have it listen .* \(--host ADDRESS\)"),
        (target("127.0.0.1:7"), "is not this one: t: give --target an address that they reach"),
        (target("[::1]:7"), "where ::1 is not this one"),
        (target("unix:/run/echo"), "where unix:/run/echo is not this one"),
    ],
)
def test_agents_elsewhere_do_not_reach_what_only_this_machine_does(server, says):
    with pytest.raises(UsageError, match=says):
        preflight.check_agents(dataclasses.replace(PLAN, servers=(server,)), ELSEWHERE)


def test_agents_elsewhere_reach_an_address_of_a_network():
    preflight.check_agents(dataclasses.replace(PLAN, servers=(Server(name="a", host="10.0.0.1"),)), ELSEWHERE)


@pytest.mark.parametrize(
    ("host", "is_elsewhere"),
    [("127.0.0.1", False), ("127.0.0.2", False), ("localhost", False), ("192.0.2.1", True), ("no.such.invalid", True)],
)
def test_an_address_of_this_machine_is_not_elsewhere(host, is_elsewhere):
    assert network.is_elsewhere(host) == is_elsewhere


@pytest.mark.parametrize(("address", "over"), [("127.0.0.1:7", False), ("unix:/x", False), ("192.0.2.1:7", True)])
def test_a_target_behind_a_network_is_a_fact_of_the_load(address, over):
    assert network.load_facts([target(address)]) == {"agents": 0, "over_network": over}
