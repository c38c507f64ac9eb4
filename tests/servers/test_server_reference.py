"""The C server is compiled once, and two that compile it at once do not meet."""

from __future__ import annotations

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from servers import reference

pytestmark = pytest.mark.skipif(shutil.which("cc") is None, reason="no C compiler on the PATH")


def test_two_that_build_it_at_once_both_get_a_whole_one(start, tmp_path):
    cache = str(tmp_path)
    with ThreadPoolExecutor() as pool:
        servers = list(pool.map(lambda _: start("reference", XDG_CACHE_HOME=cache), range(2)))
    for server in servers:
        with server.connect() as client:
            assert client.exchange(b"compiled") == b"compiled"
    assert [path.name.split("-")[:2] for path in (tmp_path / "echobench").iterdir()] == [["reference", "server"]]


def test_what_is_built_is_kept_until_its_source_changes(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = reference.binary()
    assert reference.binary() == first
    changed = tmp_path / "changed.c"
    changed.write_text(reference.SOURCE.read_text() + "/* changed */\n")
    monkeypatch.setattr(reference, "SOURCE", changed)
    assert reference.binary() != first


@pytest.mark.parametrize("home", ["/dev/null", ""], ids=["not a folder", "none"])
def test_without_a_home_it_is_kept_where_temporary_files_are_and_says_so_once(tmp_path, monkeypatch, capfd, home):
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setattr(reference.Path, "home", lambda: no_home(home))
    monkeypatch.setattr(reference.tempfile, "tempdir", str(tmp_path))
    first = reference.binary()
    assert reference.binary() == first
    kept = tmp_path / f"echobench-cache-{os.geteuid()}"
    assert list((kept / "echobench").iterdir()) == [Path(first)]
    assert not kept.stat().st_mode & 0o077
    said = capfd.readouterr().err
    assert said.count("set XDG_CACHE_HOME to keep it elsewhere\n") == said.count("\n") == 1
    assert str(kept) in said


def no_home(home):
    """Do what Path.home does for a user whose home is this, or who has none."""
    if not home:
        raise RuntimeError("Could not determine home directory.")
    return Path(home)
