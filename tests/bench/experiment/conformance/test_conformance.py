"""The conformance suite as such: which cases there are, what is run and what is not, and how a limit is verified."""

from __future__ import annotations

import contextlib
import os
import resource
import socket
import threading
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from helpers.checkout import KNOWN_BAD

from bench.errors import ExitCode
from bench.experiment.conformance import (
    CASES,
    START,
    CaseResult,
    Group,
    Outcome,
    basic,
    cases_of,
    check,
    exit_code,
    suite,
)
from bench.experiment.conformance.refusal import nonconformance
from bench.experiment.model import Server
from bench.experiment.planning.catalog import catalog
from bench.experiment.planning.preflight import check_target
from bench.experiment.planning.server_table import ServerTable
from bench.experiment.trial.process import launch

PASSED, FAILED, LIMITED, SKIPPED, UNTRIED = Outcome
RUNNABLE = [name for name, entry in catalog().entries.items() if entry.runnable]
RLOOP = ("rloop-streams", "rloop-protocol", "rloop-buffered")
FAULTS = {name: {"half-close", "descriptors"} for name in RLOOP} | {"anyio": {"bounded-memory"}}
"""rloop 0.5 does not close a transport after the end of file. anyio 4.16 pauses reading after a receive that waited."""
BASIC = {case.name for case in cases_of(Group.BASIC)}
AT_TIMES = {name: {"bounded-memory"} for name in RLOOP}
"""It may go on reading for a while when it is told to pause: how long depends on what is there to be read."""


def crowd(count):
    """The case of many connections at once, with fewer."""
    return CASES["crowd-500"].scaled(connections=count, count=count)


def outcome_of(server, case, **options):
    """Run one case and return its outcome and detail."""
    *_, last = check(server, [case], **options)
    assert last.case == case.name
    return last.outcome, last.detail


def failed(results):
    return {result.case for result in results if result.outcome is FAILED}


@pytest.mark.parametrize("name", [name for name in RUNNABLE if not FAULTS.get(name, set()) & BASIC])
def test_every_server_passes_the_basic_cases(name):
    results = basic(catalog().server(name))
    assert [result.case for result in results] == [START, *(case.name for case in cases_of(Group.BASIC))]
    assert [found for found in results if found.outcome is not PASSED] == []


@pytest.mark.live
@pytest.mark.timeout(600)
@pytest.mark.parametrize("name", RUNNABLE)
def test_every_server_passes_every_case_but_the_longest(name):
    cases = [case for case in cases_of(*Group) if case.name != "churn"]
    assert failed(check(catalog().server(name), cases)) - AT_TIMES.get(name, set()) == FAULTS.get(name, set())


@pytest.mark.live
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", ["threads", "generators", "coroutines", "asyncio-streams", "asyncio-protocol"])
def test_a_minute_of_churn_does_not_make_a_server_grow(name):
    assert outcome_of(catalog().server(name), CASES["churn"])[0] is PASSED


def test_needs_come_first():
    order = [case.name for case in cases_of(*Group)]
    assert sorted(order) == sorted(CASES)
    assert [
        (case.name, need)
        for case in CASES.values()
        for need in case.needs
        if order.index(need) > order.index(case.name)
    ] == []


def test_the_basic_cases_need_no_access_to_the_process():
    """A server that was not started here can be held to them too."""
    assert {case.access.value for case in cases_of(Group.BASIC)} == {"none"}


@pytest.mark.parametrize("case", CASES.values(), ids=lambda case: case.name)
def test_a_case_states_what_a_server_must_do(case):
    assert case.statement[0].isupper()
    assert case.statement.endswith(".")


@pytest.mark.parametrize("host", ["::1", "unix:{folder}/echo"])
def test_other_addresses(host, tmp_path):
    server = replace(catalog().server("threads"), host=host.format(folder=tmp_path))
    assert [result for result in basic(server) if result.outcome is not PASSED] == []


HOARDS_WHAT_IS_THERE = """
import threading, time
def echo(client):
    while data := client.recv(65536):
        client.sendall(data)
def hoard(client, kept):
    while data := client.recv(65536):
        kept += data
    client.sendall(kept)
def serve(listener):
    while True:
        client, _ = listener.accept()
        client.setblocking(False)
        try:
            work, given = hoard, (client, bytearray(client.recv(65536)))
        except BlockingIOError:
            work, given = echo, (client,)
        client.setblocking(True)
        threading.Thread(target=work, args=given, daemon=True).start()
        time.sleep(0.002)
"""
"""It waits for a client that does not read only if its first read found nothing, as anyio does."""


@pytest.mark.live
def test_bounded_memory_finds_who_hoards_what_was_there_first(tmp_path):
    """A server is always late enough for it, and not at one run in four."""
    (tmp_path / "hoards.py").write_text(HOARDS_WHAT_IS_THERE)
    outcome, detail = outcome_of(catalog().file(tmp_path / "hoards.py"), CASES["bounded-memory"].scaled(mebibytes=12))
    assert (outcome, detail[:14]) == (FAILED, "memory grew by")


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        (("false",), "ended with status 1 before it was ready"),
        (("no-such-program",), "cannot start no-such-program"),
    ],
)
def test_a_server_that_does_not_start_fails_that_and_nothing_else(command, reason):
    first, *others = check(Server(name="none", command=command), cases_of(Group.BASIC))
    assert (first.case, first.outcome) == (START, FAILED)
    assert reason in first.detail
    assert {(result.outcome, result.detail) for result in others} == {(SKIPPED, "needs start, which did not pass")}


def test_a_server_that_cannot_run_here_is_skipped_with_its_reason():
    first, *others = check(Server(name="none", gap="nolib is not installed"), cases_of(Group.BASIC))
    assert (first.outcome, first.detail) == (SKIPPED, "nolib is not installed")
    assert {result.outcome for result in others} == {SKIPPED}


def test_a_server_that_runs_already_is_neither_ended_nor_restricted(tmp_path):
    with launch(catalog().server("coroutines"), log=tmp_path / "log") as running:
        there = ServerTable(name="there", target=running.address).server()
        assert outcome_of(there, CASES["echo"]) == (PASSED, "")
        assert outcome_of(there, CASES["vanish"]) == (SKIPPED, "needs the pid of the server")
        known = replace(there, pid=running.pid)
        assert outcome_of(known, CASES["vanish"].scaled(clients=8)) == (PASSED, "")
        outcome, detail = outcome_of(known, CASES["stop"])
        assert outcome is SKIPPED
        assert "a server that we did not start" in detail
        assert not running.has_died


@pytest.mark.parametrize(
    ("server", "declared", "outcome", "detail"),
    [
        ("sequential", 1, LIMITED, "serves 1 at once, as it declares; one more waits"),
        ("refuses_after_n", 64, LIMITED, "serves 64 at once, as it declares; one more is refused"),
        ("refuses_after_n", 65, FAILED, "connection 65 of 65: the server refused a connection"),
        ("refuses_after_n", 63, FAILED, "it declares 63 connections at once, and serves one more"),
        ("threads", 8, FAILED, "it declares 8 connections at once, and serves one more"),
    ],
)
def test_a_declared_limit_is_verified_to_be_exactly_that(server, declared, outcome, detail):
    found = catalog().server(server) if server in RUNNABLE else catalog().file(KNOWN_BAD / f"{server}.py")
    assert outcome_of(replace(found, connections_max=declared), crowd(100)) == (outcome, detail)


def test_a_limit_beyond_what_a_case_needs_does_not_matter():
    assert outcome_of(replace(catalog().server("threads"), connections_max=100), crowd(100)) == (PASSED, "")


def test_a_limited_server_is_still_told_to_end():
    outcome, detail = outcome_of(catalog().server("sequential"), CASES["stop"])
    assert (outcome, detail[:11]) == (PASSED, "ended after")


def test_more_connections_than_descriptors_are_untried_with_the_remedy(monkeypatch):
    """The hard limit is the machine's: nothing is known of the server."""
    monkeypatch.setattr(resource, "getrlimit", lambda _: (100, 400))
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    outcome, detail = outcome_of(catalog().server("threads"), CASES["crowd-500"])
    assert outcome is UNTRIED
    assert "500 connections need 600 descriptors, and the limit is 400: raise it with `ulimit -Hn 600`" in detail


def test_a_shortage_of_our_own_is_not_held_against_the_server(monkeypatch):
    def no_ports(_socket, _address):
        raise OSError(99, "Cannot assign requested address")

    monkeypatch.setattr(socket.socket, "connect", no_ports)
    outcome, detail = outcome_of(catalog().server("threads"), CASES["echo"])
    assert outcome is UNTRIED
    assert detail.startswith("could not be tried here: no local port is free: wait a minute")
    assert "cannot say whether it echoes: echo could not be tried here" in nonconformance(catalog().server("threads"))


def test_a_server_that_we_cannot_start_for_want_of_descriptors_is_untried(monkeypatch):
    def none_left(*_, **__):
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(suite, "launch", none_left)
    results = list(check(catalog().server("threads"), [CASES["echo"]]))
    assert [(found.case, found.outcome) for found in results] == [(START, UNTRIED), ("echo", SKIPPED)]
    assert exit_code([results]) is ExitCode.INCONCLUSIVE


def test_a_process_that_we_may_not_look_at_is_untried(monkeypatch):
    """It is another user's. Its descriptors must not count as none, which would hide a leak."""

    def denied(process):
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "num_fds", denied)
    assert outcome_of(catalog().server("threads"), CASES["vanish"].scaled(clients=1))[0] is UNTRIED


@pytest.mark.parametrize(
    ("outcomes", "status"),
    [
        ({START: PASSED, "echo": PASSED, "idle": LIMITED}, ExitCode.FINE),
        ({START: PASSED, "echo": PASSED, "stop": SKIPPED}, ExitCode.FINE),
        ({START: SKIPPED, "echo": SKIPPED}, ExitCode.FINE),
        ({START: PASSED, "echo": PASSED, "stop": UNTRIED}, ExitCode.INCONCLUSIVE),
        ({START: PASSED, "stop": SKIPPED}, ExitCode.INCONCLUSIVE),
        ({START: PASSED, "echo": FAILED, "stop": UNTRIED}, ExitCode.INVALID),
    ],
)
def test_what_was_not_tried_is_not_passed(outcomes, status):
    """The first is another server, which passes. A gap decides nothing, and a failure comes before a doubt."""
    good = [CaseResult(case=case, outcome=PASSED) for case in (START, "echo")]
    assert exit_code([good, [CaseResult(case=case, outcome=one) for case, one in outcomes.items()]]) is status


def test_what_a_system_cannot_do_is_not_held_against_the_server(monkeypatch):
    monkeypatch.delattr(psutil.Process, "rlimit")
    outcome, detail = outcome_of(catalog().server("threads"), CASES["descriptors"])
    assert outcome is UNTRIED
    assert detail == "could not be tried here: this system does not let us lower the limits of another process"


def test_a_case_that_lasts_too_long_fails():
    outcome, detail = outcome_of(catalog().server("threads"), replace(CASES["idle"], limit_s=0.5).scaled(seconds=0.6))
    assert outcome is FAILED
    assert detail.endswith("it was not done within 0.5 s")


def test_a_server_is_started_again_after_a_failure():
    """What one case broke is not held against the next one."""
    server = catalog().file(KNOWN_BAD / "dies_on_reset.py")
    results = {result.case: result.outcome for result in check(server, [CASES["reset"], CASES["echo"]])}
    assert results == {START: PASSED, "reset": FAILED, "echo": PASSED}


def test_no_server_is_left_when_the_results_are_not_wanted_any_more():
    """The module's own check for processes left behind is what can fail here, beside a stuck close."""
    results = check(catalog().server("threads"), cases_of(Group.BASIC))
    assert next(results).outcome is PASSED
    results.close()
    assert list(results) == []


def test_a_name_with_several_addresses_is_that_of_the_one_that_answers(monkeypatch):
    with launch(catalog().server("threads"), log=Path(os.devnull)) as running, socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        addresses = [bound.getsockname(), ("127.0.0.1", running.port)]
        rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", address) for address in addresses]
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: rows)
        assert outcome_of(ServerTable(name="two", target="two.invalid:5433").server(), CASES["turns"]) == (PASSED, "")
        monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: [rows[0], rows[0]])
        outcome, detail = outcome_of(ServerTable(name="none", target="none.invalid:5433").server(), CASES["turns"])
    assert outcome is FAILED
    assert detail.startswith("the server refused a connection")


def test_a_target_that_our_own_probe_ended_is_told_so():
    """It serves one client, as `nc -l` does, and that was us."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = ServerTable(name="once", target="{}:{}".format(*listener.getsockname())).server()
        check_target(server)
        listener.accept()[0].close()
    outcome, detail = outcome_of(server, CASES["echo"])
    assert outcome is FAILED
    assert detail.startswith("the server refused a connection; nothing listens there any more")


def test_bytes_that_were_never_sent_are_noticed():
    """An echo with something after it passes no comparison of the right length, only the end of file tells."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=_echo_and_more, args=(listener,))
        thread.start()
        target = "{}:{}".format(*listener.getsockname())
        outcome, detail = outcome_of(ServerTable(name="more", target=target).server(), CASES["half-close"])
        thread.join()
    assert outcome is FAILED
    assert detail == "something came back that was never sent: b'!'"


def _echo_and_more(listener):
    connection, _ = listener.accept()
    with connection, contextlib.suppress(OSError):
        data = connection.recv(65536)
        connection.sendall(data)
        while connection.recv(65536):
            pass
        connection.sendall(b"!")
