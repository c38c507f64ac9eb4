"""Help: every command has an example that it understands, and help is found however people ask for it."""

from __future__ import annotations

import inspect
import re
import shlex

import pytest
from click.testing import CliRunner

from bench import __version__
from bench.cli import COMMANDS, cli


@pytest.mark.parametrize("name", [name for name in COMMANDS if name not in {"schema", "servers", "show"}])
def test_help_has_examples_that_the_command_understands(name):
    command = cli.get_command(None, name)
    said = f"{inspect.cleandoc(command.help)}\n{command.epilog or ''}"
    examples = re.findall(rf"^(?:  |For example: )echobench {name}\b(.*?)(?:   .*)?$", said, re.MULTILINE)
    assert examples
    for example in examples:
        command.make_context(name, shlex.split(example), resilient_parsing=True)


@pytest.mark.parametrize(("asked", "same_as"), [(["help", "check"], ["check", "--help"]), (["help"], ["--help"])])
def test_help_is_a_command_too(asked, same_as):
    said = [CliRunner().invoke(cli, words, prog_name="echobench") for words in (asked, same_as)]
    assert said[0].output == said[1].output != ""
    assert said[0].exit_code == 0


def test_the_version_has_a_short_option():
    assert CliRunner().invoke(cli, ["-V"]).output.split()[-1] == __version__
