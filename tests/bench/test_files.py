"""A file of ours is there whole or not at all, and nothing is left beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bench.files import as_text, cache_folder, replacing, write_atomically


def full(_descriptor):
    raise OSError(28, "No space left on device")


def test_a_text_and_bytes_are_written_and_replace_what_was_there(tmp_path):
    write_atomically(tmp_path / "x", "ä\n")
    assert (tmp_path / "x").read_bytes() == "ä\n".encode()
    write_atomically(tmp_path / "x", b"\x00")
    assert (tmp_path / "x").read_bytes() == b"\x00"


def test_bytes_that_are_no_text_are_written_as_they_are(tmp_path):
    write_atomically(tmp_path / "x", "\udcf6")
    assert (tmp_path / "x").read_bytes() == b"\xf6"
    assert (as_text("a\udcf6"), as_text("ö"), as_text("\udcc3\udcb6"), as_text(7)) == ("a\ufffd", "ö", "ö", 7)


def test_write_leaves_the_old_file_when_the_disk_is_full(tmp_path, monkeypatch):
    write_atomically(tmp_path / "x", "old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write_atomically(tmp_path / "x", "new")
    assert (tmp_path / "x").read_text() == "old"
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]


def test_a_writer_that_raises_leaves_the_old_file(tmp_path):
    write_atomically(tmp_path / "x", "old")
    with pytest.raises(UnicodeEncodeError), replacing(tmp_path / "x") as part:
        part.write_text("half, and what is no text: \udcff", encoding="utf-8")
    assert list(tmp_path.iterdir()) == [tmp_path / "x"]
    assert (tmp_path / "x").read_text() == "old"


def test_the_cache_is_where_the_user_keeps_caches(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    assert cache_folder() == Path("/somewhere/echobench")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == Path.home() / ".cache" / "echobench"
