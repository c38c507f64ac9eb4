"""What tests of more than one room of the bench start from: synthetic runs, and a repository of somebody else."""

from __future__ import annotations

import contextlib
import resource

import pytest
from helpers.project import Project
from helpers.run_folders import FACTS, Builder


@pytest.fixture
def builder(tmp_path) -> Builder:
    """Return a builder whose run is `<tmp_path>/a-run`."""
    return Builder(tmp_path / "a-run")


@pytest.fixture
def project(tmp_path) -> Project:
    """Return a repository without a commit yet."""
    return Project(tmp_path / "somebody")


@pytest.fixture
def stored(tmp_path):
    """Return a function that writes a run: slower by `slower` in every metric, with facts changed."""

    def write(name, *, slower=0.0, seed=1, rounds=8, servers=("threads",), **changed):
        def change(record):
            metrics = record["metrics"]
            metrics["replies_per_s"] /= 1 + slower
            metrics["server_cpu_us_per_reply"] *= 1 + slower

        info = {group: {**facts} if isinstance(facts, dict) else facts for group, facts in FACTS.items()}
        for path, value in changed.items():
            group, _, field = path.partition("__")
            if field:
                info.setdefault(group, {})[field] = value
            else:
                info[group] = value
        builder = Builder(tmp_path / name, seed=seed)
        return builder.run(
            servers=servers,
            connections=(16,),
            rounds=rounds,
            spread=0.01,
            change=change,
            info={"started_at": name, **info},
        )

    return write


@pytest.fixture
def disk_of():
    """Return a context in which no file of this process grows beyond so many bytes: the kernel says EFBIG then."""

    @contextlib.contextmanager
    def limit(size):
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, before)

    return limit
