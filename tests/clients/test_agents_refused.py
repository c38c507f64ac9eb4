"""What `--agents` is refused for before a load: its words, the cluster, the workers, their machines and clocks."""

from __future__ import annotations

import shutil

import pytest
from helpers.agents import agents
from helpers.answering import answering
from helpers.generator import clients

from clients import cli
from clients.agents.alike import check_alike, check_clock, check_free, check_number, check_reach
from clients.agents.asked import Cluster, cluster_asked
from clients.agents.clocks import Trip
from clients.agents.session import Carried
from clients.arguments import check_agents, parser, preflight
from clients.clock import now_ns
from clients.result import Result
from clients.target import parse_target
from clients.workload import Workload, WorkloadError

SECOND_NS = 1_000_000_000
ALERT = bytes([21, 3, 3, 0, 2, 2, 40])
"""With it a TLS server refuses a handshake (RFC 8446, section 6)."""


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("local:0", "from 1 to"),
        ("local:many", "from 1 to"),
        ("10.0.0.1:8786", "is not understood: write local:N"),
        ("ssh://10.0.0.1:8786", "is not understood: write local:N"),
        ("tcp://10.0.0.1", "is not understood: write local:N"),
        ("tcp://10.0.0.1:8786,", "is not understood: write local:N"),
        ("tcp://127.0.0.1:0", "cannot be: a port is a number from 1 to 65535"),
        ("tcp://127.0.0.1:65536", "cannot be: a port is a number from 1 to 65535"),
        ("tls://127.0.0.1:8786,0", "N of ,N is 1 or more"),
        ("tcp://10.0.0.1:8786,3", "Use tls:// with Dask's certificates, or give --insecure-cluster"),
    ],
)
def test_clusters_that_cannot_be_used_are_refused(text, says):
    with pytest.raises(WorkloadError, match=says):
        cluster_asked(text, is_insecure=False)


@pytest.mark.parametrize(
    ("workers", "cluster", "says"),
    [
        (0, Cluster(0, "tcp://s:8786"), "the cluster at tcp://s:8786 has no workers: start `dask worker`"),
        (2, Cluster(3, "tcp://s:8786"), "has 2 of the 3 workers that were asked for: start more"),
        (2, Cluster(3, ""), "the local cluster has 2 of the 3 workers"),
    ],
)
def test_a_cluster_with_too_few_workers_is_refused(workers, cluster, says):
    with pytest.raises(WorkloadError, match=says):
        check_number(workers, cluster)
    check_number(cluster.agents or 1, cluster)


@pytest.mark.parametrize("name", ["echobench", "Python", "Dask"])
def test_a_worker_with_another_version_is_refused(name):
    here = {"echobench": "a1", "Python": "CPython 3.12.1", "Dask": "2025.1.0", "network": "n1"}
    check_alike({"tcp://w:1": here | {"network": "n2"}}, here)
    with pytest.raises(WorkloadError, match=f"the worker tcp://w:1 has {name} another, and this machine"):
        check_alike({"tcp://w:1": here | {name: "another"}}, here)


def test_a_worker_of_another_load_is_refused():
    check_free({"tcp://w:1": True, "tcp://w:2": True})
    with pytest.raises(WorkloadError, match="the worker tcp://w:2 is an agent of another load: wait until"):
        check_free({"tcp://w:1": True, "tcp://w:2": False})


@pytest.mark.parametrize("address", ["127.0.0.1:5433", "[::1]:5433", "unix:/run/echo.sock"])
def test_an_agent_elsewhere_cannot_load_what_only_we_reach(address):
    check_reach(parse_target(address), {"a": "n1"}, "n1")
    check_reach(parse_target("10.0.0.1:5433"), {"a": "n2"}, "n1")
    with pytest.raises(WorkloadError, match=r"agent b is on another machine, where .* is not this one"):
        check_reach(parse_target(address), {"a": "n1", "b": "n2"}, "n1")


@pytest.mark.parametrize(
    ("trips", "says"),
    [
        ([Trip(0, 10, 2), Trip(3, 5, 4)], "the clock of agent a went back"),
        ([Trip(0, 0, SECOND_NS), Trip(SECOND_NS, 9, 2 * SECOND_NS)], "is known to 500 ms only"),
    ],
)
def test_a_clock_that_cannot_be_related_is_refused(trips, says):
    with pytest.raises(WorkloadError, match=says):
        check_clock("a", trips)
    assert check_clock("a", [Trip(0, 10, 2), Trip(3, 15, 4)]).error_ns == 1


def test_an_agent_with_too_few_descriptors_is_named(echo_server):
    if (prlimit := shutil.which("prlimit")) is None:
        pytest.skip("no prlimit here")
    workload = Workload(connections=200, duration_s=1.0)
    with (
        agents(1, echo_server.address, workload, prlimit, "--nofile=120:120") as (_, group),
        pytest.raises(WorkloadError, match="agent a0 cannot carry its share: 200 connections in a process need"),
    ):
        group.run(workload, lambda *_: now_ns())


def test_clusters_that_can_be_used():
    assert cluster_asked("local:3", is_insecure=False) == Cluster(3, "")
    for text in ("tls://10.0.0.1:8786", "tcp://127.0.0.1:8786", "tcp://[::1]:8786"):
        assert cluster_asked(text, is_insecure=False) == Cluster(0, text)
    assert cluster_asked("tcp://scheduler:8786,3", is_insecure=True) == Cluster(3, "tcp://scheduler:8786")


def test_without_dask_the_command_that_installs_it_is_named(monkeypatch):
    monkeypatch.setattr("clients.agents.asked.find_spec", lambda name: None)
    with pytest.raises(WorkloadError, match=r"python -m pip install 'echobench\[dask\]'"):
        cluster_asked("local:3", is_insecure=False)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("-c", 2, "--agents", "local:3"), "3 agents cannot share 2 connections"),
        (("--agents", "local:2", "--workers", 2, "--samples", "x.parquet"), "leave out --workers, --samples"),
        (
            ("--agents", "local:2", "--reference", "--tls", "--cafile", "x.pem"),
            "certificate file 'x.pem' cannot be read",
        ),
        (("--share", "0/2"), "give --coordinated"),
        (("--insecure-cluster",), "give --agents too"),
        (("--share", "2/2"), "'2/2' is no share: write I/N"),
    ],
)
def test_wrong_use_ends_with_2_and_the_cure(arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = clients("127.0.0.1:9", *arguments)
    assert run.status == 2
    assert says in run.err


def test_a_share_needs_the_descriptors_of_its_own_part():
    words = ["127.0.0.1:9", "--coordinated"]
    workload, target = Workload(connections=400), parse_target("127.0.0.1:9")
    preflight(parser().parse_args([*words, "--share", "3/4"]), workload, target, descriptors=140)
    with pytest.raises(WorkloadError, match="400 connections in a process need 432 descriptors"):
        preflight(parser().parse_args(words), workload, target, descriptors=140)


@pytest.mark.parametrize(
    "option", [("--workers", "2"), ("--reference",), ("--live",), ("--samples", "x.parquet"), ("--cafile", "x.pem")]
)
def test_what_only_one_machine_can_do_is_refused_by_name(option):
    with pytest.raises(WorkloadError, match=f"on other machines: leave out {option[0]}$"):
        check_agents(parser().parse_args(["127.0.0.1:9", "--agents", "local:2", *option]))


def test_a_server_that_answers_no_agent_is_asked_for_tls(monkeypatch, capsys):
    unanswered = Result(workload=Workload(connections=2), connections_established=2)
    monkeypatch.setattr("clients.agents.run.by_agents", lambda *_: Carried(unanswered, (), {}, 0))
    with answering(lambda connection: connection.sendall(ALERT)) as address:
        assert cli.main([address, "-c", "2", "--agents", "local:2"]) == 2
    assert capsys.readouterr().err == f"clients: {address} answers in TLS only: give --tls\n"
