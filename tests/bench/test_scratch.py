"""What a command leaves behind, however it ends: no folder, and no process, not even a daemon."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import psutil
import pytest
from helpers.checkout import CHECKOUT

from bench.scratch import cleared, scratch

DAEMON = "setsid sleep 600 >/dev/null 2>&1 & echo $!"
"""It is in no process group of ours, and its parent ends at once."""


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def killed(tmp_path):
    """Return the pid of a daemon and the folder of a command that was killed while it had both."""
    code = (
        "import os, subprocess\nfrom bench.scratch import scratch\n"
        "with scratch() as folder:\n"
        f"    daemon = subprocess.run(['sh', '-c', {DAEMON!r}], stdout=subprocess.PIPE, text=True).stdout\n"
        "    print(daemon.strip(), folder, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT), "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    pid, folder = done.stdout.split()
    daemon = psutil.Process(int(pid))
    yield daemon, Path(folder)
    if is_alive(daemon):
        daemon.kill()


def is_alive(process):
    return process.is_running() and process.status() != psutil.STATUS_ZOMBIE


def test_a_folder_ends_with_the_daemons_that_began_in_it():
    with scratch() as folder:
        pid = subprocess.check_output(["sh", "-c", DAEMON])
        daemon = psutil.Process(int(pid))
        assert is_alive(daemon)
    assert not is_alive(daemon)
    assert not folder.exists()


def test_what_a_killed_command_left_is_cleared_by_the_next(killed):
    daemon, folder = killed
    assert folder.exists()
    assert is_alive(daemon)
    with scratch():
        assert not folder.exists()
        assert not is_alive(daemon)


def test_a_folder_with_an_owner_alive_is_let_be(tmp_path):
    with scratch() as folder:
        assert not cleared(folder)
        with scratch():
            assert folder.exists()
    (tmp_path / "echobench-of-an-earlier-version").mkdir()
    assert not cleared(tmp_path / "echobench-of-an-earlier-version")
    assert cleared(tmp_path / "echobench-gone")


def test_a_link_with_our_name_is_not_followed(tmp_path, killed):
    _, folder = killed
    (tmp_path / "echobench-link").symlink_to(folder)
    assert not cleared(tmp_path / "echobench-link")
    assert folder.exists()
