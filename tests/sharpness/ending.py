"""How the sessions on the instrument end: as commands of the bench do, with a sentence and its exit status."""

from __future__ import annotations

import click

from bench.errors import BenchError

INTERRUPTED = 130


def status_of(command: click.Command) -> int:
    """Run a command with the arguments of this process, say what went wrong, and return the exit status."""
    try:
        command(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except BenchError as error:
        click.echo(f"{command.name}: {error}", err=True)
        return int(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo(f"{command.name}: interrupted", err=True)
        return INTERRUPTED
    return 0
