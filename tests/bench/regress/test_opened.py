"""Which files are opened in a folder: all, whatever opens them, and also where no access time moves."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bench.regress import opened
from bench.regress.opened import Opened

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of opened files")


@pytest.fixture
def folder(tmp_path):
    for name in ("read", "left", "inner/read", "inner/left", ".git/read"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    return tmp_path


def test_files_that_are_opened_are_seen_and_no_others(folder):
    (folder / "before").write_text("")
    with Opened([folder]) as watching:
        subprocess.run(["cat", "read", "inner/read", ".git/read"], cwd=folder, check=True, capture_output=True)
        assert watching.seen() == {folder / "read", folder / "inner" / "read"}
        assert watching.is_whole


def test_a_read_that_moves_no_access_time_is_seen(folder):
    """As on a file system that is mounted noatime, where it never moves."""
    before_ns = (folder / "read").stat().st_atime_ns
    with Opened([folder]) as watching:
        fd = os.open(folder / "read", os.O_RDONLY | os.O_NOATIME)
        os.read(fd, 10)
        os.close(fd)
        assert watching.seen() == {folder / "read"}
    assert (folder / "read").stat().st_atime_ns == before_ns


def test_a_file_with_several_names_is_seen_by_the_one_used(folder):
    (folder / "cache").hardlink_to(folder / "read")
    with Opened([folder / "inner", folder]) as watching:
        (folder / "cache").read_text()
        assert watching.seen() == {folder / "cache"}


def test_a_kernel_that_lost_events_is_not_whole(folder):
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    if limit > 1 << 16:
        pytest.skip("so long a queue takes too long to fill")
    with Opened([folder]) as watching:
        for number in range(limit + 2):
            os.close(os.open(folder / ("left", "read")[number % 2], os.O_RDONLY))
        watching.seen()
        assert not watching.is_whole


def test_a_folder_that_cannot_be_watched_is_not_whole(folder, monkeypatch):
    with Opened([folder / "nosuch"]) as watching:
        assert watching.seen() == set()
        assert not watching.is_whole
    monkeypatch.setattr(opened.sys, "platform", "elsewhere")
    with Opened([folder]) as watching:
        (folder / "read").read_text()
        assert watching.seen() == set()
        assert not watching.is_whole
