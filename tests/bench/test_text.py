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
    assert cut_lines(f"a\n  | {LONG}\nb") == f"a\n{cut(f'  | {LONG}')}\nb"


def test_a_sentence_of_ours_is_shown_with_its_cure():
    sentence = f"it failed: {'x' * LINE_CHARS}; load it with --requests-per-connection 1"
    assert cut_lines(f"{sentence}\n  | {LONG}") == f"{sentence}\n{cut(f'  | {LONG}')}"
    assert len(cut_lines(LONG)) < len(LONG) / 5


@pytest.mark.parametrize("said", [b"", b"\n \n"])
def test_nothing_said_is_nothing_quoted(said):
    assert quoted(said, LOG) == ""


def test_the_last_lines_are_quoted_from_their_beginnings():
    said = b"".join(b"%d " % number + b"x" * 4096 + b"\n" for number in range(40))
    lines = quoted(said[-TAIL_BYTES:], LOG).splitlines()
    assert [line.split()[1] for line in lines] == [str(number) for number in range(40)][-TAIL_LINES:]
    assert max(map(len, lines)) < 300
    assert quoted(b"\xff", LOG) == "  | \ufffd"


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("\x1b[1;31mred\x1b[0m \x1b[2Jtext", "red text"),
        ("\x1b]0;a title\x07text \x1b]8;;http://x\x1b\\link\x1b]8;;\x1b\\", "text link"),
        ("\x1bcreset \x1b(Bset", "reset set"),
        ("bell\x07 \x9b31m\u202eturned\x01.", "bell\ufffd \ufffdturned\ufffd."),
        ("tab\tand é stay", "tab\tand é stay"),
    ],
)
def test_what_would_steer_a_terminal_is_taken_out(said, shown):
    assert quoted(said.encode()) == f"  | {shown}"
    assert cut(shown) == shown
