"""Standard output as commands print on it: a terminal in its own width, or a file. What is printed is not made here."""

from __future__ import annotations

import shutil
import sys
import textwrap

import click
from rich.cells import cell_len
from rich.console import Console

from bench.cli.spilling import excuse
from bench.units import folded, unbroken

WIDE = 160
"""Columns of a file or a CI log, where a table need not be folded."""


def standard_output() -> Console:
    """Return a console on standard output."""
    console = Console(highlight=False, width=None if sys.stdout.isatty() else WIDE)
    if console.is_dumb_terminal:
        console.size = shutil.get_terminal_size()  # rich would take it for one of 80 columns
    return console


def columns() -> int | None:
    """Return the width of the terminal that standard output is; None for a file or a pipe, where no line is folded."""
    return standard_output().width if sys.stdout.isatty() else None


def tell(console: Console, text: str, style: str = "") -> None:
    """Print a text as it is. On a terminal its lines are folded between words, and numbers keep their units."""
    width = console.width if console.is_terminal else None
    console.print(folded(text, width), style=style, markup=False, highlight=False, soft_wrap=True)


def beside(lead: str, text: str) -> str:
    """Return a text behind its lead. On a terminal the text is folded between its words, and hangs beside the lead.

    If the lead takes more than half of the width, the text stands below it. A file gets one line.
    """
    width = columns()
    if width is None:
        return lead + text
    taken = cell_len(click.unstyle(lead))
    is_below = 2 * taken > width
    indent = " " * (4 if is_below else taken)
    below = textwrap.fill(
        unbroken(text),
        width,
        initial_indent=indent,
        subsequent_indent=indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    below = below.replace("\N{NO-BREAK SPACE}", " ")
    return f"{lead.rstrip()}\n{below}".lstrip("\n") if is_below else lead + below[taken:]


def can_draw(console: Console) -> bool:
    """Say whether a bar or a screen may be drawn: on a terminal that has the means, unless `NO_COLOR` forbids it."""
    return console.is_terminal and not console.is_dumb_terminal and not console.no_color


def emphasised(text: str, colour: str | None = None, console: Console | None = None) -> str:
    """Return a text in bold, and in a colour if any, as far as the terminal has them and `NO_COLOR` is not set."""
    console = standard_output() if console is None else console
    if console.color_system is None:
        return text
    return click.style(text, bold=True, fg=None if console.no_color else colour)


def put_out(text: str) -> None:
    """Print a verdict on standard output.

    The exit status says the same, so it holds even if the words had to go to standard error. Raises BrokenPipeError if
    nobody reads standard output any more.
    """
    click.echo(text, nl=False)
    excuse()
