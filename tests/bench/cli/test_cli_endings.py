"""How the command line ends before its time: Ctrl-C before anything has begun, and a reader that has gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
from helpers.checkout import CHECKOUT
from helpers.project import Project
from helpers.tracing import untraced

import bench.__main__
import clients.__main__
from bench.cli import cli
from bench.errors import UsageError, not_installed

pytestmark = pytest.mark.traced

MEASURING = [
    ("run", "smoke", "--server", "threads"),
    ("check", "threads"),
    ("regress", "--a", "threads", "--b", "threads"),
]


@pytest.fixture
def echobench(tmp_path):
    """Return a function that runs the command in a folder of its own; modules in that folder come before all others.

    Those that run lines no other test runs are traced.
    """

    def run(*arguments, traced=False, **options):
        path = f"{tmp_path}{os.pathsep}{CHECKOUT}"
        command = [sys.executable, "-P", "-m", "bench", *arguments]
        given = {"cwd": tmp_path, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        with nullcontext() if traced else untraced():
            env = {**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(tmp_path / "cache")}
            return subprocess.run(command, env=env, text=True, timeout=60, check=False, **given)

    return run


@pytest.mark.parametrize("arguments", MEASURING, ids=lambda arguments: arguments[0])
def test_ctrl_c_while_the_command_line_is_loaded_is_no_traceback(echobench, tmp_path, arguments):
    (tmp_path / "click.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    done = echobench(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize(
    ("arguments", "name"), [*((arguments, "SIGINT") for arguments in MEASURING), (MEASURING[0], "SIGHUP")]
)
def test_an_interrupt_while_servers_are_looked_up_is_a_word(echobench, tmp_path, arguments, name):
    """The first thing that any of them waits for is an answer of `python -m servers`."""
    (tmp_path / "sitecustomize.py").write_text(
        f"import signal, subprocess\nsubprocess.run = lambda *_, **__: signal.raise_signal(signal.{name})\n"
    )
    done = echobench(*arguments)
    assert (done.returncode, done.stdout) == (130, "")
    assert done.stderr.strip() == "echobench: interrupted"


@pytest.mark.parametrize("arguments", [("--help",), ("check", "--list"), ("servers",), ("doctor",)], ids=" ".join)
def test_a_reader_that_has_gone_ends_it_quietly_and_not_as_regressed(echobench, arguments):
    """What is printed by click, by click within a command, and by rich."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = echobench(*arguments, stdout=writer, traced=arguments == ("--help",))
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


@pytest.mark.parametrize("program", [bench.__main__, clients.__main__], ids=lambda program: program.__name__)
def test_an_older_python_is_told_apart_before_anything_is_loaded(program, monkeypatch, capsys):
    monkeypatch.setattr(sys, "version_info", (3, 10, 13, "final", 0))
    assert program.main() == 2
    assert "is Python 3.10: run it with Python 3.11 or later\n" in capsys.readouterr().err


def test_without_its_requirements_it_says_how_to_install_them(tmp_path):
    """-S leaves out what pip has installed."""
    command = [sys.executable, "-S", "-P", "-m", "bench", "run"]
    env = {"PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(command, env=env, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"echobench: click is not installed for {sys.executable}: ")
    assert f"-m pip install {CHECKOUT}`" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_library_that_one_command_needs_is_asked_for_by_name(echobench, tmp_path):
    (tmp_path / "msgspec.py").write_text("raise ModuleNotFoundError('no', name='msgspec')\n")
    done = echobench("servers", traced=True)
    assert done.returncode == 2
    assert done.stderr.startswith("echobench: msgspec is not installed")


@pytest.mark.parametrize(
    ("raised", "status", "words"),
    [
        ("ImportError('libx.so: failed to map segment from shared object')", 2, "libx.so: failed to map segment"),
        ("MemoryError", 4, "there is not enough memory"),
    ],
)
def test_too_little_memory_is_a_sentence(echobench, tmp_path, raised, status, words):
    (tmp_path / "msgspec.py").write_text(f"raise {raised}\n")
    done = echobench("servers")
    assert (done.returncode, done.stderr.count("\n")) == (status, 1)
    assert words in done.stderr
    assert "ulimit -v" in done.stderr


@pytest.mark.parametrize("name", ["bench.no_such", "tomllib", None])
def test_a_module_of_ours_or_of_python_is_not_asked_for(name):
    assert not_installed(ModuleNotFoundError("no", name=name)) is None


def test_a_command_line_that_cannot_be_loaded_does_not_end_as_regressed(echobench, tmp_path):
    (tmp_path / "click.py").write_text("raise RuntimeError('a fault')\n")
    done = echobench("doctor", traced=True)
    assert done.returncode == 70
    assert "RuntimeError: a fault" in done.stderr


def test_a_fault_of_ours_is_shown_and_does_not_end_as_regressed(echobench, tmp_path):
    (tmp_path / "psutil.py").write_text("raise RuntimeError('a fault')\n")
    done = echobench("doctor", traced=True)
    assert done.returncode == 70
    assert "Traceback" in done.stderr
    assert "RuntimeError: a fault" in done.stderr


def test_a_verdict_on_a_full_disk_keeps_its_status_and_its_words(echobench, tmp_path):
    project = Project(tmp_path / "theirs")
    project.commit()
    with Path("/dev/full").open("w") as full:
        done = echobench(
            "regress", "--base", "gone", "--command", "x {port}", "--json", stdout=full, cwd=project.root, traced=True
        )
    assert done.returncode == 5
    assert '"word": "NO-BASELINE"' in done.stderr
    assert "standard output cannot be written: No space left on device" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", [("--version",), ("check", "--list"), ("export", "--help")], ids=" ".join)
def test_a_full_disk_under_stdout_is_a_sentence_and_not_fine(echobench, arguments):
    """What is printed while the command line is parsed, by a command, and by help of one."""
    with Path("/dev/full").open("w") as full:
        done = echobench(*arguments, stdout=full)
    assert done.returncode == 4
    first, *rest = done.stderr.splitlines()
    assert first == "echobench: standard output cannot be written: No space left on device; it goes on here"
    assert rest == echobench(*arguments).stdout.splitlines()


def test_full_disks_under_both_streams_are_not_told_as_regressed(echobench):
    with Path("/dev/full").open("w") as full:
        assert echobench("--version", stdout=full, stderr=full, traced=True).returncode == 4


def test_more_than_a_buffer_goes_on_where_it_can_be_written():
    """What was in the buffer, what is longer than it, and what rich prints."""
    code = (
        "from bench.cli import spilling; spilling.outlast_full_disks();"
        "from bench.cli.terminal import standard_output;"
        "print('a' * 9); print('b' * 99_999); standard_output().print('c' * 9); print(spilling.has_spilled())"
    )
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-c", code]
        done = subprocess.run(command, cwd=CHECKOUT, stdout=full, stderr=subprocess.PIPE, text=True, check=True)
    assert done.stderr.splitlines()[1:] == ["a" * 9, "b" * 99_999, "c" * 9, "True"]


@pytest.mark.parametrize("closed", [">&-", "2>&-", ">&- 2>&-"])
def test_a_stream_that_is_closed_is_not_wanted_and_no_fault(closed):
    code = (
        "from bench.cli.spilling import outlast_full_disks; outlast_full_disks();"
        "import os, sys; from bench.cli.terminal import standard_output;"
        "standard_output().print('said'); print('told', file=sys.stderr); assert os.open('/dev/null', 0) > 2"
    )
    command = ["/bin/sh", "-c", f'exec "$@" {closed}', "sh", sys.executable, "-c", code]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    assert done.stdout == ("" if ">&-" in closed.split() else "said\n")
    assert done.stderr == ("" if "2>&-" in closed else "told\n")


def test_a_parent_that_ignores_sigchld_hides_no_failure(echobench):
    """A child inherits that, and would then take each of its own children for one that ended well."""
    done = echobench(
        *("regress", "--base", "HEAD", "--command", "x {port}"),
        preexec_fn=lambda: signal.signal(signal.SIGCHLD, signal.SIG_IGN),
    )
    assert done.returncode == 2
    assert "is in no git repository" in done.stderr


def test_more_interrupts_while_a_command_ends_are_no_traceback(echobench, tmp_path):
    """As of somebody who holds Ctrl-C down: one comes while the first is told, and one at the very end."""
    (tmp_path / "sitecustomize.py").write_text(
        "import atexit, signal, subprocess, click\n"
        "interrupt = lambda: signal.raise_signal(signal.SIGINT)\n"
        "atexit.register(interrupt)\n"
        "subprocess.run = lambda *_, **__: interrupt()\n"
        "echo = click.echo\n"
        "click.echo = lambda *words, **how: (interrupt(), echo(*words, **how))\n"
    )
    done = echobench("check", "threads", traced=True)
    assert (done.returncode, done.stdout, done.stderr.strip()) == (130, "", "echobench: interrupted")


def test_a_folder_that_is_gone_is_wrong_use(tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    with pytest.raises(UsageError, match="is not there any more: go to another"):
        cli.main(["regress", "--base", "HEAD", "--command", "x {port}"], standalone_mode=False)
