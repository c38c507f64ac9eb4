"""`python -m servers`: what there is, what can run here, and that a file dropped into the folder is enough."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib

import pytest
from helpers.checkout import CHECKOUT
from helpers.servers import run

from servers import _catalog
from servers._catalog import Entry
from servers._loops import LOOPS, EventLoop

pytestmark = pytest.mark.traced

ARTICLE = ("sequential", "threads", "generators", "coroutines", "asyncio-streams", "asyncio-protocol")
STYLES = ("streams", "protocol", "buffered", "sockets")
OTHERS = ("callbacks", "processes", "reference", "socketserver", "thread-pool", "anyio", "curio", "gevent", "trio")
ON_ASYNCIO = {f"asyncio-{style}" for style in STYLES}
ON_OTHER_LOOPS = {f"{loop.name}-{style}" for loop in LOOPS for style in STYLES}
FAMILY = {*ARTICLE, *OTHERS, *ON_ASYNCIO, *ON_OTHER_LOOPS}

NO_SITE_PACKAGES = ("-S",)  # an interpreter to which no library is installed


@pytest.fixture
def copied(tmp_path):
    """Return a copy of the servers' folder, and what lists it."""
    folder = tmp_path / "servers"
    shutil.copytree(CHECKOUT / "servers", folder, ignore=shutil.ignore_patterns("__pycache__"))

    def listed(*arguments):
        command = [sys.executable, "-m", "servers", *arguments]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=10, check=False)

    return folder, listed


def test_the_family_is_complete():
    rows = json.loads(run("--json").stdout)
    assert {row["name"] for row in rows} == FAMILY
    assert all(row["summary"] for row in rows)


def test_people_read_a_line_for_every_server():
    lines = run().stdout.splitlines()
    assert {line.split()[0] for line in lines if not line.startswith(" ")} == FAMILY


def test_a_reader_that_has_gone_ends_the_listing_quietly():
    reader, writer = os.pipe()
    os.close(reader)
    try:
        command = [sys.executable, "-m", "servers"]
        ended = subprocess.run(command, cwd=CHECKOUT, stdout=writer, stderr=subprocess.PIPE, timeout=10, check=False)
    finally:
        os.close(writer)
    assert (ended.returncode, ended.stderr) == (-signal.SIGPIPE, b"")


def test_a_declared_limit_is_stated():
    rows = {row["name"]: row for row in json.loads(run("--json").stdout)}
    assert (rows["sequential"]["connections_max"], rows["sequential"]["refuses_beyond"]) == (1, False)
    assert (rows["generators"]["connections_max"], rows["generators"]["refuses_beyond"]) == (1019, True)
    assert (rows["threads"]["connections_max"], rows["threads"]["refuses_beyond"]) == (None, False)


def test_what_a_file_states_may_be_annotated(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("CONNECTIONS_MAX: int = 1\nTEACHING: bool = True\nPROGRAM: str\ndef serve(listener): ...\n")
    (row,) = json.loads(run("--json", file).stdout)
    assert (row["connections_max"], row["teaching"], row["runnable"]) == (1, True, True)


def test_a_library_that_pip_did_not_install_has_no_version(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("LIBRARY = 'tomllib'\ndef serve(listener): ...\n")
    (row,) = json.loads(run("--json", file).stdout)
    assert (row["runnable"], row["library"], row["version"]) == (True, "tomllib", None)


def test_a_missing_library_is_said_with_the_command_that_installs_it():
    rows = {row["name"]: row for row in json.loads(run("--json", interpreter=NO_SITE_PACKAGES).stdout)}
    for name in (loop.name for loop in LOOPS):
        row = rows[f"{name}-streams"]
        assert (row["runnable"], row["reason"]) == (False, f"{name} is not installed")
        assert row["install"] == f"{sys.executable} -m pip install {name}"
    assert "trio cannot run here: trio is not installed; run: " in run(interpreter=NO_SITE_PACKAGES).stdout
    assert rows["asyncio-streams"]["runnable"]


def test_a_missing_compiler_is_said():
    (row,) = [row for row in json.loads(run("--json", PATH="").stdout) if row["name"] == "reference"]
    assert (row["runnable"], row["install"]) == (False, "apt-get install gcc")


def test_a_library_that_this_python_is_too_new_for_promises_no_command(tmp_path):
    entry = Entry("old", tmp_path / "old.py", library="pytest", python_below=(3, 0))
    assert entry.gap == "old cannot run here: its library does not run on Python 3.0 or later"


def test_the_version_of_an_installed_library_is_stated(tmp_path):
    row = Entry("mine", tmp_path / "mine.py", library="pytest").to_json()
    assert row["version"] == pytest.__version__


def test_a_file_dropped_into_the_folder_is_a_server(copied):
    folder, listed = copied
    (folder / "my_server.py").write_text('"""Mine, in one line.\n\nAnd more."""\ndef serve(listener): ...\n')
    rows = {row["name"]: row for row in json.loads(listed("--json").stdout)}
    assert rows.keys() - FAMILY == {"my-server"}
    assert (rows["my-server"]["summary"], rows["my-server"]["runnable"]) == ("Mine, in one line", True)


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("def handle(listener): ...\n", "mine.py defines no serve(listener): add that function"),
        ("async def serve(listener): ...\n", "mine.py defines no serve(listener): add that function"),
        ("def serve(listener)\n", "mine.py line 1 is not Python: expected ':'"),
    ],
)
def test_a_file_that_is_no_server_is_listed_with_the_reason(copied, source, reason):
    folder, listed = copied
    (folder / "mine.py").write_text(source)
    (row,) = [row for row in json.loads(listed("--json").stdout) if row["name"] == "mine"]
    assert not row["runnable"]
    assert row["reason"].endswith(reason)


@pytest.mark.parametrize(
    ("file", "first", "name"),
    [("trio.py", "trio_.py", "trio"), ("uvloop_streams.py", "asyncio_streams.py", "uvloop-streams")],
)
def test_a_file_that_shadows_a_server_is_refused(copied, file, first, name):
    folder, listed = copied
    (folder / file).write_text("def serve(listener): ...\n")
    for ended in (listed(), listed(name)):
        assert (ended.returncode, ended.stdout) == (2, "")
        assert file in ended.stderr
        assert first in ended.stderr
        assert f"both make a server named {name!r}: rename one" in ended.stderr


@pytest.mark.parametrize("source", ["def serve(listener): ...", "serve = print", "from builtins import print as serve"])
def test_serve_may_be_defined_assigned_or_imported(tmp_path, source):
    path = tmp_path / "mine.py"
    path.write_text(source)
    (entry,) = _catalog.describe(path)
    assert entry.gap is None


def test_an_asyncio_server_is_listed_on_every_loop(tmp_path):
    path = tmp_path / "asyncio_mine.py"
    path.write_text('"""Mine."""\nCONNECTIONS_MAX = 7\ndef serve(listener, new_loop): ...\n')
    entry, *others = _catalog.describe(path)
    assert (entry.name, entry.loop) == ("asyncio-mine", None)
    assert [other.name for other in others] == [f"{loop.name}-mine" for loop in LOOPS]
    for loop, other in zip(LOOPS, others, strict=True):
        assert (other.loop, other.library, other.connections_max) == (loop, loop.name, 7)
        assert other.summary == f"Mine, on {loop.name}'s event loop"


@pytest.mark.parametrize(
    ("file", "parameters"), [("mine.py", "listener, new_loop=None"), ("asyncio_mine.py", "listener")]
)
def test_a_file_that_takes_no_loop_is_one_server(tmp_path, file, parameters):
    path = tmp_path / file
    path.write_text(f"def serve({parameters}): ...\n")
    assert len(_catalog.describe(path)) == 1


@pytest.fixture
def with_one_more_loop(copied):
    """Add an event loop as CONTRIBUTING says: a row in `_loops.py`, and a library that is installed."""
    folder, listed = copied
    rows = folder / "_loops.py"
    row = '    EventLoop("next-loop", module="next_loop", factory="make"),\n'
    rows.write_text(rows.read_text().replace("LOOPS = (\n", f"LOOPS = (\n{row}"))
    (folder.parent / "next_loop.py").write_text("from asyncio import new_event_loop as make\n")
    metadata = folder.parent / "next_loop-2.5.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text("Metadata-Version: 2.1\nName: next-loop\nVersion: 2.5\n")
    return listed


def test_a_row_for_a_loop_is_a_server_of_every_style(with_one_more_loop):
    rows = {row["name"]: row for row in json.loads(with_one_more_loop("--json").stdout)}
    assert rows.keys() - FAMILY == {f"next-loop-{style}" for style in STYLES}
    row = rows["next-loop-protocol"]
    assert (row["runnable"], row["library"], row["version"]) == (True, "next-loop", "2.5")


@pytest.mark.usefixtures("with_one_more_loop")
def test_a_server_on_an_added_loop_echoes(start, tmp_path):
    with start("next-loop-protocol", PYTHONPATH=str(tmp_path)).connect() as client:
        assert client.exchange(b"hello") == b"hello"


def test_every_loop_has_an_extra_that_installs_it():
    extras = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    everything = re.search(r"\[(.*)\]", extras["servers"][0])[1].split(",")
    for loop in LOOPS:
        (requirement,) = extras[loop.name]
        assert re.match(r"[\w.-]+", requirement)[0] == loop.name
        assert loop.name in everything


def test_a_loop_for_another_python_promises_no_command(tmp_path):
    loop = EventLoop("jloop", module="jloop", implementation="Jython")
    entry = Entry("jloop-mine", tmp_path / "asyncio_mine.py", library="jloop", loop=loop)
    assert entry.gap == "jloop-mine cannot run here: jloop runs on Jython only"


def test_a_file_is_described_for_programs_without_being_loaded(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        '"""Mine."""\nCONNECTIONS_MAX = 7\nprint("loaded")\nraise SystemExit(9)\ndef serve(listener): ...\n'
    )
    ended = run("--json", path)
    (row,) = json.loads(ended.stdout)
    assert (ended.returncode, row["name"], row["runnable"], row["connections_max"]) == (0, "mine", True, 7)
    (row,) = json.loads(run("--json", "threads").stdout)
    assert row["name"] == "threads"


def test_an_import_that_may_fail_is_no_reason(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("try:\n    import no_such_thing\nexcept ImportError: ...\nimport os.path\nserve = print\n")
    (entry,) = _catalog.describe(path)
    assert (entry.imports, entry.gap) == (("os",), None)
