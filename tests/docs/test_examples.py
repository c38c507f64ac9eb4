"""The small programs of the tutorial: each prints what the tutorial shows, and the two trees count alike."""

from __future__ import annotations

import runpy
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from helpers.checkout import CHECKOUT, module_of

from bench.experiment.conformance import Group, Outcome, cases_of, check
from bench.experiment.planning.catalog import catalog

EXAMPLES = CHECKOUT / "docs" / "examples"
MEASURE = {"stall", "closed_loop", "open_loop"}  # what they print differs from run to run
SHOWN = sorted((EXAMPLES / "output").glob("*.txt"))


def printed_by(name, capsys):
    runpy.run_path(str(EXAMPLES / f"{name}.py"), run_name="__main__")
    return capsys.readouterr().out


@pytest.mark.parametrize("shown", SHOWN, ids=lambda path: path.stem)
def test_a_program_prints_what_the_tutorial_shows(shown, capsys):
    assert printed_by(shown.stem, capsys) == shown.read_text()


def test_every_program_that_prints_has_its_output_shown():
    programs = {path.stem for path in EXAMPLES.glob("*.py") if "print(" in path.read_text()}
    assert programs - MEASURE == {path.stem for path in SHOWN}


def test_both_sides_print_and_take_turns(capsys):
    sides = [line.strip().partition(":")[0] for line in printed_by("resumed", capsys).splitlines()]
    assert sides == ["caller", "generator", "caller", "generator", "caller", "generator", "caller"]


def test_one_generator_and_nested_ones_yield_the_same(capsys):
    wanted = [number**power for power in (2, 3) for number in range(1, 6)]
    assert [int(word) for word in printed_by("squares", capsys).split()] == wanted
    assert printed_by("squares_nested", capsys) == printed_by("squares", capsys)


def test_return_values_reach_the_caller(capsys):
    sums = tuple(sum(number**power for number in range(1, 6)) for power in (2, 3))
    assert printed_by("squares_returned", capsys).endswith(f"{sums}\n")


@pytest.mark.parametrize("name", ["binary", "abinary"])
def test_a_tree_of_depth_five_has_63_nodes(name, capsys):
    assert int(printed_by(name, capsys)) == 2**6 - 1


def echo_with_a_pause(connection):
    """Echo what comes, and stand still once for 100 ms."""
    for number in range(10_000):
        data = connection.recv(100)
        if not data:
            return
        if number == 10:
            time.sleep(0.1)  # the pause that one of the loops sees
        connection.sendall(data)


@pytest.mark.parametrize(("name", "slow_replies"), [("closed_loop", (1, 5)), ("open_loop", (40, 300))])
def test_only_the_open_loop_counts_all_who_would_have_waited(name, slow_replies):
    """A pause of 100 ms is 100 due times of the open loop, and half of them wait for 50 ms or more."""
    ours, theirs = socket.socketpair()
    with ours, theirs, ThreadPoolExecutor(1) as pool:
        pool.submit(echo_with_a_pause, theirs)
        times = module_of(EXAMPLES / f"{name}.py").load(ours, seconds=0.3)
        ours.shutdown(socket.SHUT_WR)
    fewest, most = slow_replies
    assert fewest <= sum(taken > 0.05 for taken in times) <= most


def test_the_server_with_work_echoes_and_pays_for_each_message():
    path = EXAMPLES / "working.py"
    results = check(catalog().file(path), cases_of(Group.BASIC))
    assert {result.outcome for result in results} == {Outcome.PASSED}
    module, began = module_of(path), time.thread_time_ns()
    module.work()
    assert time.thread_time_ns() - began >= module.WORK_NS
