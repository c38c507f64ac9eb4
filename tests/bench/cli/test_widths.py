"""What commands print fits the terminal: at 80 columns no word is broken, nor at 40 where lines can be folded.

Tables have tests of their own, beside the commands that print them.
"""

from __future__ import annotations

import pytest
from click.testing import CliRunner

from bench.cli import COMMANDS, cli, terminal
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
    before_examples = help_of(*command).partition("\n  Examples:")[0].partition("\n  Formats:")[0]
    assert too_wide(before_examples, 40) == []
    assert command != ("run",) or "smoke| " in before_examples.replace("\n", " "), "broken within a word"


def test_the_help_of_the_load_generator_fits(monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    assert too_wide(parser().format_help(), 80) == []


def test_the_first_words_fit():
    assert too_wide(CliRunner().invoke(cli, []).stdout, 80) == []


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
