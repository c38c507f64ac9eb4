"""Who started whom: read once, and the same as psutil finds for each."""

from __future__ import annotations

import os
import subprocess
import sys

import psutil
import pytest

from bench.experiment.trial import kinship
from bench.experiment.trial.kinship import Kinship, descendants

GRANDPARENT = """
import os, signal, subprocess, sys
child = subprocess.Popen(["sh", "-c", "sleep 60 & echo $!; wait"], start_new_session=True)
signal.pause()
"""


@pytest.fixture
def family():
    """Return three processes, each started by the one before: the last is in another session."""
    with subprocess.Popen([sys.executable, "-S", "-c", GRANDPARENT], stdout=subprocess.PIPE, text=True) as process:
        grandchild = int(process.stdout.readline())
        yield process.pid, psutil.Process(grandchild).ppid(), grandchild
        os.killpg(psutil.Process(grandchild).ppid(), 9)
        process.kill()


@pytest.mark.parametrize("is_linux", {sys.platform == "linux", False})
def test_descendants_are_found_at_every_depth_and_of_each_process(monkeypatch, family, is_linux):
    monkeypatch.setattr(kinship, "IS_LINUX", is_linux)
    first, second, third = family
    read_once = Kinship()
    assert [one.pid for one in read_once.descendants(first)] == [second, third]
    assert [one.pid for one in read_once.descendants(second)] == [third]
    assert read_once.descendants(third) == []
    assert set(read_once.descendants(os.getpid())) >= {*map(psutil.Process, family)}


@pytest.mark.parametrize("is_linux", {sys.platform == "linux", False})
def test_a_process_that_has_ended_has_no_descendants(monkeypatch, is_linux):
    monkeypatch.setattr(kinship, "IS_LINUX", is_linux)
    with subprocess.Popen(["true"]) as process:
        process.wait()
    assert descendants(process.pid) == []


def test_a_process_older_than_its_parent_is_no_child(monkeypatch):
    us, parent = os.getpid(), os.getppid()
    births = {us: kinship._Birth(parent=parent, at=5), parent: kinship._Birth(parent=1, at=6)}
    monkeypatch.setattr(kinship, "IS_LINUX", True)
    monkeypatch.setattr(kinship, "_births", lambda: list(births.items()))
    assert Kinship().descendants(parent) == []
    births[parent] = kinship._Birth(parent=1, at=5)
    assert [one.pid for one in Kinship().descendants(parent)] == [us]
