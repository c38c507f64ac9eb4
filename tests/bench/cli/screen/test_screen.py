"""`echobench run` on a real terminal: its screen, `q`, and what is left when it has ended; and where it has none."""

from __future__ import annotations

import io
import re
import sys
import termios
from itertools import accumulate

import pytest
from helpers.checkout import CHECKOUT
from helpers.pseudo_terminal import on_terminal
from rich.console import Console

from bench.analysis.runs import run_folder
from bench.cli.progress import Lines
from bench.cli.screen.screen import watching_run
from bench.experiment.model import Block, Server, Trial
from bench.experiment.planning.extent import Extent
from clients.workload import Workload

RUN = ("run", "smoke", "--server", "threads", "--server", "asyncio-protocol", "--connections", "2", "--warmup", "0s")


def is_cursor_shown(printed):
    return printed.rindex("\x1b[?25h") > printed.rindex("\x1b[?25l")


def test_the_cursor_is_shown_all_the_time(monkeypatch):
    """After SIGHUP nothing is printed any more, so what was hidden would stay so."""
    monkeypatch.setenv("TERM", "xterm")
    file = io.StringIO()
    with watching_run(Console(file=file, force_terminal=True), Extent()):
        assert is_cursor_shown(file.getvalue())


def test_the_screen_never_pushes_a_line_of_its_own_out():
    """Rich erases the lines on the terminal. One that has left it at the top would stay above the result."""
    console = Console(file=io.StringIO(), width=60, height=12, force_terminal=True, color_system=None)
    names = [f"server-{number}" for number in range(20)]
    workload = Workload()
    trials = tuple(
        Trial(number=1, round=1, block=1, server=Server(name=name), workload_name="c1", workload=workload)
        for name in names
    )
    with watching_run(console, Extent(servers={"c1": names}, trials=20)) as watcher:
        watcher.began(Block(trials=trials))
    drawn = console.file.getvalue()
    assert "more in a higher terminal" in drawn
    moves = [1 if move == "\n" else -1 for move in re.findall(r"\n|\x1b\[1A", drawn)]
    assert max(accumulate(moves)) == 12 - 1, "the last line of the terminal is reached, and not passed"


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
    assert is_cursor_shown(said)
    (folder,) = (path.parent for path in tmp_path.glob("*/run.json"))
    assert len(run_folder.load(folder).measured) >= 2


@pytest.mark.parametrize(
    "console", [{}, {"force_terminal": True, "no_color": True}, {"force_terminal": True, "quiet": True}], ids=str
)
def test_a_pipe_and_a_plain_terminal_get_lines(console):
    with watching_run(Console(file=io.StringIO(), **console), Extent(trials=2)) as watcher:
        assert isinstance(watcher, Lines)


def test_a_dumb_terminal_gets_lines(monkeypatch):
    monkeypatch.setenv("TERM", "dumb")
    test_a_pipe_and_a_plain_terminal_get_lines({"force_terminal": True})
