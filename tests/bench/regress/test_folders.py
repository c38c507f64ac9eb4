"""What tells two servers apart: their folders alone, or more, or nothing; and which files differ in the folders."""

from __future__ import annotations

import pytest

from bench.experiment.model import Server
from bench.regress import folders
from bench.regress.folders import Apart, told_apart
from bench.verdict.pairs import Arm


@pytest.fixture
def apart(tmp_path):
    """Return a function that says what tells two commands apart; they may name files of equal folders."""
    for name in ("old", "new", "new/inner"):
        for file in ("src/serve.py", "bin/server", "server-1", "server-2"):
            (tmp_path / name / file).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name / file).write_text("the same")

    def told(one, other, **fields):
        commands = {Arm.BASELINE: one, Arm.CANDIDATE: other}
        given = {arm: tuple(text.format(here=tmp_path).split()) for arm, text in commands.items()}
        servers = {
            arm: Server(name=arm, command=words, cwd=str(tmp_path), **(fields if arm is Arm.BASELINE else {}))
            for arm, words in given.items()
        }
        return told_apart(servers)

    return told


def test_two_folders_and_their_differing_files_are_found(apart, tmp_path):
    (tmp_path / "new" / "src" / "serve.h").write_text("")
    (tmp_path / "old" / "server-1").write_text("differs")
    homes = {Arm.BASELINE: tmp_path / "old", Arm.CANDIDATE: tmp_path / "new"}
    (tmp_path / "old" / "inner").symlink_to(tmp_path / "new" / "inner")
    (tmp_path / "new" / "__pycache__").mkdir()
    (tmp_path / "new" / "__pycache__" / "x.pyc").write_text("")
    names = {f"inner/{name}" for name in ("src/serve.py", "bin/server", "server-1", "server-2")}
    expected = Apart(homes, tuple(sorted({*names, "server-1", "src/serve.h"})))
    assert apart("x old/src/serve.py", "x new/src/serve.py") == expected
    assert apart("old/bin/server --root={here}/old", "new/bin/server --root={here}/new") == expected


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x old/src/serve.py", "x old/src/serve.py"),
        ("old/server-1 {{port}}", "old/server-2 {{port}}"),
        ("x old/src/serve.py", "x {here}/old/src/serve.py"),
    ],
)
def test_commands_that_start_the_same_are_told_apart_by_nothing(apart, one, other):
    assert apart(one, other) == Apart()


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x old/src/serve.py --workers 1", "x new/src/serve.py --workers 2"),
        ("x old/src/serve.py", "x new/src/serve.py --fast"),
        ("x --old=old/src", "x --new=new/src"),
        ("old/bin/server old/src", "new/bin/server old/bin"),
        ("old/bin/server", "new/inner/bin/server old"),
        ("new/bin/server", "new/inner/bin/server"),
        ("x old/src", "x old/src/serve.py"),
    ],
)
def test_what_more_than_folders_tells_apart_is_let_be(apart, one, other):
    assert apart(one, other) is None


def test_programs_environments_or_sizes_that_differ_are_let_be(apart, tmp_path, monkeypatch):
    assert apart("old/bin/server", "new/bin/server", env={"FAST": "1"}) is None
    (tmp_path / "new" / "bin" / "server").write_text("differs")
    assert apart("old/bin/server", "new/bin/server") is None
    assert apart("old/src/serve.py", "new/src/serve.py") is not None
    monkeypatch.setattr(folders, "FILES_MAX", 3)
    assert apart("old/src/serve.py", "new/src/serve.py") is None
