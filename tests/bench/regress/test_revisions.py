"""What a comparison of two revisions refuses before it builds anything, and what git itself says of a repository."""

from __future__ import annotations

import pytest

from bench.errors import BenchError, ExitCode
from bench.regress import revisions
from bench.regress.request import Request, prepared
from clients.workload import Workload

COMMAND = "python -m myserver --port {port}"


def refusal(here, *, base="HEAD", command=COMMAND):
    """Ask for a comparison in a folder, and return the error with which it is refused before anything is measured."""
    request = Request(here=here, workload=Workload(), base=base, command=command, setup="")
    with pytest.raises(BenchError) as raised, prepared(request):
        pass
    return raised.value.exit_code, str(raised.value)


@pytest.mark.parametrize("folder", ["services/echo", "services"])
def test_a_folder_that_the_baseline_lacks_is_no_baseline_at_once(project, folder):
    base = project.commit(0)
    (project.root / "services" / "echo").mkdir(parents=True)
    (project.root / "myserver").rename(project.root / "services" / "echo" / "myserver")
    project.commit()
    code, said = refusal(project.root / folder, base=base)
    assert code is ExitCode.NO_BASELINE
    assert f"has no folder {folder}, where this command was given" in said


def test_a_folder_that_git_does_not_hold_is_wrong_use(project):
    project.commit(0)
    (project.root / "empty").mkdir()
    code, said = refusal(project.root / "empty")
    assert code is ExitCode.WRONG_USE
    assert "has no folder empty" in said


def test_a_file_that_the_baseline_lacks_is_no_baseline_at_once(project):
    base = project.commit(0)
    (project.root / "services").mkdir()
    (project.root / "services" / "echo.py").write_text("")
    project.commit()
    code, said = refusal(project.root, base=base, command="python services/echo.py --port {port}")
    assert code is ExitCode.NO_BASELINE
    assert "has no file services/echo.py, which --command names" in said
    assert project.git("worktree", "list").count("\n") == 0


def test_only_a_shallow_clone_is_told_that_it_is_one(project, tmp_path):
    base = project.commit(0)
    project.commit(1)
    project.git("clone", "--quiet", "--depth=1", f"file://{project.root}", str(tmp_path / "clone"))
    assert "in this shallow clone: check out with fetch-depth: 0" in refusal(tmp_path / "clone", base=base)[1]
    assert refusal(project.root, base="gone")[1] == f"there is no revision 'gone' in {project.root}: fetch it"


def test_git_that_refuses_a_repository_is_quoted(project, monkeypatch):
    """As in a container whose user does not own the checkout; the variable is of git's own tests."""
    project.commit(0)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    code, said = refusal(project.root)
    assert code is ExitCode.WRONG_USE
    assert "detected dubious ownership" in said
    assert f"git config --global --add safe.directory {project.root}" in said


def test_variables_reach_git_unless_they_point_elsewhere(project, monkeypatch, tmp_path):
    project.commit(0)
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    for name, value in {"COUNT": "1", "KEY_0": "safe.directory", "VALUE_0": "*"}.items():
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    for name in ("DIR", "WORK_TREE", "INDEX_FILE", "OBJECT_DIRECTORY", "COMMON_DIR"):  # as a hook of git has them
        monkeypatch.setenv(f"GIT_{name}", str(tmp_path / "of-another-repository"))
    where = revisions.repository(project.root)
    assert where.root == project.root
    assert revisions.working_tree(where).label.startswith("working tree (")


def test_git_that_fails_in_the_middle_is_wrong_use(project):
    project.commit(0)
    (project.root / ".git" / "index").write_bytes(b"this is no index")
    code, said = refusal(project.root)
    assert code is ExitCode.WRONG_USE
    assert "index file" in said
