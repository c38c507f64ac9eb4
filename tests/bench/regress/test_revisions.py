"""What a comparison of two revisions refuses before it builds anything, and what git itself says of a repository."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import psutil
import pytest
from helpers.checkout import CHECKOUT
from helpers.project import Project

from bench.errors import BenchError, ExitCode, UsageError
from bench.experiment.trial import lifeline
from bench.regress import arms, revisions
from bench.regress.request import Request, prepared
from bench.verdict.pairs import Arm
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


def test_no_hook_and_no_monitor_of_the_users_is_started(project, tmp_path):
    project.commit(0)
    hook, ran = project.root / "hooks" / "post-index-change", tmp_path / "ran"
    hook.parent.mkdir()
    hook.write_text(f"#!/bin/sh\necho $0 >>{ran}\n")
    hook.chmod(0o755)
    for name in ("post-checkout", "monitor"):
        shutil.copy(hook, hook.with_name(name))
    project.git("config", "core.hooksPath", str(hook.parent))
    project.git("config", "core.fsmonitor", str(hook.with_name("monitor")))
    with prepared(Request(here=project.root, workload=Workload(), base="HEAD", command=COMMAND, setup="")) as asked:
        assert asked.changed == ("hooks/monitor", "hooks/post-checkout", "hooks/post-index-change")
    assert not ran.exists()


def test_a_repository_is_found_whatever_its_path_has(tmp_path):
    odd = Project(tmp_path / "-it's\n\"ü x ")
    odd.commit(0)
    (odd.root / "in \n").mkdir()
    where = revisions.repository(odd.root / "in \n")
    assert (where.root, where.prefix) == (odd.root, Path("in \n"))
    assert where.records_of_worktrees() == odd.root / ".git" / "worktrees"


def test_a_repository_by_variable_alone_is_said_not_to_be_followed(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere.git"))
    assert "is in no git repository (GIT_DIR is not followed here): go to one" in refusal(tmp_path)[1]


@pytest.mark.parametrize("way", ["alias", "hook"])
def test_an_alias_and_a_hook_of_git_find_their_repository(project, tmp_path, way):
    """Git starts both in the root, whose variables it sets, and an alias is told of the subfolder by GIT_PREFIX."""
    project.commit(0)
    code = (
        "from pathlib import Path; from bench.regress.revisions import *; where = repository(Path.cwd());"
        "print(where.root, where.prefix, working_tree(where).label)"
    )
    script = tmp_path / "ask"
    script.write_text(
        f'#!/bin/sh\ntest -n "$GIT_PREFIX$GIT_INDEX_FILE" && cd myserver && {sys.executable} -c "{code}"\n'
    )
    script.chmod(0o755)
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    identity = ("-c", "user.name=somebody", "-c", "user.email=some@body")
    if way == "alias":
        command = ["git", "-c", f"alias.ask=!{script}", "ask"]
    else:
        (project.root / ".git" / "hooks").mkdir(exist_ok=True)
        (project.root / ".git" / "hooks" / "pre-commit").symlink_to(script)
        command = ["git", *identity, "commit", "--quiet", "--allow-empty", "--message=a change"]
    done = subprocess.run(command, cwd=project.root / "myserver", env=env, capture_output=True, text=True, check=True)
    said = done.stdout + done.stderr
    assert said.startswith(f"{project.root} myserver working tree (")


@pytest.mark.parametrize(
    ("base", "words"),
    [
        ("HEAD:myserver", "'HEAD:myserver' is a tree of git: name a commit"),
        ("HEAD:myserver/__init__.py", "is a blob of git: name a commit"),
        ("HEAD^..HEAD", "'HEAD^..HEAD' is a range of revisions: name one commit"),
        ("HEAD^!", "'HEAD^!' is a range of revisions: name one commit"),
    ],
)
def test_what_is_no_commit_is_wrong_use(project, base, words):
    project.commit(0)
    project.commit(1)
    code, said = refusal(project.root, base=base)
    assert code is ExitCode.WRONG_USE
    assert words in said


def test_our_own_folders_are_no_part_of_a_working_tree(project, monkeypatch):
    project.commit(0)
    (project.root / "t[m]p" / "echobench-of-another-check").mkdir(parents=True)
    (project.root / "t[m]p" / "echobench-of-another-check" / "owner").touch()
    monkeypatch.setattr(tempfile, "tempdir", str(project.root / "t[m]p"))
    where = revisions.repository(project.root)
    assert revisions.working_tree(where).tree == revisions.resolve(where, "HEAD", UsageError).tree
    (project.root / "t[m]p" / "theirs").touch()
    names = project.git("ls-tree", "-r", "--name-only", revisions.working_tree(where).commit).splitlines()
    assert "t[m]p/theirs" in names
    assert not any("echobench-" in name for name in names)


def test_a_name_of_two_revisions_is_wrong_use(project):
    """Git takes the tag and warns, where a CI job means the branch."""
    project.commit(0)
    project.git("tag", "release")
    project.commit(1)
    project.git("branch", "release")
    code, said = refusal(project.root, base="release~0")
    assert code is ExitCode.WRONG_USE
    assert said.startswith("'release~0' names more than one: say refs/heads/")


@pytest.mark.parametrize("name", [":/a change", "HEAD^{/a ch..ge}", "refs/tags/release", "@{0}"])
def test_a_commit_has_many_names(project, name):
    commit = project.commit(0)
    project.git("tag", "--annotate", "--message=a tag", "release")
    project.git("branch", "release")
    assert revisions.resolve(revisions.repository(project.root), name, UsageError).commit == commit


def test_a_repository_that_git_cannot_write_to_is_wrong_use(project, monkeypatch):
    """Root may write everywhere but on a file system that is mounted so, which a test cannot do."""
    project.commit(0)
    monkeypatch.setattr(os, "access", lambda path, _mode: Path(path) != project.root / ".git")
    code, said = refusal(project.root)
    assert code is ExitCode.WRONG_USE
    assert f"git clone {project.root} FOLDER" in said


def test_a_working_tree_that_does_not_lead_to_its_repository_is_said(project, tmp_path):
    project.commit(0)
    (tmp_path / "files").mkdir()
    project.git("config", "core.worktree", str(tmp_path / "files"))
    code, said = refusal(project.root)
    assert code is ExitCode.WRONG_USE
    assert f"are in {tmp_path / 'files'} (core.worktree)" in said


def test_a_repository_without_a_commit_or_working_tree_is_wrong_use(project):
    code, said = refusal(project.root)
    assert (code, said) == (
        ExitCode.WRONG_USE,
        f"{project.root} has no commit yet: commit first, so that there is something to compare with",
    )
    code, said = refusal(project.root / ".git")
    assert code is ExitCode.WRONG_USE
    assert "has no working tree, as a bare repository: go to a clone or worktree" in said


def test_a_working_tree_with_conflicts_is_wrong_use(project):
    base = project.commit(0)
    project.commit(1)
    project.git("checkout", "--quiet", "-b", "other", base)
    project.commit(2)
    with pytest.raises(subprocess.CalledProcessError):
        project.git("merge", "main")
    code, said = refusal(project.root)
    assert code is ExitCode.WRONG_USE
    assert said.endswith("has a conflict that is not resolved: finish the merge, or give --head REV")


def test_git_that_fails_in_the_middle_is_wrong_use(project):
    project.commit(0)
    (project.root / ".git" / "index").write_bytes(b"this is no index")
    code, said = refusal(project.root)
    assert code is ExitCode.WRONG_USE
    assert "index file" in said


@pytest.fixture
def scratch_folders(tmp_path, monkeypatch):
    """Return the folder in which this test has its temporary folders."""
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def starting_daemons(project):
    """Return a set-up that starts two processes, one in a session of its own, which a variable tells."""
    return f"export OF_A_TEST={project.root}; setsid sleep 600 & sleep 600 & "


def daemons(project):
    """Return the processes alive of such a set-up."""
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            is_ours = process.environ().get("OF_A_TEST") == str(project.root)
            if is_ours and process.status() != psutil.STATUS_ZOMBIE:
                yield process


def interrupt_a_set_up(project, done):
    """Send Ctrl-C once the daemons run and the main thread waits for the set-up: no sooner, and so not by luck.

    A signal that comes within a callback of the interpreter is lost, so it is sent again, as a person would do it.
    """
    main, pause_s = threading.main_thread().ident, 0.01  # nothing tells when a thread begins to wait
    while not done.wait(pause_s):
        frame = sys._current_frames()[main]
        while frame and frame.f_code is not subprocess.Popen.wait.__code__:
            frame = frame.f_back
        if frame and len(list(daemons(project))) >= 3:
            os.kill(os.getpid(), signal.SIGINT)
            pause_s = 10.0


def test_an_interrupted_set_up_ends_with_all_that_it_started(project, scratch_folders):
    project.commit()
    setup = f"{starting_daemons(project)} sleep 600"
    request = Request(here=project.root, workload=Workload(), base="HEAD", command="sleep {port}", setup=setup)
    done = threading.Event()
    threading.Thread(target=interrupt_a_set_up, args=[project, done], daemon=True).start()
    with pytest.raises(KeyboardInterrupt), prepared(request):
        pass
    done.set()
    assert list(daemons(project)) == []
    assert list(scratch_folders.iterdir()) == []
    assert project.git("worktree", "list").count("\n") == 0


def test_a_daemon_of_a_set_up_lives_as_long_as_the_comparison(project, scratch_folders):
    project.commit()
    setup = starting_daemons(project)
    request = Request(here=project.root, workload=Workload(), base="HEAD", command="sleep {port}", setup=setup)
    with prepared(request):
        assert len(list(daemons(project))) == 4
    assert list(daemons(project)) == []


def test_the_next_comparison_clears_what_a_killed_one_left(project, scratch_folders):
    """As when a container or a session is killed as a whole: what would clear up at once was killed too."""
    project.commit()
    code = (
        "import os, sys\nfrom pathlib import Path\nimport psutil\n"
        "from bench.experiment.trial import lifeline\nfrom bench.regress.request import Request, prepared\n"
        "from clients.workload import Workload\n"
        "given = {'base': 'HEAD', 'command': 'sleep {port}', 'setup': ''}\n"
        "with prepared(Request(here=Path(sys.argv[1]), workload=Workload(), **given)):\n"
        "    token = lifeline._begun[0].token\n"
        "    found = psutil.process_iter(['cmdline'])\n"
        "    [one.kill() for one in found if any(token in word for word in one.info['cmdline'] or [])]\n"
        "    os.kill(os.getpid(), 9)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT), "TMPDIR": str(scratch_folders)}
    done = subprocess.run([sys.executable, "-c", code, str(project.root)], env=env, check=False)
    assert done.returncode == -signal.SIGKILL
    (left,) = scratch_folders.iterdir()
    assert project.git("worktree", "list").count("\n") == 2
    request = Request(here=project.root, workload=Workload(), base="HEAD", command="sleep {port}", setup="")
    with prepared(request):
        assert project.git("worktree", "list").count("\n") == 2, "its own"
        assert not left.exists()
    assert project.git("worktree", "list").count("\n") == 0


def is_locked(folder):
    """Say whether somebody holds the lock of a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def test_one_comparison_at_a_time_changes_the_records_of_worktrees(project, monkeypatch, tmp_path):
    """Git fails at the record of a worktree that another comparison has half written, or half removed."""
    project.commit(0)
    seen, git, remove = [], revisions._git, lifeline.remove

    def watched(where, *arguments, **options):
        if arguments[0] == "worktree":
            seen.append(is_locked(project.root / ".git"))
        return git(where, *arguments, **options)

    def removed(*arguments, **options):
        seen.append(is_locked(project.root / ".git"))
        remove(*arguments, **options)

    monkeypatch.setattr(revisions, "_git", watched)
    monkeypatch.setattr(lifeline, "remove", removed)
    where = revisions.repository(project.root)
    found = revisions.resolve(where, "HEAD", UsageError)
    with revisions.checked_out(where, dict.fromkeys(Arm, found), tmp_path / "work"):
        assert not is_locked(project.root / ".git"), "while it measures"
    assert seen == [True] * 5, "list, add and add, remove and remove"


def test_a_set_up_that_fails_keeps_its_own_sentence(project, monkeypatch):
    """The arms are gone when its error leaves: nobody else took their folder away."""
    monkeypatch.setattr(arms, "VENV", [*arms.VENV, "--without-pip"])
    project.commit(0)
    request = Request(here=project.root, workload=Workload(), base="HEAD", command="sleep {port}", setup="exit 9")
    with pytest.raises(UsageError, match="ended with status 9"):
        prepared(request).__enter__()


def test_the_index_of_the_user_is_not_even_refreshed(project):
    project.commit(0)
    index = (project.root / ".git" / "index").read_bytes()
    os.utime(project.root / "myserver" / "__init__.py", (1, 1))
    revisions.working_tree(revisions.repository(project.root))
    assert (project.root / ".git" / "index").read_bytes() == index


def test_a_python_without_venv_is_wrong_use_with_its_cure(project, monkeypatch):
    project.commit(0)
    monkeypatch.setattr(arms, "VENV", [sys.executable, "-m", "no_such_module"])
    request = Request(here=project.root, workload=Workload(), base="HEAD", command=COMMAND, setup="true")
    with pytest.raises(UsageError, match=r"(?s)apt-get install python3-venv.*--setup ''.*No module named no_such"):
        prepared(request).__enter__()


def test_only_a_repository_with_python_gets_a_virtual_environment(project):
    project.commit()
    assert not arms.needs_python([project.root], "make", "./echo --port {port}")
    assert arms.needs_python([project.root], "python3 -m pip install x")
    project.write(0)
    assert arms.needs_python([project.root], "make", "./echo --port {port}")


def test_a_program_that_may_not_be_executed_is_no_missing_program(project):
    (project.root / "echo").write_text("#!/bin/sh\n")
    project.commit()
    code, said = refusal(project.root, command="./echo {port}")
    assert code is ExitCode.WRONG_USE, "it is the same in both arms"
    assert "./echo of working tree" in said
    assert "may not be executed" in said


def test_an_interrupt_while_the_arms_are_removed_leaves_none(project, monkeypatch):
    """As of a second Ctrl-C. It is heard when nothing is left."""
    project.commit(0)
    remove = revisions.lifeline.remove

    def interrupted(*given, **named):
        signal.raise_signal(signal.SIGINT)
        remove(*given, **named)

    monkeypatch.setattr(revisions.lifeline, "remove", interrupted)
    request = Request(here=project.root, workload=Workload(), base="HEAD", command=COMMAND, setup="")
    with pytest.raises(KeyboardInterrupt), prepared(request) as asked:
        homes = [environment.home for environment in asked.built.values()]
    assert project.git("worktree", "list").count("\n") == 0
    assert not any(home.parent.exists() for home in homes)
    assert not (project.root / ".git" / "worktrees").exists()
