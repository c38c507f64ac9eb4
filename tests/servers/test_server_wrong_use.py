"""Wrong use ends in one sentence on stderr and exit status 2, before anything listens."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest
from helpers.checkout import CHECKOUT
from helpers.servers import run


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["corutines"], "unknown server 'corutines': did you mean 'coroutines'?"),
        (["asyncio_streams"], "unknown server 'asyncio_streams': did you mean 'asyncio-streams'?"),
        (["asyncio"], "unknown server 'asyncio': choose one of asyncio-buffered, asyncio-protocol, asyncio-"),
        (["zzz"], "unknown server 'zzz': known: anyio, "),
        (["./zzz.py"], "cannot read zzz.py: No such file or directory"),
        (["threads", "--host", "nobody.invalid"], "the host 'nobody.invalid' is not known"),
        (["threads", "--host", "two..dots"], "the host 'two..dots' is not known"),
        (["threads", "--host", "192.0.2.1"], "cannot listen on 192.0.2.1 port 0: Cannot assign requested address"),
        (["threads", "--host", "unix:/nowhere/here"], "cannot listen on unix:/nowhere/here: No such file or directory"),
        (["threads", "--host", "unix:/tmp/" + "x" * 200], "too long"),
        (["threads", "--port", "65536"], "65536 is not a port: use 0 to 65535"),
        (["threads", "--port", "http"], "invalid port value: 'http'"),
        (["threads", "--cpus", "0-1"], "'0-1' is no list of CPUs: write their numbers, such as 0,2"),
        (["threads", "--cpus", "0,4095"], "--cpus: this process may not use CPU 4095; choose among "),
        (["threads", "--cpus", "9" * 20], f"--cpus: this process may not use CPU {'9' * 20}; choose among "),
        (["threads", "--burn-us", "-1"], "-1 is not 0 or more"),
        (["threads", "--burn-us", "nan"], "nan is not 0 or more"),
        (["threads", "--delay-every", "0"], "0 is not 1 or more"),
        (["threads", "--delay-every", "3"], "--delay-every has no effect without --delay-us"),
        (["--port", "5433"], "--port is for running a server: which one?"),
        (["threads", "--json", "--port", "5433"], "--port is for running a server, and --json lists one"),
        (["--burn-us", "3"], "--burn-us is for running a server: which one?"),
        (["reference", "--burn-us", "1"], "reference does not read through Python's sockets, so it cannot be slowed"),
    ],
)
def test_wrong_use(arguments, sentence):
    ended = run(*arguments)
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (ended.returncode, ended.stdout) == (2, "")


@pytest.mark.parametrize(
    ("source", "sentence"),
    [
        ("def handle(listener): ...\n", "defines no serve(listener)"),
        ("def serve(listener)\n", "line 1 is not Python: expected ':'"),
        ("import nothing_like_it.at_all\ndef serve(listener): ...\n", "it imports nothing_like_it, which is not there"),
        ("if True:\n    import nothing_like_it\ndef serve(listener): ...\n", "No module named 'nothing_like_it'"),
        ("LIBRARY = 'nothing_like_it'\ndef serve(listener): ...\n", "nothing_like_it is not installed; run: "),
        ("PROGRAM = 'nothing-like-it'\ndef serve(listener): ...\n", "the program nothing-like-it is not on the PATH"),
    ],
)
def test_a_file_that_cannot_serve(tmp_path, source, sentence):
    path = tmp_path / "mine.py"
    path.write_text(source)
    ended = run(path)
    assert sentence in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (ended.returncode, ended.stdout) == (2, "")


def test_an_extra_that_is_not_installed():
    ended = run("uvloop-protocol", interpreter=("-S",))
    assert "uvloop-protocol cannot run here: uvloop is not installed; run: " in ended.stderr
    assert (ended.returncode, ended.stdout) == (2, "")


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_a_port_in_use(host):
    with socket.create_server((host, 0), family=socket.AF_INET6 if ":" in host else socket.AF_INET) as taken:
        port = taken.getsockname()[1]
        ended = run("threads", "--host", host, "--port", port)
    assert f"cannot listen on {host} port {port}: Address already in use; stop what listens there" in ended.stderr
    assert (ended.returncode, ended.stdout) == (2, "")


@pytest.mark.parametrize("arguments", [(), ("--json",), ("threads",)], ids=" ".join)
def test_a_stdout_that_cannot_be_written(arguments):
    command = ["/bin/sh", "-c", 'exec "$@" >/dev/full', "sh", sys.executable, "-m", "servers", *arguments]
    ended = subprocess.run(command, cwd=CHECKOUT, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert ended.stderr == "python -m servers: standard output cannot be written: No space left on device\n"
    assert ended.returncode == 2


def test_a_compiler_that_fails(tmp_path):
    compiler = tmp_path / "cc"
    compiler.write_text("#!/bin/sh\necho 'no headers here' >&2\nexit 1\n")
    compiler.chmod(0o755)
    ended = run("reference", PATH=str(tmp_path), XDG_CACHE_HOME=str(tmp_path))
    assert "cannot build" in ended.stderr
    assert "no headers here" in ended.stderr
    assert (ended.returncode, ended.stdout) == (2, "")


def test_a_cache_that_cannot_be_written_nor_replaced(tmp_path):
    (tmp_path / "file").touch()
    (tmp_path / f"echobench-cache-{os.geteuid()}").symlink_to(tmp_path)
    ended = run("reference", XDG_CACHE_HOME=str(tmp_path / "file"), TMPDIR=str(tmp_path))
    assert "reference cannot run here: " in ended.stderr
    assert "is not this user's alone: set XDG_CACHE_HOME" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert (ended.returncode, ended.stdout) == (2, "")
