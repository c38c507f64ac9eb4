"""How the command line ends before its time: Ctrl-C before anything has begun, and a reader that has gone."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest
from helpers.checkout import CHECKOUT

from bench.errors import not_installed

pytestmark = pytest.mark.traced

MEASURING = [
    ("run", "smoke", "--server", "threads"),
    ("check", "threads"),
    ("regress", "--a", "threads", "--b", "threads"),
]


@pytest.fixture
def echobench(tmp_path):
    """Return a function that runs the command in a folder of its own; modules in that folder come before all others."""

    def run(*arguments, **options):
        path = f"{tmp_path}{os.pathsep}{CHECKOUT}"
        env = {**os.environ, "PYTHONPATH": path, "XDG_CACHE_HOME": str(tmp_path / "cache")}
        command = [sys.executable, "-P", "-m", "bench", *arguments]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
        return subprocess.run(command, cwd=tmp_path, env=env, text=True, timeout=60, check=False, **pipes)

    return run


@pytest.mark.parametrize("arguments", MEASURING, ids=lambda arguments: arguments[0])
def test_ctrl_c_while_the_command_line_is_loaded_is_no_traceback(echobench, tmp_path, arguments):
    (tmp_path / "click.py").write_text("import signal\nsignal.raise_signal(signal.SIGINT)\n")
    done = echobench(*arguments)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


@pytest.mark.parametrize("arguments", MEASURING, ids=lambda arguments: arguments[0])
def test_ctrl_c_while_servers_are_looked_up_is_a_word(echobench, tmp_path, arguments):
    """The first thing that any of them waits for is an answer of `python -m servers`."""
    (tmp_path / "sitecustomize.py").write_text(
        "import signal, subprocess\nsubprocess.run = lambda *_, **__: signal.raise_signal(signal.SIGINT)\n"
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
        done = echobench(*arguments, stdout=writer)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (128 + signal.SIGPIPE, "")


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
    done = echobench("servers")
    assert done.returncode == 2
    assert done.stderr.startswith("echobench: msgspec is not installed")


@pytest.mark.parametrize("name", ["bench.no_such", "tomllib", None])
def test_a_module_of_ours_or_of_python_is_not_asked_for(name):
    assert not_installed(ModuleNotFoundError("no", name=name)) is None


def test_a_command_line_that_cannot_be_loaded_does_not_end_as_regressed(echobench, tmp_path):
    (tmp_path / "click.py").write_text("raise RuntimeError('a fault')\n")
    done = echobench("doctor")
    assert done.returncode == 70
    assert "RuntimeError: a fault" in done.stderr


def test_a_fault_of_ours_is_shown_and_does_not_end_as_regressed(echobench, tmp_path):
    (tmp_path / "psutil.py").write_text("raise RuntimeError('a fault')\n")
    done = echobench("doctor")
    assert done.returncode == 70
    assert "Traceback" in done.stderr
    assert "RuntimeError: a fault" in done.stderr
