"""What commands print fits the terminal: at 80 columns no word is broken, nor at 40 where lines can be folded.

The tables of other commands have tests of their own, beside the commands that print them.
"""

from __future__ import annotations

import io

import pytest
from click.testing import CliRunner
from rich.console import Console

from bench.cli import COMMANDS, cli, terminal
from bench.cli.calibration_sheets import Sheet
from bench.cli.check import bar
from clients.arguments import parser


def help_of(*command):
    done = CliRunner().invoke(cli, [*command, "--help"])
    assert done.exit_code == 0
    return done.stdout


def too_wide(text, width):
    return [line for line in text.splitlines() if len(line) > width]


@pytest.mark.parametrize("command", [(), *((name,) for name in COMMANDS)], ids=lambda command: "".join(command) or "-")
def test_the_help_of_a_command_fits(command, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert too_wide(help_of(*command), 80) == []
    monkeypatch.setenv("COLUMNS", "40")
    before_examples = help_of(*command).partition("\n  Examples:")[0]
    assert too_wide(before_examples, 40) == []
    assert command != ("run",) or "smoke| " in before_examples.replace("\n", " "), "broken within a word"


def test_the_help_of_the_load_generator_fits(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert too_wide(parser().format_help(), 80) == []


def test_the_first_words_fit(monkeypatch):
    wide = CliRunner().invoke(cli, []).stdout
    assert too_wide(wide, 80) == []
    monkeypatch.setattr(terminal, "columns", lambda: 40)
    narrow = CliRunner().invoke(cli, []).stdout
    assert narrow.split() == wide.split()
    assert [line.split()[0] for line in too_wide(narrow, 40)] == ["echobench"], "a command stays whole"


def test_a_dumb_terminal_is_as_wide_as_it_is(monkeypatch):
    stdout = io.StringIO()
    monkeypatch.setattr(stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr("sys.stdout", stdout)
    for name, value in (("TERM", "dumb"), ("COLUMNS", "44")):
        monkeypatch.setenv(name, value)
    assert terminal.standard_output().width == 44


@pytest.mark.parametrize(("is_terminal", "shown"), [(True, "in 9 s [a]\n1.2 % (2)"), (False, "in 9 s [a] 1.2 % (2)")])
def test_what_is_told_is_folded_on_a_terminal_only(is_terminal, shown):
    console = Console(file=io.StringIO(), width=15, force_terminal=is_terminal, color_system=None)
    terminal.tell(console, "in 9 s [a] 1.2 % (2)")
    assert console.file.getvalue() == f"{shown}\n"


def test_a_plan_in_words_fits(monkeypatch):
    monkeypatch.setattr(terminal, "columns", lambda: 40)
    command = ("run", "smoke", "--server", "sequential", "--server", "asyncio-protocol", "--dry-run")
    lines = CliRunner().invoke(cli, command).stdout.splitlines()[:-1]
    assert "    sequential serves 1 at a time, at" in lines
    assert max(map(len, lines)) <= 40


@pytest.mark.parametrize("width", [40, 80, 120])
def test_a_calibration_fits(width):
    row = ("1,000", "16 KiB", "13,600/s [12,900/s, 14,300/s]", "20,100/s", "0.68 [0.61, 0.74]", "-43.3 µs")
    headings = ("connections", "message", "ours", "reference", "ours / reference", "added response time")
    console = Console(file=io.StringIO(), width=width)
    for table in Sheet("Closed loop", headings, [row, row]).tables(width):
        console.print(table)
    text = console.file.getvalue()
    assert too_wide(text, width) == []
    assert all(text.count(cell) >= 2 for cell in row)
    assert set(text.split()) >= set(" ".join(headings).split()), "no word of a heading is broken"


def test_the_bar_of_check_gives_way_but_not_its_numbers():
    console = Console(file=io.StringIO(), width=40, force_terminal=True, color_system=None)
    progress = bar(console)
    progress.add_task("uvloop-buffered: partial-sends", total=10, completed=3)
    console.print(progress.get_renderable())
    assert console.file.getvalue() == " 30% -:--:-- uvloop-buffered: partial-s…\n"


@pytest.mark.parametrize(
    ("width", "shown"),
    [
        (None, "name  one two three-four /a/very/long/path"),
        (22, "name  one two\n      three-four\n      /a/very/long/path"),
        (11, "name\n    one two\n    three-four\n    /a/very/long/path"),
    ],
)
def test_a_text_hangs_beside_its_lead_or_below_it(width, shown, monkeypatch):
    monkeypatch.setattr(terminal, "columns", lambda: width)
    assert terminal.beside("name  ", "one two three-four /a/very/long/path") == shown


def test_a_colour_takes_no_room(monkeypatch):
    monkeypatch.setattr(terminal, "columns", lambda: 14)
    assert terminal.beside("\x1b[31mbad\x1b[0m  ", "one two three") == "\x1b[31mbad\x1b[0m  one two\n     three"


@pytest.mark.parametrize("command", [("check", "--list"), ("servers",)])
def test_lists_are_folded_between_their_words(command, monkeypatch):
    wide = CliRunner().invoke(cli, command).stdout
    monkeypatch.setattr(terminal, "columns", lambda: 40)
    folded = CliRunner().invoke(cli, command).stdout
    assert folded.split() == wide.split()
    assert [line for line in too_wide(folded, 40) if len(line.split()) > 1] == []
