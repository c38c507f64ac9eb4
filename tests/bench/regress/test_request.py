"""From what was asked for to two arms: this project's own servers, and any two servers."""

from __future__ import annotations

import os
import shutil

import pytest
from helpers.checkout import CHECKOUT

from bench.errors import NoBaselineError, UsageError
from bench.experiment.planning.catalog import catalog
from bench.regress import request
from bench.regress.request import GATE_SERVERS, Request, prepared, spec
from bench.verdict.pairs import Arm
from clients.workload import Workload

WORKLOAD = Workload(connections=4)


@pytest.fixture
def ours(project):
    """Return a repository that looks like this project: its servers, and a pyproject of its name."""
    shutil.copytree(CHECKOUT / "servers", project.root / "servers", ignore=shutil.ignore_patterns("__pycache__"))
    (project.root / "pyproject.toml").write_text('[project]\nname = "echobench"\n')
    return project


def test_our_own_servers_run_from_each_arms_tree(ours):
    ours.commit()
    request = Request(here=ours.root, workload=WORKLOAD, base="HEAD")
    with prepared(request) as arms:
        assert [cell.name.split("/")[0] for cell in arms.cells] == list(GATE_SERVERS)
        assert arms.same
        assert arms.may_leave_out
        servers = arms.cells[0].servers
        paths = {arm: server.env["PYTHONPATH"] for arm, server in servers.items()}
        assert [path.rsplit("/", 2)[1:] for path in paths.values()] == [["base", "tree"], ["head", "tree"]]
        assert servers[Arm.BASELINE].command == servers[Arm.CANDIDATE].command
        assert arms.options[arms.cells[0].name] == ("--server", GATE_SERVERS[0])


def test_ready_has_no_effect_on_our_own_servers(ours):
    ours.commit()
    request = Request(here=ours.root, workload=WORKLOAD, base="HEAD", ready="port")
    with pytest.raises(UsageError, match="--ready is about a command: give --command, or leave it out"):
        prepared(request).__enter__()


def test_a_server_that_is_new_has_a_gap_in_the_baseline_only(ours):
    threads = (ours.root / "servers" / "threads.py").read_text()
    (ours.root / "servers" / "threads.py").unlink()
    base = ours.commit()
    (ours.root / "servers" / "threads.py").write_text(threads)
    ours.commit()
    with prepared(Request(here=ours.root, workload=WORKLOAD, base=base, servers=("threads", "coroutines"))) as arms:
        threads_cell, coroutines_cell = arms.cells
        assert "no server to offer" in threads_cell.servers[Arm.BASELINE].gap
        assert threads_cell.servers[Arm.CANDIDATE].gap is None
        assert coroutines_cell.servers[Arm.BASELINE].gap is None


def test_a_baseline_that_cannot_be_is_no_baseline(ours):
    ours.commit()
    with pytest.raises(NoBaselineError), prepared(Request(here=ours.root, workload=WORKLOAD, base="gone")):
        pass


def test_names_that_are_no_text_become_text(project, tmp_path):
    """A lone byte of a name would be half of a pair in JSON, which strict readers refuse."""
    byte = os.fsdecode(b"\xff")
    project.commit(0)
    (project.root / f"new{byte}.py").touch()
    project.root = project.root.rename(tmp_path / f"re{byte}po")
    project.git("branch", f"old{byte}")
    asked = Request(here=project.root, workload=WORKLOAD, base=f"old{byte}", command="sleep {port}", setup="")
    with prepared(asked) as arms:
        (cell,) = arms.cells
        assert arms.changed == ("new\N{REPLACEMENT CHARACTER}.py",)
        assert arms.baseline.startswith("old\N{REPLACEMENT CHARACTER} (")
        assert cell.name.startswith("re\N{REPLACEMENT CHARACTER}po/")


def test_two_specs_have_names_of_equal_length():
    request = Request(here=None, workload=WORKLOAD, a="threads", b="threads")
    with prepared(request) as arms:
        (cell,) = arms.cells
        assert [cell.servers[arm].name for arm in Arm] == ["threads@a", "threads@b"]
        assert arms.same
        assert not arms.same_interpreter
        assert cell.name == "threads/c4/1024B"


def test_a_spec_may_be_a_name_a_file_or_a_command(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def serve(listener): ...")
    assert spec("threads", "a").command[-5] == "threads"
    assert spec(str(file), "b").name == "mine@b"
    command = spec("go=sh -c 'exec ./echo {port}'", "a")
    assert (command.name, command.command, command.ready) == ("go@a", ("sh", "-c", "exec ./echo {port}"), "either")
    assert spec("sh -c 'exec ./echo {port}'", "b").name == "sh@b"
    assert spec("go=sh -c './echo {port}'", "a", "port").ready == "port"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("treads", "did you mean 'threads'"),
        (" ", "--a is empty: give a server of this project"),
        ("/", "--a /: a command needs a name"),
        ("threads@no-such-python", "no-such-python"),
        ("go=no-such-program {port}", "go@a: cannot run 'no-such-program': there is no such program"),
        ("threads=sh {port}", "'threads' is the name of a server that comes with echobench: give yours another"),
        ("reference", "reference cannot run here: the program cc is not on the PATH; run: apt-get install gcc"),
    ],
)
def test_a_spec_that_cannot_be_is_wrong_use(text, said, monkeypatch):
    if text == "reference":
        monkeypatch.setenv("PATH", "")
        monkeypatch.setattr(request, "catalog", catalog.__wrapped__)  # what was asked before is remembered
    with pytest.raises(UsageError, match=said):
        spec(text, "a")


def test_a_file_without_serve_is_wrong_use(tmp_path):
    file = tmp_path / "mine.py"
    file.write_text("def handle(listener): ...")
    with pytest.raises(UsageError, match=r"mine.py cannot run here: .*mine.py defines no serve\(listener\)"):
        spec(str(file), "a")
