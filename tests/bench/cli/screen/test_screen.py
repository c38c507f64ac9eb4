"""`echobench run` on a real terminal: its screen, `q`, and what is left when it has ended; and where it has none."""

from __future__ import annotations

import io
import sys
import termios
from types import SimpleNamespace

import pytest
from helpers.checkout import CHECKOUT
from helpers.pseudo_terminal import on_terminal
from rich.console import Console

from bench.analysis.runs import run_folder
from bench.cli.progress import Lines
from bench.cli.screen.screen import watching_run

RUN = ("run", "smoke", "--server", "threads", "--server", "asyncio-protocol", "--connections", "2", "--warmup", "0s")


def test_q_ends_a_run_and_what_was_measured_is_kept(tmp_path):
    options = ("--duration", "100ms", "--trials", "500", "--no-report", "--out", str(tmp_path))
    with on_terminal([sys.executable, "-m", "bench", *RUN, *options], CHECKOUT) as terminal:
        before = terminal.modes()
        terminal.read_until(lambda one: b"round 2, " in one.printed)
        assert not terminal.modes()[3] & termios.ECHO
        terminal.press(b"q")
        assert terminal.wait() == 4
        said = terminal.printed.decode()
        assert terminal.modes() == before
    assert "q or Ctrl-C ends it and keeps what is measured" in said
    assert "Interrupted: go on with `echobench run --resume" in said
    assert said.rindex("\x1b[?25h") > said.rindex("\x1b[?25l")  # the cursor is shown again
    (folder,) = (path.parent for path in tmp_path.glob("*/run.json"))
    assert len(run_folder.load(folder).measured) >= 2


@pytest.mark.parametrize(
    "console", [{}, {"force_terminal": True, "no_color": True}, {"force_terminal": True, "quiet": True}], ids=str
)
def test_a_pipe_and_a_plain_terminal_get_lines(console):
    with watching_run(Console(file=io.StringIO(), **console), SimpleNamespace(left=2)) as watcher:
        assert isinstance(watcher, Lines)


def test_a_dumb_terminal_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    test_a_pipe_and_a_plain_terminal_get_lines({"force_terminal": True})
