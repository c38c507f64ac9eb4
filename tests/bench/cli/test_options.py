"""Options that commands share: every setting of a workload is offered by all, with the same texts."""

from __future__ import annotations

import subprocess

import click
import pytest
from click.shell_completion import BashComplete, ShellComplete
from click.testing import CliRunner

from bench.cli import cli
from bench.cli.calibrate import calibrate
from bench.cli.options import alternatives, texts_given, workload_given, workload_options
from bench.cli.regress import regress
from bench.cli.run import run
from bench.cli.search import search
from bench.errors import UsageError
from clients.keys import KEYS


@pytest.mark.parametrize(("command", "without"), [(run, set()), (regress, set()), (search, {"rate_per_s", "think_s"})])
def test_every_setting_is_an_option_of_every_command(command, without):
    options = {parameter.name: parameter for parameter in command.params}
    for name, key in KEYS.items():
        assert (name in options) == (name not in without)
        if name in options:
            assert set(key.flags) <= set(options[name].opts)


@pytest.mark.parametrize("command", [regress, search, calibrate])
def test_agents_are_no_option_of_what_one_generator_does(command):
    refused = CliRunner().invoke(command, ["--agents", "local:2"])
    assert refused.exit_code == 2
    assert "No such option '--agents'" in refused.output


@pytest.mark.parametrize(
    ("option", "text"),
    [("--minutes", "nan"), ("--minutes", "inf"), ("--trials", "100000"), ("--pid", "9999999999")],
)
def test_a_number_beyond_all_use_is_refused(option, text):
    refused = CliRunner().invoke(run, [option, text])
    assert refused.exit_code == 2
    assert f"Invalid value for '{option}'" in refused.output


def asked(arguments, **settings):
    """Return the workload that a command with these options is given."""
    found = []

    @click.command()
    @workload_options(**settings)
    def command(**given):
        found.append(workload_given(texts_given(given), arrivals=settings.get("arrivals", "constant")))
        assert given == {}

    ended = CliRunner().invoke(command, arguments)
    if isinstance(ended.exception, UsageError):
        raise ended.exception
    assert ended.exit_code == 0, ended.output
    return found[0]


def test_texts_become_a_workload_and_defaults_fill_what_is_left_out():
    workload = asked(["-s", "16KiB", "--rate", "100..300"], defaults={"connections": "16"}, arrivals="poisson")
    assert (workload.connections, workload.message_bytes, workload.rate_per_s) == (16, 16_384, 200)
    assert workload.arrivals == "poisson"
    assert asked([]).connections == 1


def test_what_cannot_be_is_named_by_its_option():
    with pytest.raises(UsageError, match=r"^--connections is '64\.\.1', and must be a number that only grows"):
        asked(["-c", "64..1"])


def test_commas_stand_between_alternatives_unless_the_text_is_a_mixture():
    texts = {"connections": "1,16", "message_bytes": "64:9,16KiB:1", "pipeline": "4"}
    assert alternatives(texts) == {
        "connections": ["1", "16"],
        "message_bytes": ["64:9,16KiB:1"],
        "pipeline": ["4"],
    }


def test_the_bare_command_says_what_people_come_for(capsys):
    cli.main([], prog_name="echobench", standalone_mode=False)
    said = capsys.readouterr().out
    shown = [line.split() for line in said.splitlines() if line.startswith("  echobench")]
    assert [words[1] for words in shown] == ["run", "regress", "check"]
    for _, name, *given in shown:
        known = {option for parameter in cli.get_command(None, name).params for option in parameter.opts}
        assert {word for word in given if word.startswith("--")} <= known


@pytest.mark.parametrize(
    ("before", "typed", "completed"),
    [
        ([], "reg", ["regress"]),
        (["run"], "--fail", ["--fail-if"]),
        (["run", "--design"], "b", ["blocks"]),
        (["run"], "sm", ["sm", "smoke"]),
    ],
)
def test_a_shell_completes_commands_and_options(before, typed, completed):
    found = ShellComplete(cli, {}, "echobench", "_ECHOBENCH_COMPLETE").get_completions(before, typed)
    assert [one.value for one in found] == completed


IN_BASH = """
compopt() { :; }
source "$1"
COMP_WORDS=(echobench run "$3") COMP_CWORD=2 COMPREPLY=()
_echobench_completion "$2"
echo "${COMPREPLY[*]}"
"""


@pytest.mark.parametrize(("typed", "completed"), [("sm", "smoke"), ("--fail", "--fail-if"), ("./mine", "")])
def test_bash_itself_takes_what_we_complete(typed, completed, monkeypatch, tmp_path):
    """What click answers is asked of it here. Bash gets the answer from a program that only prints it."""
    monkeypatch.setenv("COMP_WORDS", f"echobench run {typed}")
    monkeypatch.setenv("COMP_CWORD", "2")
    shell = BashComplete(cli, {}, "echobench", "_ECHOBENCH_COMPLETE")
    script, answer, program = (tmp_path / name for name in ("script", "answer", "program"))
    script.write_text(shell.source())
    answer.write_text(shell.complete())
    program.write_text(f"#!/bin/sh\ncat {answer}\n")
    program.chmod(0o755)
    command = ["bash", "--norc", "-c", IN_BASH, "bash", script, program, typed]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert (done.stdout, done.stderr) == (f"{completed}\n", "")


def test_the_documented_variable_gives_the_script(monkeypatch, capsys):
    monkeypatch.setenv("_ECHOBENCH_COMPLETE", "zsh_source")
    with pytest.raises(SystemExit) as end:
        cli.main([], prog_name="echobench", standalone_mode=False)
    assert end.value.code == 0
    assert "_ECHOBENCH_COMPLETE=zsh_complete" in capsys.readouterr().out
