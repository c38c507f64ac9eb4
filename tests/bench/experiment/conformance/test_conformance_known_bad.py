"""Every known-bad server is caught by exactly the case that is meant for it, and for the right reason."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import pytest
from helpers.checkout import KNOWN_BAD

from bench.experiment.conformance import CASES, START, CaseResult, Group, Outcome, cases_of, check
from bench.experiment.planning.catalog import catalog

if TYPE_CHECKING:
    from collections.abc import Callable

    from bench.experiment.conformance import Case

MEANT_FOR = {
    "never_reads": (
        "echo",
        r"nothing happened for 2 s .* of which 0 of 13 bytes .*: only a server that sends",
    ),
    "wrong_byte": ("bytes", r"byte 201 of 257 was sent as 0xc8 and came back as 0xc9"),
    "stale_echo": ("turns", r"in message 2 of 100: byte 14 of 15 was sent as 0x31 and came back as 0x30"),
    "short_reply": ("turns", r"in message 51 of 100: the server (closed|cut) the connection .*after 7 of 15"),
    "early_close": ("turns", r"in message 51 of 100: the server (closed|cut) the connection .*\b0 of 15"),
    "reset_mid_message": ("turns", r"in message 51 of 100: the server cut the connection off"),
    "reads_lines": ("splits", r"cut after byte 1 of 48: nothing happened"),
    "no_half_close_flush": ("half-close", r"the server closed the connection after [\d,]+ of [\d,]+ bytes"),
    "drops_partial_sends": ("partial-sends", r"nothing happened|came back as"),
    "dies_on_reset": ("reset", r"the server has ended with status 1"),
    "stops_at_12_mib": ("sizes", r"a message of 16,777,216 bytes: nothing happened"),
    "unbounded_buffering": ("bounded-memory", r"memory grew by [\d.]+ MiB, more than 8 MiB"),
    "holds_up_fast": ("slow-reader", r"beside a client that does not read: nothing happened"),
    "leaks_on_reset": ("vanish", r"\d+ descriptors more than before are still held"),
    "leaks_descriptors": ("connect-close", r"\d+ descriptors more than before are still held"),
    "refuses_after_n": ("crowd-500", r"connection 65 of 100: the server refused a connection"),
    "freezes": ("idle", r"connection 1 of 16, after 2 s of silence: nothing happened"),
    "spins_on_emfile": ("descriptors", r"it spins: [\d.]+ s of CPU"),
    "ignores_sigterm": ("stop", r"SIGTERM did not end it within 3 s"),
    "leaks_memory": ("churn-short", r"memory grew in every round, by 1[23]\d,\d+ bytes or more"),
}

SCALES = {
    "crowd-500": {"count": 100},
    "vanish": {"clients": 60},
    "connect-close": {"clients": 300},
    "churn-short": {"seconds": 0.8, "rounds_max": 5},
    "descriptors": {"seconds": 0.5},
}
SLOW = {"bounded-memory", "slow-reader", "connect-close", "idle", "descriptors", "churn-short"}
"""Cases that take long, or much CPU, with each server. Servers meant for others get them in the test marked `live`."""

PATIENCE_S = 2.0
STOP_TIMEOUT_S = 0.3
AT_ONCE = 8  # they mostly wait: for answers that never come, for silence, for a server to stall

LIGHT = cases_of(Group.BASIC, Group.STANDARD)

Results = dict[str, CaseResult]


@pytest.fixture(scope="module")
def verdicts() -> dict[str, Results]:
    """Return what each known-bad server got for the cases that are quick, and for the case meant for it."""
    return verdicts_of(lambda server, case: case.name not in SLOW or case.name == MEANT_FOR[server][0])


def verdicts_of(tried: Callable[[str, Case], bool]) -> dict[str, Results]:
    """Return what each known-bad server got for the cases that are tried with it, by the names of both."""

    def results_of(name: str) -> Results:
        server = catalog().file(KNOWN_BAD / f"{name}.py")
        cases = [case.scaled(**SCALES.get(case.name, {})) for case in LIGHT if tried(name, case)]
        results = check(server, cases, patience_s=PATIENCE_S, stop_timeout_s=STOP_TIMEOUT_S)
        return {result.case: result for result in results}

    longest_first = [*reversed(MEANT_FOR)]  # the cases stand in their order, and the early ones are needed by the rest
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return dict(zip(longest_first, pool.map(results_of, longest_first), strict=True))


def failures(results: Results) -> dict[str, str]:
    return {result.case: result.detail for result in results.values() if result.outcome is Outcome.FAILED}


def unharmed(name: str, results: Results) -> set[str]:
    """Return the cases that must pass: a case is skipped only because it needs the one that failed, directly or not."""
    spoiled = {MEANT_FOR[name][0]}
    for case in LIGHT:
        if spoiled.intersection(case.needs):
            spoiled.add(case.name)
    return {START, *results} - spoiled


def passes(results: Results) -> set[str]:
    return {case for case, result in results.items() if result.outcome is Outcome.PASSED}


@pytest.mark.parametrize("name", MEANT_FOR)
def test_a_known_bad_server_is_caught_by_the_case_meant_for_it(name, verdicts):
    meant, reason = MEANT_FOR[name]
    failed = failures(verdicts[name])
    assert set(failed) == {meant}
    assert re.search(reason, failed[meant], re.DOTALL), failed[meant]


@pytest.mark.parametrize("name", MEANT_FOR)
def test_what_the_fault_leaves_unharmed_passes(name, verdicts):
    assert passes(verdicts[name]) == unharmed(name, verdicts[name])


@pytest.mark.live
def test_no_slow_case_blames_a_server_that_is_meant_for_another():
    for name, results in verdicts_of(lambda _server, _case: True).items():
        assert set(failures(results)) == {MEANT_FOR[name][0]}
        assert passes(results) == unharmed(name, results)


def test_slowness_is_no_fault():
    server = catalog().file(KNOWN_BAD / "fixed_delay.py")
    fewer = {"turns": {"messages": 25}, "splits": {"message_bytes": 12}}  # each answer comes late
    cases = [case.scaled(**fewer.get(case.name, {})) for case in cases_of(Group.BASIC)]
    results = check(server, cases, stop_timeout_s=STOP_TIMEOUT_S)
    assert {result.outcome for result in results} == {Outcome.PASSED}


def test_every_server_of_the_folder_is_meant_for_a_case():
    assert {path.stem for path in KNOWN_BAD.glob("[!_]*.py")} == {*MEANT_FOR, "fixed_delay"}


def test_every_case_catches_something():
    """A case that no known-bad server fails has never been seen to fail."""
    seen = {CASES[meant].behaviour for meant, _ in MEANT_FOR.values()}
    assert {case.behaviour for case in CASES.values()} == seen
