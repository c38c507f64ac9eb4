"""`python -m clients.blocks`: block after block in one process, by the words that its bench speaks."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time

import pytest
from helpers.checkout import CHECKOUT
from helpers.generator import serving

from clients.workload import Workload

pytestmark = pytest.mark.traced

WORKLOAD = Workload(connections=2, message_bytes=64, duration_s=0.1, warmup_s=0.02, seed=1)


@pytest.fixture
def loader():
    """A loader with pipes; it must end by itself when its standard input does."""
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONWARNINGS": "error"}
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "clients.blocks"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=env,
    ) as process:
        yield process
        process.stdin.close()
        assert process.wait(20) == 0


def say(process, words):
    process.stdin.write(f"{words}\n")
    process.stdin.flush()


def ask(process, *servers, workload=WORKLOAD, hlog=None):
    asked = {
        "servers": [
            {"address": server.address, "pid": server.process.pid, "tag": f"{number:04}"}
            for number, server in enumerate(servers)
        ],
        "workload": workload.to_json(),
        "generator": "python",
        "hlog": hlog,
    }
    say(process, json.dumps(asked))


def loaded(process):
    """Go through a block that was asked for, and return its results."""
    assert process.stdout.readline().startswith("CONNECTED ")
    say(process, f"GO {time.monotonic_ns()}")
    assert process.stdout.readline() == "LOADED\n"
    say(process, "END")
    assert process.stdout.readline() == "CLOSED\n"
    found = json.loads(process.stdout.readline())
    assert process.stdout.readline() == "ENDED 0\n"
    return found


def test_blocks_are_loaded_one_after_the_other(loader, tmp_path):
    with serving("coroutines") as one, serving("threads") as two:
        for _ in range(3):
            ask(loader, one, two, hlog=str(tmp_path / "log.hlog"))
            found = loaded(loader)
            assert [server["replies"] > 0 for server in found["servers"]] == [True, True]
            assert [len(server["slices"]) for server in found["servers"]] == [found["slicing"]["passes"]] * 2
            tags = {
                line.partition(".")[0] for line in (tmp_path / "log.hlog").read_text().splitlines() if "Tag" in line
            }
            assert tags == {"Tag=0000", "Tag=0001"}


def test_one_server_is_loaded_alone_between_blocks(loader, tmp_path):
    """Its result is that of `python -m clients`, without slices."""
    log = tmp_path / "log.hlog"
    with serving("coroutines") as server:
        for _ in range(2):
            asked = {"address": server.address, "tag": "0007", "workload": WORKLOAD.to_json(), "hlog": str(log)}
            say(loader, json.dumps(asked))
            assert loader.stdout.readline() == "CONNECTED 2 2\n"
            say(loader, f"GO {time.monotonic_ns()}")
            found = json.loads(loader.stdout.readline())
            assert loader.stdout.readline() == "ENDED 0\n"
            assert found["replies"] > 0
            assert "slices" not in found
            assert "Tag=0007.response" in log.read_text()
        ask(loader, server)
        assert loaded(loader)["servers"][0]["replies"] > 0


def test_blocks_say_why_one_could_not_be_loaded_and_go_on(loader):
    with serving("coroutines") as server:
        say(loader, json.dumps({"servers": [], "workload": {"connections": 0}}))
        assert loader.stdout.readline() == "ENDED 1\n"
        ask(loader, server)
        assert loaded(loader)["servers"][0]["replies"] > 0
    loader.stdin.close()
    assert "clients: " in loader.stderr.read()


def test_blocks_end_without_a_load_when_nobody_gives_the_word(loader):
    with serving("coroutines") as server:
        ask(loader, server)
        assert loader.stdout.readline().startswith("CONNECTED 2 2")
        loader.stdin.close()
        assert loader.stdout.readline() == "CLOSED\n"
        found = json.loads(loader.stdout.readline())
    assert found["interrupted"]
    assert found["servers"][0]["replies"] == 0
