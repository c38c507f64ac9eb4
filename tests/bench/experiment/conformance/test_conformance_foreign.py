"""Servers that this project did not write: what is right about them passes, and what is known to be wrong is found."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from bench.experiment.conformance import Group, Outcome, cases_of, check
from bench.experiment.model import Server
from bench.experiment.planning.server_table import ServerTable
from bench.experiment.trial.listening import listeners

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.live, pytest.mark.timeout(300)]

NODE = "require('net').createServer({allowHalfOpen: true}, c => {c.on('error', () => {}); c.pipe(c)}).listen({port})"
CARELESS_NODE = "require('net').createServer(c => c.pipe(c)).listen({port})"
ECHO_PORT = 7  # inetd knows its own echo by the name of the service only


def needs(program):
    return pytest.mark.skipif(shutil.which(program) is None, reason=f"{program} is not installed")


def failed(server):
    results = check(server, cases_of(Group.BASIC, Group.STANDARD))
    return {result.case: result.detail for result in results if result.outcome is Outcome.FAILED}


def command(*words):
    return Server(name=words[0], command=words, ready="port")


@needs("socat")
def test_socat_passes():
    assert failed(command("socat", "TCP-LISTEN:{port},fork,reuseaddr,backlog=512", "EXEC:cat")) == {}


@needs("node")
def test_node_passes():
    assert failed(command("node", "-e", NODE)) == {}


@needs("node")
def test_nodes_usual_one_liner_dies_of_a_reset():
    found = failed(command("node", "-e", CARELESS_NODE))
    assert set(found) == {"reset"}
    assert "ECONNRESET" in found["reset"]


@needs("inetd")
@pytest.mark.skipif(os.geteuid() != 0, reason="the echo service has a port below 1024")
def test_inetds_own_echo_passes(tmp_path):
    with inetd(tmp_path / "inetd.conf") as process:
        assert failed(ServerTable(name="inetd", target=f"127.0.0.1:{ECHO_PORT}", pid=process.pid).server()) == {}


@contextmanager
def inetd(config: Path):
    config.write_text("127.0.0.1:echo stream tcp nowait.1000000 root internal\n")
    process = subprocess.Popen(["inetd", "-i", "-R", "1000000", str(config)])
    try:
        give_up_at = time.monotonic() + 5
        while not any(listeners(ECHO_PORT, process.pid)):
            assert process.poll() is None
            assert time.monotonic() < give_up_at
            time.sleep(0.01)  # it does not say when it listens
        yield process
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(5)
