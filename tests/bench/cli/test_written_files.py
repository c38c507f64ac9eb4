"""Files that a command writes for others, wherever they lead: a pipe, a full disk, the standard output itself."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from helpers.checkout import CHECKOUT

from bench.cli.files import add_to_file, refuse_same, refuse_unwritable, write_file
from bench.errors import UsageError


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    return tmp_path / "pipe"


@pytest.mark.parametrize("write", [write_file, add_to_file])
def test_a_pipe_that_nobody_reads_is_said_and_not_waited_for(pipe, write, capsys):
    write(pipe, "a verdict")
    assert capsys.readouterr().err == f"echobench: cannot write {pipe}: it is a pipe that nobody reads\n"


def test_a_pipe_with_a_slow_reader_gets_the_whole_text(pipe):
    found, text = [], "a verdict\n" * 20_000  # more than a pipe holds
    with os.fdopen(os.open(pipe, os.O_RDONLY | os.O_NONBLOCK), encoding="utf-8") as reader:
        writer = threading.Thread(target=write_file, args=[pipe, text])
        writer.start()
        os.set_blocking(reader.fileno(), True)
        while len("".join(found)) < len(text):
            found.append(reader.read(len(text)))
        writer.join()
    assert "".join(found) == text


def test_a_full_disk_is_a_line_on_stderr(tmp_path, capsys):
    (tmp_path / "full").symlink_to("/dev/full")
    write_file(tmp_path / "full", "a verdict")
    assert capsys.readouterr().err.endswith(": No space left on device\n")


@pytest.mark.parametrize("by", ["/dev/stdout", "out"])
def test_what_was_printed_is_not_overwritten_by_a_file(tmp_path, by):
    code = "import sys; from pathlib import Path; from bench.cli.files import write_file\n"
    code += "print('REGRESSED'); write_file(Path(sys.argv[1]), '<junit/>')"
    with (tmp_path / "out").open("w") as sink:
        env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
        subprocess.run([sys.executable, "-c", code, by], stdout=sink, cwd=tmp_path, env=env, check=True)
    assert (tmp_path / "out").read_text() == "REGRESSED\n<junit/>"


def test_two_results_in_one_file_are_wrong_use(tmp_path):
    (tmp_path / "link").symlink_to(tmp_path)
    for refuse in (refuse_same, refuse_unwritable):
        with pytest.raises(UsageError, match="two results cannot be written to one file"):
            refuse(tmp_path / "one", None, tmp_path / "link" / "one")
        refuse(tmp_path / "one", tmp_path / "other", None, None)
        refuse(Path(os.devnull), Path(os.devnull))
