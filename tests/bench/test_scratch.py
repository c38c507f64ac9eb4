"""A temporary folder has an owner, and what a dead owner left is cleared by the next one."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from helpers.checkout import CHECKOUT

from bench.errors import MeasurementError, NoBaselineError, UsageError
from bench.scratch import cleared, scratch


@pytest.fixture(autouse=True)
def _in_a_folder_of_its_own(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def left(tmp_path):
    """Return the folder of a command that was killed while it had it."""
    code = (
        "import os\nfrom bench.scratch import scratch\n"
        "with scratch() as folder:\n"
        "    print(folder, flush=True)\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT), "TMPDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=False)
    assert done.returncode == -signal.SIGKILL
    return Path(done.stdout.strip())


def test_what_a_killed_command_left_is_cleared_by_the_next(left):
    assert left.exists()
    with scratch() as folder:
        assert not left.exists()
        assert folder.exists()
    assert not folder.exists()


def test_a_folder_with_an_owner_alive_is_let_be(tmp_path):
    with scratch() as folder:
        assert not cleared(folder)
        with scratch():
            assert folder.exists()
    (tmp_path / "echobench-of-an-earlier-version").mkdir()
    assert not cleared(tmp_path / "echobench-of-an-earlier-version")
    assert cleared(tmp_path / "echobench-gone")


def test_a_link_with_our_name_is_not_followed(tmp_path, left):
    (tmp_path / "echobench-link").symlink_to(left)
    assert not cleared(tmp_path / "echobench-link")
    assert left.exists()


def test_no_place_for_a_folder_is_wrong_use(monkeypatch, tmp_path):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    with pytest.raises(UsageError, match="name one that can be written to in TMPDIR"), scratch():
        pytest.fail("there is no folder")


@pytest.mark.parametrize("error", [FileNotFoundError, NoBaselineError])
@pytest.mark.parametrize("is_taken", [False, True])
def test_a_folder_that_is_taken_away_is_no_fault_of_ours(error, *, is_taken):
    """As by a job that clears /tmp: whatever fails then, this is why."""

    def use():
        with scratch() as folder:
            if is_taken:
                shutil.rmtree(folder)
            raise error("there is no such file")

    with pytest.raises(MeasurementError if is_taken else error) as raised:
        use()
    assert ("was removed while it was in use: set TMPDIR" in str(raised.value)) is is_taken
