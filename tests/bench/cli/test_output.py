"""What is printed arrives, whatever the encoding of stdout and stderr can carry, and fails no command."""

from __future__ import annotations

import ast
import io
import os
import subprocess
import sys

import pytest
from helpers.checkout import CHECKOUT
from helpers.tracing import paused

from bench.cli import main
from bench.cli.output import PLAINLY, carry_any_text

PRINTED = [*(CHECKOUT / "bench").rglob("*.py"), *(CHECKOUT / "clients").glob("*.py")]


def docstrings(tree):
    """Return the ids of the nodes that are docstrings, of attributes too."""
    bodies = (node.body for node in ast.walk(tree) if isinstance(getattr(node, "body", None), list))
    return {id(one.value) for body in bodies for one in body if isinstance(one, ast.Expr)}


def characters():
    """Return every character beyond ASCII in a string that our code may print."""
    found = set()
    for path in PRINTED:
        tree = ast.parse(path.read_bytes())
        passed_over = docstrings(tree)
        texts = (one for one in ast.walk(tree) if isinstance(one, ast.Constant) and id(one) not in passed_over)
        found |= {letter for one in texts if isinstance(one.value, str) for letter in one.value if not letter.isascii()}
    return sorted(found)


@paused()
def test_every_character_that_we_print_has_a_plain_form():
    ours = characters()
    assert {"±", "µ", "≥"} & set(ours)
    assert not [letter for letter in ours if "\\" in letter.encode("ascii", PLAINLY).decode()]


@pytest.mark.parametrize(
    ("text", "encoding", "carried"),
    [
        ("12.4 µs ±3 %, ≥ 2, ≈ 1…", "ascii", b"12.4 us +/-3 %, >= 2, ~ 1..."),
        ("12.4 µs ±3 %, ≥ 2", "latin-1", b"12.4 \xb5s \xb13 %, >= 2"),
        ("┏━┓┃a│⠋█", "ascii", b"+-+|a|##"),
        ("é\udcff", "ascii", rb"\xe9\udcff"),
        ("12.4 µs", "utf-8", "12.4 µs".encode()),
        ("\udcff", "utf-8", rb"\udcff"),
    ],
)
def test_a_stream_writes_plainly_what_it_lacks(monkeypatch, text, encoding, carried):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding=encoding))
    carry_any_text()
    print(text, end="", flush=True)
    assert raw.getvalue() == carried


def test_a_name_that_is_no_text_stays_in_the_c_locale(monkeypatch):
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii", errors="surrogateescape"))
    carry_any_text()
    print(f"{os.fsdecode('ö'.encode('latin-1'))} in µs", end="", flush=True)
    assert raw.getvalue() == b"\xf6 in us"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_tables_and_texts_keep_the_status_of_their_command(monkeypatch, stored, encoding):
    """By rich, by click, and by click on stderr."""
    run = stored("a", servers=("threads", "coroutines"))
    for arguments, status in (
        (["compare", str(run), "--baseline", "threads"], 0),
        (["run", "--help"], 0),
        (["run", "smöke…"], 2),
    ):
        out, err = (io.TextIOWrapper(io.BytesIO(), encoding=encoding) for _ in range(2))
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", out)
            patched.setattr(sys, "stderr", err)
            patched.setattr("signal.signal", lambda *_: None)
            patched.setattr(sys, "argv", ["echobench", *arguments])
            assert main() == status
        err.flush()
        written = out.buffer.getvalue() + err.buffer.getvalue()
        assert written.decode(encoding).strip()
        assert b"Traceback" not in written


@pytest.mark.traced
@pytest.mark.parametrize(
    "given",
    [
        {"PYTHONIOENCODING": "ascii"},
        {"PYTHONIOENCODING": "latin-1"},
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
    ],
    ids=str,
)
def test_a_process_that_cannot_print_a_character_says_it_plainly(given):
    env = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "LANG", "PYTHONIO"))}
    command = [sys.executable, "-P", "-m", "bench", "run", "--help"]
    done = subprocess.run(
        command, env={**env, "PYTHONPATH": str(CHECKOUT), **given}, capture_output=True, check=False, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert b"SIZE,..." in done.stdout
    assert done.stdout.isascii()
