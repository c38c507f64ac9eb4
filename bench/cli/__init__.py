"""The `echobench` command: one file for each subcommand. Every error is caught here, and nowhere else.

A subcommand is imported when it is asked for. Importing this file must not load pandas or matplotlib, because `run`
must not carry them while it measures.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import shutil
import signal
import sys
from typing import TYPE_CHECKING, Any

import click

from bench import __version__
from bench.cli.output import carry_any_text
from bench.cli.spilling import has_spilled, outlast_full_disks
from bench.errors import BenchError, ExitCode, UsageError, tell_fault, unknown_name
from bench.interrupts import ignore_interrupts, raise_interrupts

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

COMMANDS = {
    "run": "Measure servers by a preset or a plan, and report.",
    "show": "Show the ranking, the doubts and the machine of a run.",
    "report": "Make the tables, plots and report of a run again.",
    "compare": "Compare the servers of one run, two stored runs, or more.",
    "history": "Follow every cell over the runs of a folder, and alarm if one became slower.",
    "regress": "Say whether a change made a server slower.",
    "check": "Check that servers echo correctly, whatever their clients do.",
    "search": "Find the highest rate at which a server keeps a stated response time.",
    "calibrate": "Measure what the load generator itself can do on this machine.",
    "doctor": "Say what on this machine will blur a measurement.",
    "servers": "List the servers that can be measured.",
    "export": "Write a run in the format of another tool.",
    "schema": "Print the JSON Schema of plan files, for editors.",
}
"""Every subcommand with what help says of it, in the order of help. Each is `bench.cli.NAME:NAME`."""

WHAT_FOR = """\
Measure and compare servers:
  echobench run quick --server threads --server ./mine.py

Did my change make a server slower?
  echobench regress --base main

Does my server echo correctly, whatever its clients do?
  echobench check ./mine.py

`echobench --help` lists all commands.
`echobench COMMAND --help` says what one is for, and lists its options."""
"""What people come for, which the command says if it is told nothing."""

INTERRUPTED, NOBODY_READS = 128 + signal.SIGINT, 128 + signal.SIGPIPE
"""The exit status of a program that its user interrupted, and of one whose output goes to a reader that has gone."""


class ReaderGoneError(Exception):
    """Nobody reads what is printed any more."""


@contextlib.contextmanager
def _noticing_the_reader() -> Iterator[None]:
    """Raise ReaderGoneError where click and rich would exit with 1, which means REGRESSED here."""
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderGoneError from error
    except SystemExit as end:
        if isinstance(end.__context__, BrokenPipeError):
            raise ReaderGoneError from end
        raise


CLICKS_LEAST = 52
"""Columns of the narrowest terminal that click's help fits."""


class AnyWidth(click.HelpFormatter):
    """Help that also fits a narrower terminal: what is listed then stands above what is said of it."""

    def __init__(self, indent_increment: int = 2, width: int | None = None, max_width: int | None = None) -> None:
        """Take the width of the terminal."""
        here = shutil.get_terminal_size().columns
        super().__init__(indent_increment, here - 2 if width is None and here < CLICKS_LEAST else width, max_width)

    def write_usage(self, prog: str, args: str = "", prefix: str | None = None) -> None:
        """Write how the command is used. Where it is narrow, a list of choices is folded between them."""
        super().write_usage(prog, args.replace("|", "| ") if self.width < CLICKS_LEAST - 2 else args, prefix)

    def write_dl(self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2) -> None:
        """Write a list of names and what is said of them."""
        super().write_dl(rows, min(col_max, 4) if self.width < CLICKS_LEAST - 2 else col_max, col_spacing)


class HelpContext(click.Context):
    """The context of every command, whose help fits any width."""

    formatter_class = AnyWidth


class LazyGroup(click.Group):
    """A group that imports a subcommand when it is run, and lists them all without importing any."""

    context_class = HelpContext

    def make_context(self, *arguments: Any, **options: Any) -> click.Context:
        """Parse; this is where help is printed."""
        with _noticing_the_reader():
            return super().make_context(*arguments, **options)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse, and take `help COMMAND` for `COMMAND --help`, as git and cargo do."""
        return super().parse_args(ctx, [*args[1:2], "--help"] if args[:1] == ["help"] else args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run a subcommand."""
        with _noticing_the_reader():
            return super().invoke(ctx)

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Return the names of all subcommands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """Import a subcommand. Raise UsageError with the nearest name if there is none."""
        if cmd_name not in COMMANDS:
            raise unknown_name("command", cmd_name, COMMANDS)
        command: click.Command = getattr(importlib.import_module(f"bench.cli.{cmd_name}"), cmd_name)
        command.context_class = HelpContext
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - as above
        """Write the list that help shows."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version")
@click.pass_context
def cli(context: click.Context) -> None:
    """Measure and compare TCP echo servers, and say how sure it is.

    Exit status: 0 fine, 1 regressed, 2 wrong use, 3 inconclusive, 4 invalid measurement, 5 nothing to compare with.
    """
    try:
        os.getcwd()  # noqa: PTH109 - asked for its error alone
    except FileNotFoundError as error:
        raise UsageError("the folder that this command was given in is not there any more: go to another") from error
    if context.invoked_subcommand is None:
        click.echo("\n".join(_what_for()))


def _what_for() -> Iterator[str]:
    """Yield what people come for. Its sentences are folded to the terminal, and its commands stay whole."""
    from bench.cli.terminal import columns  # noqa: PLC0415 - rich takes long to load, and is not always needed
    from bench.units import folded  # noqa: PLC0415 - as above

    for line in WHAT_FOR.splitlines():
        yield line if line.startswith(" ") else folded(line, columns())


def main() -> int:
    """Run the command line and return its exit status. However it ends, no process that it started stays behind."""
    raise_interrupts()
    outlast_full_disks()
    carry_any_text()
    try:
        return _status()
    except (click.Abort, KeyboardInterrupt):
        ignore_interrupts()  # first: a second one must not end this as a traceback
        click.echo("echobench: interrupted", err=True)
        return INTERRUPTED
    finally:
        ignore_interrupts()


def _status() -> int:
    """Run the command line and return its exit status. Only an interrupt is raised."""
    try:
        try:
            status = cli.main(prog_name="echobench", standalone_mode=False) or ExitCode.FINE
        finally:
            sys.stdout.flush()
        return ExitCode.INVALID if status == ExitCode.FINE and has_spilled() else status
    except (BrokenPipeError, ReaderGoneError):
        return _left_alone()
    except BenchError as error:
        click.echo(f"echobench: {error}", err=True)
        return error.exit_code
    except click.ClickException as error:
        error.show()
        return ExitCode.WRONG_USE
    except click.Abort:
        raise
    except Exception as error:  # noqa: BLE001 - a fault of ours must not exit with 1: that means REGRESSED
        return tell_fault(error)


def _left_alone() -> int:
    """Redirect stdout and stderr to /dev/null, so that Python's final flush does not report a broken pipe."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            os.dup2(nowhere, stream.fileno())
    return NOBODY_READS
