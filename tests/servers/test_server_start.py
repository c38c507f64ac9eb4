"""From a name or a file to READY: what is imported on the way, and what is refused although it could be imported."""

from __future__ import annotations

import sys

import pytest

from servers import _names, _start
from servers._catalog import entries
from servers._errors import ServerError
from servers._loops import EventLoop


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Return what writes a server file and returns its path. What importing it changes is undone."""
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(source, name="mine.py"):
        path = tmp_path / name
        monkeypatch.delitem(sys.modules, f"server_{path.stem}", raising=False)
        path.write_text(source)
        return str(path)

    return write


@pytest.mark.parametrize("name", ["threads", "coroutines", "asyncio-protocol", "uvloop-protocol", "socketserver"])
def test_a_launch_imports_nothing_that_only_explains(start, name):
    server = start(name, PYTHONPROFILEIMPORTTIME="1")
    _, _, imported = server.stop()
    ours = {line.rpartition("|")[2].strip() for line in imported.partition("| runpy\n")[2].splitlines()}
    assert "servers._start" in ours
    assert not ours & {"servers._catalog", "servers._injection", "pathlib", "shutil"}


def test_what_is_listed_is_what_files_claim():
    claimed = [claim.name for path in _names.files() for claim in _names.claims(path)]
    assert list(entries()) == claimed


@pytest.mark.parametrize(
    ("file", "name"),
    [("trio_.py", "trio"), ("thread_pool.py", "thread-pool"), ("/a_b/my-server.py", "my-server")],
)
def test_a_file_reads_as_a_name(file, name):
    assert _names.claims(file) == [(name, file, None)]


def test_a_file_that_needs_an_older_python_is_refused(written):
    path = written("PYTHON_BELOW = (3, 0)\ndef serve(listener): ...\n")
    with pytest.raises(ServerError, match="its library does not run on Python 3"):
        _start.load(path)


def test_whatever_an_old_library_raises_the_stated_reason_is_said(written):
    path = written("PYTHON_BELOW = (3, 0)\nraise AttributeError('gone')\ndef serve(listener): ...\n")
    with pytest.raises(ServerError, match="its library does not run on Python 3"):
        _start.load(path)


def test_a_fault_of_the_file_itself_is_its_own(written):
    with pytest.raises(ZeroDivisionError):
        _start.load(written("1 / 0\ndef serve(listener): ...\n"))


def test_a_library_that_is_imported_late_is_looked_for(written):
    server = _start.load(written("LIBRARY = 'tomllib'\ndef serve(listener): ...\n"))
    assert (server.name, server.reads_in_python) == ("mine", False)


@pytest.mark.parametrize(
    "source",
    [
        "async def serve(listener): ...\n",
        "async def serve(listener): yield\n",
        "class serve: ...\n",
        "serve: object = print",
    ],
)
def test_a_serve_that_is_no_plain_function_is_refused(written, source):
    with pytest.raises(ServerError, match=r"defines no serve\(listener\)"):
        _start.load(written(source))


def test_a_serve_without_code_in_python_may_be_assigned(written):
    assert _start.load(written("serve = print\n")).prepare() is print


@pytest.fixture
def on_mine(monkeypatch):
    """Return what makes a path the only server file, and a loop the only event loop beside asyncio's own."""

    def set_up(path, loop):
        for module in ("servers._names", "servers._start", "servers._catalog"):
            monkeypatch.setattr(f"{module}.files", lambda: [path])
        monkeypatch.setattr("servers._names.LOOPS", (loop,))

    return set_up


def test_a_loop_whose_factory_is_not_there_is_a_sentence(written, on_mine):
    path = written("def serve(listener, new_loop): ...\n", "asyncio_mine.py")
    on_mine(path, EventLoop("pytest", module="pytest", factory="no_such_loop"))
    with pytest.raises(ServerError, match="pytest-mine cannot run here: pytest has no no_such_loop"):
        _start.load("pytest-mine")


def test_a_loop_for_another_python_is_refused_even_if_it_is_there(written, on_mine):
    path = written("def serve(listener, new_loop): ...\n", "asyncio_mine.py")
    on_mine(path, EventLoop("jloop", module="asyncio", implementation="Jython"))
    with pytest.raises(ServerError, match="jloop-mine cannot run here: jloop runs on Jython only"):
        _start.load("jloop-mine")


def test_a_serve_that_takes_no_loop_runs_on_none(written, on_mine):
    path = written("def serve(listener): ...\n", "asyncio_mine.py")
    on_mine(path, EventLoop("next", module="asyncio"))
    with pytest.raises(ServerError, match="unknown server 'next-mine': did you mean 'asyncio-mine'"):
        _start.load("next-mine")


def test_a_neighbour_of_a_file_can_be_imported_but_shadows_nothing(written, monkeypatch):
    written("raise AssertionError('this is not the standard library')\n", "selectors.py")
    written("def serve(listener): return 'helped'\n", "my_helper.py")
    path = written("import selectors\nfrom my_helper import serve\n")
    monkeypatch.delitem(sys.modules, "selectors")
    assert _start.load(path).prepare()(None) == "helped"


def test_a_server_that_cannot_be_prepared_is_a_sentence(written):
    server = _start.load(written("def prepare(): raise OSError('no room')\ndef serve(listener): ...\n"))
    with pytest.raises(ServerError, match="mine cannot run here: no room"):
        server.prepare()
