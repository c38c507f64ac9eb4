"""Servers that are started ahead of their block: taken when it comes, ended when another does."""

from __future__ import annotations

import os
import sys
from dataclasses import replace

import psutil
import pytest

from bench.errors import ServerError, UsageError
from bench.experiment.model import Server, Trial
from bench.experiment.trial.early import EarlyLaunch
from bench.experiment.trial.process import RunningServer
from clients.workload import Workload

LISTENS = """
import socket, sys, time
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print(f"READY 127.0.0.1 {listener.getsockname()[1]}", flush=True)
time.sleep(60)
"""
ENDS = "print('READY 127.0.0.1 9', flush=True)"


def trials(first, *, code=LISTENS, **fields):
    """Return the trials of a block of two servers."""
    command = (sys.executable, "-S", "-c", code, "{port}")
    return tuple(
        Trial(
            number=first + place,
            round=1,
            server=Server(name=name, command=command, **fields),
            workload_name="w",
            workload=Workload(seed=first),
        )
        for place, name in enumerate("ab")
    )


@pytest.fixture
def early(tmp_path):
    with EarlyLaunch(logs=tmp_path, cpus=()) as made:
        yield made


def children():
    """Return our servers that live; the process that started the survivor stays a zombie."""
    living = [one for one in psutil.Process().children() if one.status() != psutil.STATUS_ZOMBIE]
    return [child for child in living if "listener" in " ".join(child.cmdline())]


def test_servers_that_were_started_early_are_those_of_their_block(early, tmp_path):
    early.begin(trials(1))
    started = {child.pid for child in children()}
    assert len(started) == 2
    launch = early.take(trials(1))
    try:
        assert {one.pid for one in launch.listening()} == started
    finally:
        launch.end()
    assert children() == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0001-server.log", "0002-server.log"]


def test_servers_of_a_block_that_does_not_come_are_ended(early, tmp_path):
    early.begin(trials(1))
    before = {child.pid for child in children()}
    launch = early.take(trials(3))
    try:
        assert all(isinstance(one, RunningServer) for one in launch.listening())
        assert len(children()) == 2
        assert not before & {child.pid for child in children()}
    finally:
        launch.end()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["0003-server.log", "0004-server.log"]


def test_the_same_servers_with_another_seed_are_launched_anew(early):
    early.begin(trials(1))
    before = {child.pid for child in children()}
    launch = early.take(tuple(replace(one, workload=one.workload.replace(seed=9)) for one in trials(1)))
    after = {child.pid for child in children()}
    launch.end()
    assert len(before) == len(after) == 2
    assert not before & after


def test_servers_that_wait_end_with_their_bench(tmp_path):
    with EarlyLaunch(logs=tmp_path, cpus=()) as early:
        early.begin(trials(1))
        assert len(children()) == 2
    assert children() == []
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_dies_while_it_waits_was_never_ready(early):
    early.begin(trials(1, code=ENDS))
    for one in early._launch._found:
        os.waitid(os.P_PID, one.pid, os.WEXITED | os.WNOWAIT)
    launch = early.take(trials(1, code=ENDS))
    try:
        assert [type(one) for one in launch.listening()] == [ServerError, ServerError]
    finally:
        launch.end()


def test_what_fails_early_is_the_trouble_of_its_own_block(early):
    elsewhere = trials(1, host="192.0.2.1", ready="port")
    early.begin(elsewhere)
    with pytest.raises(UsageError, match=r"cannot listen on 192\.0\.2\.1"):
        early.take(elsewhere)
