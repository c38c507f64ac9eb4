"""Names become commands by asking the servers; selections are crossed, restricted and refused as they should be."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from bench.errors import UsageError
from bench.experiment.planning import selection
from bench.experiment.planning.catalog import ROOT, Catalog, Entry, Interpreter, catalog, describe
from bench.experiment.planning.plan_file import plan_of
from bench.experiment.planning.selection import resolve


def interpreter(label="python3.11", **fields):
    return Interpreter(
        **{
            "label": label,
            "executable": f"/opt/{label}",
            "implementation": "CPython",
            "version": "3.11.7",
            "language": (3, 11),
            "build": "main",
            "compiler": "GCC",
            "free_threaded": False,
            "jit": False,
            "can_bind": True,
        }
        | fields
    )


def entries(*, uvloop=True):
    rows = [
        Entry(name="threads", runnable=True),
        Entry(name="sequential", runnable=True, connections_max=1),
        Entry(
            name="uvloop-protocol",
            runnable=uvloop,
            reason=None if uvloop else "uvloop is not installed",
            install=None if uvloop else "pip install uvloop",
        ),
    ]
    return {row.name: row for row in rows}


@pytest.fixture
def places(monkeypatch):
    """Give a plan fake interpreters: `new` can run everything, `old` and the default one have no uvloop."""
    found = {
        sys.executable: Catalog(interpreter(), Path("/code"), entries(uvloop=False)),
        "new": Catalog(interpreter("new3.13"), Path("/code"), entries()),
        "old": Catalog(interpreter("old3.9", language=(3, 9)), Path("/code"), entries(uvloop=False)),
    }
    monkeypatch.setattr(selection, "catalog", found.__getitem__)
    return found


def plan(**fields):
    return resolve(plan_of({"workload": [{"connections": [1, 16]}], "seed": 1, **fields}, "plan"))


def names(found):
    return [server.name for server in found.servers]


def test_a_name_becomes_a_command_that_no_folder_can_shadow(places):
    server = places[sys.executable].server("threads")
    assert server.command == (
        "/opt/python3.11",
        "-P",
        "-m",
        "servers",
        "threads",
        "--host",
        "{host}",
        "--port",
        "{port}",
    )
    assert server.env == {"PYTHONPATH": "/code"}
    assert server.ready == "line"


def test_a_python_that_knows_no_safe_path_runs_in_our_folder(places):
    server = places["old"].server("threads")
    assert "-P" not in server.command
    assert server.cwd == "/code"


@pytest.mark.parametrize("can_bind", [True, False])
def test_only_our_servers_of_a_plan_bind_themselves(places, tmp_path, can_bind):
    places[sys.executable] = Catalog(interpreter(can_bind=can_bind), Path("/code"), entries())
    found = plan(servers=["threads"], server=[{"name": "mine", "command": "run me {port}", "cwd": str(tmp_path)}])
    assert {server.name: server.binds_itself for server in found.servers} == {"threads": can_bind, "mine": False}
    assert not places[sys.executable].server("threads").binds_itself, "an arm of regress may be an older revision"


def test_an_interpreter_is_described_with_version_and_build():
    assert interpreter(free_threaded=True, jit=True).description == "CPython 3.11.7, free-threaded, JIT, main, GCC"


def test_an_unknown_server_is_answered_with_the_nearest(places):
    with pytest.raises(UsageError, match="unknown server 'treads': did you mean 'threads'"):
        plan(servers=["treads"])


def test_select_refuses_a_server_that_cannot_run_with_the_remedy(places):
    with pytest.raises(UsageError, match="uvloop-protocol cannot run here: uvloop is not installed; run: pip install"):
        plan(servers=["uvloop-protocol"])


def test_an_optional_server_that_cannot_run_is_a_gap(places):
    found = plan(servers=["threads"], optional_servers=["uvloop-protocol"])
    assert names(found) == ["threads", "uvloop-protocol"]
    assert [(gap.trial.cell, gap.detail) for gap in found.gaps()] == [
        (("uvloop-protocol", name), "uvloop is not installed; run: pip install uvloop")
        for name in ("c1-1KiB", "c16-1KiB")
    ]


def test_every_server_is_all_of_them(places):
    assert names(plan(optional_servers=["*"])) == ["sequential", "threads", "uvloop-protocol"]


def test_servers_are_crossed_with_interpreters_and_gaps_are_kept(places):
    found = plan(servers=["threads", "uvloop-protocol"], pythons=["new", "old"])
    assert names(found) == ["threads@new3.13", "uvloop-protocol@new3.13", "threads@old3.9", "uvloop-protocol@old3.9"]
    assert {gap.trial.server.name for gap in found.gaps()} == {"uvloop-protocol@old3.9"}
    assert {server.interpreter for server in found.servers} == {
        place.interpreter.description for place in (places["new"], places["old"])
    }


def test_a_declared_limit_is_a_gap_beyond_it(places):
    found = plan(servers=["sequential"])
    assert {trial.workload_name for trial in found.trials()} == {"c1-1KiB"}
    assert [gap.trial.workload_name for gap in found.gaps()] == ["c16-1KiB"]


def test_a_command_is_not_crossed_and_waits_for_whichever_sign_comes(places, tmp_path):
    table = {"name": "mine", "command": "run me {port}", "cwd": str(tmp_path), "env": {"A": "b"}}
    found = plan(server=[table, {"name": "says", "command": ["x"]}], pythons=["new", "old"])
    assert [(server.name, server.command, server.ready) for server in found.servers] == [
        ("mine", ("run", "me", "{port}"), "either"),
        ("says", ("x",), "line"),
    ]
    assert found.servers[0].env == {"A": "b"}
    assert found.servers[0].interpreter is None


def test_a_target_is_not_started(places):
    (server,) = plan(server=[{"name": "theirs", "target": "127.0.0.1:7", "pid": 3}]).servers
    assert (server.command, server.target, server.pid) == ((), "127.0.0.1:7", 3)


@pytest.fixture
def server_file(tmp_path, monkeypatch):
    """Return a function that makes a server file, which the fake interpreters know by the entry given."""

    def make(**entry):
        path = tmp_path / "mine.py"
        path.write_text("def serve(listener): ...")
        row = Entry(**{"name": "mine", "runnable": True, **entry})
        monkeypatch.setattr(Catalog, "_examined", lambda _catalog, _path: row)
        return path

    return make


def test_a_server_file_that_cannot_run_is_refused_or_a_gap(places, server_file):
    path = server_file(runnable=False, reason="it defines no serve(listener)")
    with pytest.raises(UsageError, match=r"mine cannot run here: it defines no serve\(listener\)"):
        plan(server=[{"name": "mine", "file": str(path)}])
    found = plan(servers=["threads"], server=[{"name": "mine", "file": str(path)}], pythons=["new"])
    assert {gap.trial.server.name for gap in found.gaps()} == {"mine@new3.13"}


def test_where_no_server_can_run_there_is_nothing_to_measure(places, server_file):
    path = server_file(runnable=False, reason="it defines no serve(listener)")
    with pytest.raises(UsageError, match=r"mine@new3\.13 cannot run here: it defines no serve"):
        plan(server=[{"name": "mine", "file": str(path)}], pythons=["new", "old"])


def test_a_server_file_declares_its_limit_and_the_plan_overrides_it(places, server_file):
    table = {"name": "mine", "file": str(server_file(connections_max=7))}
    assert plan(server=[table]).servers[0].connections_max == 7
    assert plan(server=[{**table, "connections_max": 3}]).servers[0].connections_max == 3


def test_a_server_file_runs_as_a_named_server_does(places, server_file):
    path = server_file()
    found = plan(server=[{"name": "mine", "file": str(path), "env": {"A": "b"}}], pythons=["new", "old"])
    assert names(found) == ["mine@new3.13", "mine@old3.9"]
    assert str(path) in found.servers[0].command
    assert found.servers[0].env == {"PYTHONPATH": "/code", "A": "b"}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "there is no server to measure"),
        ({"servers": ["threads"], "server": [{"name": "threads", "command": "x"}]}, "two servers are named 'threads'"),
        (
            {"server": [{"name": "threads", "command": "x"}]},
            "'threads' is the name of a server that comes with echobench",
        ),
        ({"server": [{"name": "mine", "file": "/no/such.py"}]}, "there is no server file /no/such.py"),
        ({"server": [{"name": "mine", "file": f"/{'x' * 5_000}.py"}]}, "there is no server file /xxx"),
        ({"servers": ["threads"], "workload": [{"servers": ["thraeds"]}]}, "did you mean 'threads'"),
        (
            {"servers": ["threads"], "workload": [{"servers": ["sequential"]}]},
            "every workload of the plan is for other servers than those to be measured: threads",
        ),
        (
            {"servers": ["threads"], "workload": [{"timeout_s": 1}, {"timeout_s": 2}]},
            "two workloads are named 'c1-1KiB': give each",
        ),
    ],
)
def test_a_selection_that_cannot_be_is_said(places, fields, words):
    with pytest.raises(UsageError, match=words):
        plan(**fields)


def test_a_workload_for_some_servers_is_for_these_under_every_interpreter(places):
    found = plan(
        servers=["threads", "sequential"],
        pythons=["new", "old"],
        workload=[{"connections": 1}, {"connections": 1, "pipeline": 2, "servers": ["threads"]}],
    )
    assert {trial.server.name for trial in found.trials() if trial.workload.pipeline == 2} == {
        "threads@new3.13",
        "threads@old3.9",
    }


def test_a_workload_that_is_listed_twice_is_measured_once(places):
    found = plan(
        servers=["threads", "sequential"],
        workload=[{"connections": 1, "servers": ["threads"]}, {"connections": 1, "servers": ["sequential"]}],
    )
    assert [named.name for named in found.workloads] == ["c1-1KiB"]
    assert len(found.cells()) == 2


def test_our_own_interpreter_can_run_our_servers():
    found = catalog()
    assert found.path == ROOT
    assert found.interpreter.executable == sys.executable
    assert {"threads", "sequential", "coroutines"} <= {name for name, entry in found.entries.items() if entry.runnable}
    assert found.entries["sequential"].connections_max == 1


@pytest.mark.parametrize(
    ("text", "words"),
    [("no-such-python", "give a path, or a name"), ("false", "bin/false cannot be used: it failed without a word")],
)
def test_an_interpreter_that_cannot_be_asked_is_said(text, words):
    with pytest.raises(UsageError, match=words):
        describe(text)


def test_a_shim_that_cannot_run_is_quoted_in_one_line(tmp_path):
    shim = tmp_path / "python3.99"
    shim.write_text(
        "#!/bin/sh\necho 'shim: python3.99: not installed' >&2\necho 'Note: see the manual' >&2\nexit 127\n"
    )
    shim.chmod(0o755)
    with pytest.raises(UsageError) as caught:
        describe(str(shim))
    assert str(caught.value) == f"{shim} cannot be used: shim: python3.99: not installed"


def test_an_interpreter_behind_a_talkative_wrapper_is_described(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONIOENCODING", "utf-16")
    wrapper = tmp_path / "python"
    wrapper.write_text(f"#!/bin/sh\necho 'Loading \\0377 modules'\nexec '{sys.executable}' \"$@\"\n")
    wrapper.chmod(0o755)
    assert describe(str(wrapper)).executable == sys.executable


@pytest.mark.parametrize("said", ["hello", "[1]", "{}"])
def test_a_program_that_answers_as_no_python_is_refused(tmp_path, said):
    program = tmp_path / "python"
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    with pytest.raises(UsageError, match=rf"does not answer as Python does: it said '{re.escape(said)}'"):
        describe(str(program))


def test_servers_are_listed_behind_what_a_wrapper_says(tmp_path, monkeypatch):
    wrapper = tmp_path / "python"
    wrapper.write_text(f"#!/bin/sh\necho 'Loading modules'\nexec '{sys.executable}' \"$@\"\n")
    wrapper.chmod(0o755)
    asked = msgspec.structs.replace(describe(sys.executable), executable=str(wrapper))
    monkeypatch.setattr("bench.experiment.planning.catalog.describe", lambda _: asked)
    assert "threads" in catalog(str(wrapper)).entries


def test_another_interpreter_sees_our_servers_and_nothing_else_of_ours(tmp_path):
    other = tmp_path / "python"
    other.symlink_to(Path(sys.executable).resolve())
    found = catalog(str(other))
    env = {**os.environ, **found.server("threads").env}
    code = "import servers, sys\ntry:\n    import bench\nexcept ImportError:\n    print('hidden')"
    done = subprocess.run(
        [str(other), "-P", "-c", code], cwd=tmp_path, env=env, capture_output=True, text=True, check=True, timeout=30
    )
    assert done.stdout == "hidden\n"
    assert any(letter.isdigit() for letter in found.interpreter.label)
