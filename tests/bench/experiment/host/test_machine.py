"""Which CPUs each side gets, by table; and facts read from files made for the purpose."""

from __future__ import annotations

import importlib.metadata
import json
import os
import subprocess
import sys

import pytest

import bench
from bench.experiment.host.machine import (
    LIBRARIES,
    Cores,
    allowed_cores,
    facts,
    git_facts,
    interpreter_facts,
    join_cpus,
    library_versions,
    parse_cpu_list,
    plan_cores,
    usable_cpus,
)


@pytest.mark.parametrize(
    ("cores", "workers", "quota", "expected"),
    [
        # one core: both on it
        ([(0,)], 1, None, Cores((0,), (0,), shared=True)),
        # one core with two threads is one core
        ([(0, 1)], 1, None, Cores((0,), (0,), shared=True)),
        # two cores: one each
        ([(0,), (1,)], 1, None, Cores((0,), (1,), shared=False)),
        # of SMT siblings only the first is used
        ([(0, 2), (1, 3)], 1, None, Cores((0,), (1,), shared=False)),
        # three: the generator uses one, the server has the others
        ([(0,), (1,), (2,)], 1, None, Cores((0, 1), (2,), shared=False)),
        # from four on, one is left to the rest of the machine
        ([(0,), (1,), (2,), (3,)], 1, None, Cores((1, 2), (3,), shared=False, spare=(0,))),
        ([(cpu, cpu + 8) for cpu in range(8)], 3, None, Cores((1, 2, 3, 4), (5, 6, 7), shared=False, spare=(0,))),
        # workers without a core of their own share theirs
        ([(0,), (1,)], 2, None, Cores((0,), (1,), shared=True)),
        # two cores, but time for less than two
        ([(0,), (1,)], 1, 1.5, Cores((0,), (1,), shared=True)),
        ([(0,), (1,)], 1, 2.0, Cores((0,), (1,), shared=False)),
    ],
)
def test_server_and_generator_are_on_different_cores_where_there_are_two(cores, workers, quota, expected):
    assert plan_cores(cores, workers, quota) == expected


@pytest.mark.parametrize(("text", "cpus"), [("0", [0]), ("0-3", [0, 1, 2, 3]), ("0,2-3,8\n", [0, 2, 3, 8]), ("", [])])
def test_the_kernels_lists_of_cpus_are_read(text, cpus):
    assert parse_cpu_list(text) == cpus


def test_the_cores_of_this_machine_hold_the_cpus_we_may_use():
    assert sorted(cpu for core in allowed_cores() for cpu in core) == usable_cpus()


@pytest.mark.skipif(sys.platform != "linux", reason="affinity is a matter of Linux")
def test_a_restricted_process_sees_what_it_may_use():
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {max(before)})
    try:
        assert [max(before)] == usable_cpus()
        assert allowed_cores() == [(max(before),)]
    finally:
        os.sched_setaffinity(0, before)


def test_the_facts_are_plain_and_hold_the_cores():
    found = facts(Cores((0,), (1, 2), shared=True))
    assert json.loads(json.dumps(found)) == found
    assert (found["server_cpus"], found["client_cpus"], found["cores_shared"]) == ([0], [1, 2], True)
    assert found["cpus"] == os.cpu_count()
    assert found["kernel"] == os.uname().release
    assert interpreter_facts()["executable"] == sys.executable


def test_what_is_not_installed_has_no_version():
    assert library_versions(["psutil", "no-such-library"])["no-such-library"] is None
    assert library_versions(["psutil"])["psutil"]


def test_our_own_version_is_known_in_a_checkout_too(monkeypatch):
    def is_not_installed(name):
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", is_not_installed)
    assert library_versions() == dict.fromkeys(LIBRARIES) | {"echobench": bench.__version__}


def test_a_repository_has_a_revision_and_perhaps_changes(tmp_path):
    assert git_facts(tmp_path) is None

    def git(*arguments):
        me = ("-c", "user.name=me", "-c", "user.email=me@example.org")
        done = subprocess.run(["git", *me, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    git("init", "--quiet")
    assert git_facts(tmp_path) is None
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "--quiet", "--message", "first")
    assert git_facts(tmp_path) == {"revision": git("rev-parse", "HEAD"), "dirty": False}
    (tmp_path / "file").write_text("two")
    assert git_facts(tmp_path) == {"revision": git("rev-parse", "HEAD"), "dirty": True}


def test_cpus_are_written_for_a_table():
    assert join_cpus((2, 0)) == "0,2"
    assert join_cpus(()) is None
