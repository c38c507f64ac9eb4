"""What others said is shown as far as it can be read, and the rest is counted, with the file that has it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.text import LINE_CHARS, TAIL_BYTES, TAIL_LINES, cut, cut_lines, quoted

LOG = Path("results/a-run/logs/0003-server.log")
LONG = "x" * 4096


def test_a_line_that_can_be_read_stays():
    assert cut("x" * LINE_CHARS, LOG) == "x" * LINE_CHARS


def test_a_long_line_is_cut_once_and_names_its_file():
    shown = cut(LONG, LOG)
    assert shown == f"{'x' * 200}… (3,896 characters more in {LOG})"
    assert cut(shown) == shown
    assert cut(f"  | {shown}") == f"  | {shown}"
    assert cut("y" * 201) == f"{'y' * 200}… (1 character more)"


def test_a_log_that_is_gone_when_it_is_read_is_not_named():
    assert cut(LONG, Path("/tmp/echobench-check-x7/server.log")).endswith("… (3,896 characters more)")


def test_every_line_of_a_text_is_cut():
    assert cut_lines(f"a\n{LONG}\nb") == f"a\n{cut(LONG)}\nb"


@pytest.mark.parametrize("said", [b"", b"\n \n"])
def test_nothing_said_is_nothing_quoted(said):
    assert quoted(said, LOG) == ""


def test_the_last_lines_are_quoted_from_their_beginnings():
    said = b"".join(b"%d " % number + b"x" * 4096 + b"\n" for number in range(40))
    lines = quoted(said[-TAIL_BYTES:], LOG).splitlines()
    assert [line.split()[1] for line in lines] == [str(number) for number in range(40)][-TAIL_LINES:]
    assert max(map(len, lines)) < 300
    assert quoted(b"\xff", LOG) == "  | \ufffd"
