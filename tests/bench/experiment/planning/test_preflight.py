"""What would make a plan fail later is said before its first trial."""

from __future__ import annotations

import dataclasses
import os
import resource
import signal
import socket
import subprocess
import sys

import pytest

from bench.errors import UsageError
from bench.experiment.model import Server
from bench.experiment.planning import preflight
from bench.experiment.planning.plan import NamedWorkload, Plan
from bench.experiment.planning.server_table import ServerTable
from clients.workload import Workload


def test_a_plan_that_can_be_measured_passes_and_leaves_nothing(tmp_path):
    plan = Plan(
        name="test",
        servers=(Server(name="a", command=(sys.executable,)), Server(name="no", gap="why", command=("/no/such",))),
        workloads=(NamedWorkload(name="c1", workload=Workload()),),
        rounds=1,
        seed=1,
    )
    preflight.check(plan, tmp_path / "out")
    assert list((tmp_path / "out").iterdir()) == []


def test_more_workers_than_cpus_can_carry_are_refused():
    asked = Plan(name="t", servers=(), workloads=(), rounds=1, seed=1, workers=100_000)
    with pytest.raises(UsageError, match=r"^--workers is 100000, and must be \d+ or less: each keeps a CPU"):
        preflight.check_generator(asked)


@pytest.mark.parametrize(
    ("workload", "workers", "message"),
    [
        (Workload(rate_per_s=100.0, arrivals="poisson"), 1, "c1: the reference generator makes a closed loop"),
        (Workload(pipeline=2), 1, "c1: the reference generator makes a closed loop"),
        (Workload(), 2, "the reference generator is one process: leave workers out"),
    ],
)
def test_what_the_reference_generator_cannot_do_is_said(workload, workers, message):
    plan = Plan(
        name="test",
        servers=(),
        workloads=(NamedWorkload(name="c1", workload=workload),),
        rounds=1,
        seed=1,
        workers=workers,
        generator="reference",
    )
    with pytest.raises(UsageError, match=message):
        preflight.check_generator(plan)
    preflight.check_generator(dataclasses.replace(plan, generator="python"))


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match=r"cannot write to .*file: .*; choose another folder with --out"):
        preflight.check_folder(tmp_path / "file")


@pytest.fixture
def limits(monkeypatch):
    """Replace the limit of descriptors, so that no test changes that of the test run."""
    state = {"soft": 1024, "hard": 4096}

    def set_limit(_which, pair):
        state["soft"], state["hard"] = pair

    monkeypatch.setattr(preflight.resource, "getrlimit", lambda _which: (state["soft"], state["hard"]))
    monkeypatch.setattr(preflight.resource, "setrlimit", set_limit)
    return state


@pytest.mark.parametrize(
    ("connections", "soft", "hard", "expected"),
    [
        (10, 1024, 4096, 1024),  # enough
        (2000, 1024, 4096, 2000 + preflight.SPARE_DESCRIPTORS),  # raised as far as is needed
        (2000, resource.RLIM_INFINITY, resource.RLIM_INFINITY, resource.RLIM_INFINITY),
        (2000, 1024, resource.RLIM_INFINITY, 2000 + preflight.SPARE_DESCRIPTORS),
    ],
)
def test_the_soft_limit_of_descriptors_is_raised_as_far_as_is_needed(limits, connections, soft, hard, expected):
    limits.update(soft=soft, hard=hard)
    preflight.check_connections(connections)
    assert limits == {"soft": expected, "hard": hard}


def test_too_few_descriptors_are_said_with_what_to_set(limits):
    with pytest.raises(
        UsageError, match=r"5,000 connections need 5100 descriptors, and the limit is 4096: .*ulimit -Hn 5100"
    ):
        preflight.check_connections(5000)


def test_too_few_local_ports_are_said(limits, tmp_path, monkeypatch):
    ports = tmp_path / "ports"
    ports.write_text("40000\t40099\n")
    monkeypatch.setattr(preflight, "_PORT_RANGE", ports)
    preflight.check_connections(100)
    with pytest.raises(UsageError, match="101 connections to one address need as many local ports, and there are 100"):
        preflight.check_connections(101)


def test_connections_to_several_servers_share_descriptors_but_not_ports(limits, tmp_path, monkeypatch):
    ports = tmp_path / "ports"
    ports.write_text("40000\t40099\n")
    monkeypatch.setattr(preflight, "_PORT_RANGE", ports)
    limits.update(soft=200, hard=1000)
    preflight.check_connections(500, a_server=100)
    assert limits["soft"] == 500 + preflight.SPARE_DESCRIPTORS


def test_servers_that_cannot_be_in_memory_together_are_refused():
    servers = [Server(name=str(number)) for number in range(7)]
    preflight.check_memory(len(servers), Workload(connections=10))
    huge = Workload(connections=100_000, message_bytes=1 << 30)
    said = r"7 servers with 100,000 connections each and messages of 1 GiB need .* of memory at least, and .* is free"
    with pytest.raises(UsageError, match=said):
        preflight.check_memory(len(servers), huge)


def test_a_rate_that_the_processes_cannot_keep_is_refused():
    asked = Workload(rate_per_s=1_500_000.0, arrivals="constant")
    with pytest.raises(UsageError, match=r"--rate is 1.5e\+06, and must be 1000000 or less"):
        preflight.check_load(1, asked)
    preflight.check_load(1, asked, processes=2)
    preflight.check_load(1, asked, processes=None)


def test_a_command_is_looked_for_where_it_will_be_run(tmp_path):
    program = tmp_path / "echo-server"
    program.write_text("#!/bin/sh\n")
    server = Server(name="mine", command=("./echo-server",), cwd=str(tmp_path))
    with pytest.raises(UsageError, match=r"mine: cannot run './echo-server': it is not executable: chmod \+x it"):
        preflight.check_server(server)
    program.chmod(0o755)
    preflight.check_server(server)
    absent = r"mine: cannot run 'no-such-thing': there is no such program: install it, or give its path"
    with pytest.raises(UsageError, match=absent):
        preflight.check_server(Server(name="mine", command=("no-such-thing",)))
    with pytest.raises(UsageError, match=r"mine: there is no folder /no/such"):
        preflight.check_server(Server(name="mine", command=("sh",), cwd="/no/such"))


def test_a_port_that_is_taken_is_said_before_the_first_trial():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        server = Server(name="mine", command=(sys.executable,), port=port)
        with pytest.raises(UsageError, match=f"mine: port {port} on 127.0.0.1 cannot be used: Address already in use"):
            preflight.check_server(server)
    preflight.check_server(server)


def target(address, pid=None):
    return ServerTable(name="t", target=address, pid=pid).server()


def test_a_target_must_answer(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as listener:
        address = f"127.0.0.1:{listener.getsockname()[1]}"
        preflight.check_server(target(address, os.getpid()))
        with pytest.raises(UsageError, match="there is no process 999999999"):
            preflight.check_server(target(address, 999999999))
    with pytest.raises(UsageError, match=f"nothing answers at {address}: Connection refused; start the server first"):
        preflight.check_server(target(address))
    with pytest.raises(UsageError, match=r"nothing answers at a\.\.b:7: no host can have that name"):
        preflight.check_server(target("a..b:7"))
    path = tmp_path / "echo.sock"
    with pytest.raises(UsageError, match="nothing answers at unix:"):
        preflight.check_server(target(f"unix:{path}"))
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        preflight.check_server(target(f"unix:{path}"))


def test_a_pid_that_is_not_the_servers_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        target = f"127.0.0.1:{port}"
        with subprocess.Popen(["sleep", "60"]) as stranger:
            with pytest.raises(UsageError, match=rf"does not listen at {target}, process {os.getpid()} does"):
                preflight.check_owner(target, stranger.pid, port)
            stranger.kill()
        with pytest.raises(UsageError, match=r"--pid \d+ has started this command too"):
            preflight.check_owner(target, os.getppid(), port)


def test_a_pid_that_is_not_at_the_unix_socket_is_refused(tmp_path):
    path = tmp_path / "echo.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        with subprocess.Popen(["sleep", "60"]) as stranger:
            with pytest.raises(UsageError, match=rf"does not listen at unix:.*, process {os.getpid()} does"):
                preflight.check_server(target(f"unix:{path}", stranger.pid))
            stranger.kill()


def test_a_pid_whose_child_listens_is_taken():
    code = "import socket, time; s = socket.create_server(('127.0.0.1', 0)); print(s.getsockname()[1], flush=True)"
    command = ["sh", "-c", f'{sys.executable} -c "{code}; time.sleep(60)"; true']
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as wrapper:
        port = int(wrapper.stdout.readline())
        preflight.check_owner(f"127.0.0.1:{port}", wrapper.pid, port)
        os.killpg(wrapper.pid, signal.SIGKILL)
