"""The arms of a comparison are asked whether they echo, before anything is measured: by fakes, and by real servers."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest
from helpers import fake_host as fakes
from helpers.checkout import KNOWN_BAD

from bench.errors import ExitCode
from bench.experiment.conformance import CaseResult, Outcome
from bench.experiment.model import Server
from bench.experiment.planning.catalog import catalog
from bench.regress.conforming import conforming
from bench.verdict.pairs import Arm


def failing(case, arm, outcome=Outcome.FAILED):
    """Return a check in which one case of one arm fails."""

    def check(server):
        names = ("start", "echo", "bytes", "turns", "reset")
        is_bad = server.name.endswith({Arm.BASELINE: "base", Arm.CANDIDATE: "head"}[arm])
        return [
            CaseResult(case=name, outcome=outcome if is_bad and name == case else Outcome.PASSED, detail="it hung up")
            for name in names
        ]

    return check


@pytest.mark.parametrize(("arm", "code"), [(Arm.CANDIDATE, ExitCode.INVALID), (Arm.BASELINE, ExitCode.NO_BASELINE)])
@pytest.mark.parametrize("case", ["echo", "bytes", "turns"])
def test_an_arm_that_does_not_echo_is_not_measured(arm, code, case):
    seen = conforming([fakes.cell()], failing(case, arm))
    host = fakes.FakeHost()
    compared = fakes.run(host, fakes.ask(cells=seen.cells, pairs=12))
    (cell,) = compared.comparison.cells
    assert compared.comparison.exit_code() is code
    assert cell.reason == f"the {arm} was not measured: it failed the case '{case}' of `echobench check`: it hung up"
    assert host.calls == []


def test_an_arm_that_fails_another_case_is_measured_with_a_doubt():
    seen = conforming([fakes.cell()], failing("reset", Arm.CANDIDATE))
    assert seen.cells == (fakes.cell(),)
    assert seen.doubted == {fakes.cell().servers[Arm.CANDIDATE].name}


@pytest.mark.parametrize(("outcome", "case"), [(Outcome.SKIPPED, "echo"), (Outcome.FAILED, "start")])
def test_what_was_not_tried_or_started_is_left_to_the_trials(outcome, case):
    seen = conforming([fakes.cell()], failing(case, Arm.CANDIDATE, outcome))
    assert (seen.cells, seen.doubted) == ((fakes.cell(),), frozenset())


def test_one_request_per_connection_needs_no_turns():
    cell = fakes.cell(requests_per_connection=1)
    seen = conforming([cell], failing("turns", Arm.CANDIDATE))
    assert seen.cells == (cell,)


def test_an_arm_that_cannot_run_here_is_not_started():
    cell = fakes.cell()
    gone = replace(cell, servers={arm: replace(server, gap="gone") for arm, server in cell.servers.items()})
    assert conforming([gone], lambda server: pytest.fail(server.name)).cells == (gone,)


HANGS_UP = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    while True:
        listener.accept()[0].close()
"""
ANSWERS_ONCE = """
import socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as listener:
    while True:
        with listener.accept()[0] as connection:
            connection.sendall(connection.recv(65536))
"""


@pytest.mark.parametrize(
    ("source", "says"),
    [
        (HANGS_UP, "it accepted and hung up before it served"),
        (HANGS_UP, "If it serves TLS, `python -m clients --tls` measures it"),
        (ANSWERS_ONCE, "if it answers one message per connection, load it with --requests-per-connection 1"),
    ],
)
def test_a_real_server_that_hangs_up_is_told_what_to_pass(source, says):
    command = (sys.executable, "-c", source, "{port}")
    cell = fakes.cell()
    servers = {arm: Server(name=arm.name, command=command, ready="port") for arm in (Arm.CANDIDATE,)}
    (seen,) = conforming([replace(cell, servers=servers)]).cells
    assert says in seen.servers[Arm.CANDIDATE].gap


def test_a_real_server_that_dies_of_a_reset_is_doubted():
    server = catalog().file(KNOWN_BAD / "dies_on_reset.py", label="mine")
    cell = replace(fakes.cell(), servers={Arm.CANDIDATE: server})
    assert conforming([cell]).doubted == {"mine"}
