"""A file of ours is there whole or not at all, and nothing is left beside it."""

from __future__ import annotations

import os
import pwd
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from bench.experiment.planning.catalog import ROOT
from bench.files import as_text, cache_folder, replacing, why_unwritable, write_atomically


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


WRITE = "import sys; from pathlib import Path; from bench.files import *; write_atomically(Path(sys.argv[1]), 'theirs')"


def test_two_processes_that_write_one_file_leave_a_whole_one(tmp_path):
    path = tmp_path / "x"
    with replacing(path) as part:
        part.write_text("ours, ")
        subprocess.run([sys.executable, "-c", WRITE, str(path)], cwd=ROOT, check=True)
        assert path.read_text() == "theirs"
        part.write_text(part.read_text() + "whole")
    assert path.read_text() == "ours, whole"
    assert list(tmp_path.iterdir()) == [path]


def test_the_cache_is_where_the_user_keeps_caches(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("HOME", str(tmp_path))
    for given, expected in ((str(tmp_path / "elsewhere"), "elsewhere/echobench"), ("", ".cache/echobench")):
        monkeypatch.setenv("XDG_CACHE_HOME", given)
        assert cache_folder() == tmp_path / expected
    assert capsys.readouterr().err == ""


@pytest.fixture
def without_a_home(monkeypatch, tmp_path):
    """Return a folder for temporary files: all that is left to a user without a home."""
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def test_a_home_that_cannot_be_written_is_said_once(monkeypatch, without_a_home, capsys):
    monkeypatch.setenv("HOME", "/dev/null")
    folder = cache_folder()
    assert folder.is_relative_to(without_a_home)
    assert "/dev/null/.cache/echobench cannot be written, so" in capsys.readouterr().err
    assert cache_folder() == folder
    assert os.environ["XDG_CACHE_HOME"] == str(folder.parent), "children have it too"
    assert capsys.readouterr().err == ""


def test_a_user_whom_no_list_knows_keeps_a_cache_between_commands(monkeypatch, without_a_home, capsys):
    """As in a container with any uid and no HOME."""

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", unknown)
    folder = cache_folder()
    assert "this user has no home folder" in capsys.readouterr().err
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_folder() == folder, "the next command"


def test_a_cache_that_others_could_write_to_is_not_used(monkeypatch, without_a_home):
    monkeypatch.setenv("HOME", "/dev/null")
    theirs = without_a_home / f"echobench-cache-{os.geteuid()}"
    theirs.mkdir()
    theirs.chmod(0o777)
    assert not cache_folder().is_relative_to(theirs)


def test_a_file_that_can_be_written_is_looked_at_and_left_alone(tmp_path):
    (tmp_path / "old").write_text("what stands there")
    assert [why_unwritable(tmp_path / name) for name in ("old", "new")] == ["", ""]
    assert (tmp_path / "old").read_text() == "what stands there"
    assert [path.name for path in tmp_path.iterdir()] == ["old"]


def test_a_pipe_is_not_opened_which_would_wait_for_its_reader(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert why_unwritable(tmp_path / "pipe") == ""


@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("/no/such/x", "there is no folder /no/such"),
        ("/proc/x", "No such file or directory"),
        ("/proc", "it is a folder"),
    ],
)
def test_why_a_file_cannot_be_written_is_said_in_words(path, why):
    assert why_unwritable(Path(path)) == why
