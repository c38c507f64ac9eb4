"""A process that is killed: what it had started ends with it, wherever that went, and what it put down is removed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import psutil
import pytest
from helpers.checkout import CHECKOUT
from helpers.project import Project

from bench.experiment.trial import lifeline, survivor
from bench.experiment.trial.child import Child

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="what is ours is found in /proc")

ELSEWHERE = "import subprocess; print(subprocess.Popen(['sleep', '600'], start_new_session=True).pid, flush=True); "
STARTS = """
import subprocess, sys, time
from pathlib import Path
from bench.experiment.trial import lifeline
from bench.experiment.trial.child import Child
log = Path(sys.argv[1]) / "log"
child = Child([sys.executable, "-c", {elsewhere!r} + "import time; time.sleep(600)"], log=log)
setup = subprocess.Popen(["sh", "-c", "sleep 600 & echo $!; sleep 600"], stdout=subprocess.PIPE, text=True)
folder = log.parent / "workspace"
lifeline.leave_nothing(folder, worktrees=log.parent / "project" / ".git" / "worktrees")
if sys.argv[2:]:
    child.stop(grace_s=0.1)
print(child.pid, child.read_line(time.monotonic() + 20), setup.pid, setup.stdout.readline().strip(), flush=True)
{then}
"""


def started(folder, *, then="time.sleep(600)"):
    """Start a process that starts four others, of which one is in a session of its own; return it and their pids."""
    code = STARTS.format(elsewhere=ELSEWHERE, then=then)
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-c", code, str(folder), *(["stop"] if "sleep" not in then else [])]
    process = subprocess.Popen(command, env=env, stdout=subprocess.PIPE, text=True)
    return process, [int(pid) for pid in process.stdout.readline().split()]


def are_gone(pids, within_s=2.0):
    """Say whether all have ended. A zombie has: it waits for whoever adopted it."""
    deadline_s = time.monotonic() + within_s
    while any(psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE for pid in pids):
        if time.monotonic() > deadline_s:
            return False
        time.sleep(0.01)  # no event tells of the end of a process that is not our child
    return True


def test_sigkill_leaves_no_process_no_folder_and_no_worktree(tmp_path):
    project = Project(tmp_path / "project")
    project.commit(burn=0)
    project.git("worktree", "add", "--detach", str(tmp_path / "workspace" / "base" / "tree"))
    project.git("worktree", "add", "--detach", str(tmp_path / "theirs"))
    process, pids = started(tmp_path)
    with process:
        assert len(pids) == 4
        process.kill()
    assert are_gone(pids)
    deadline_s = time.monotonic() + 2
    workspace = tmp_path / "workspace"  # it goes last
    while (
        workspace.exists() or len(project.git("worktree", "list").splitlines()) > 2
    ) and time.monotonic() < deadline_s:
        os.sched_yield()
    assert [line.split()[0] for line in project.git("worktree", "list").splitlines()] == [
        str(project.root),
        str(tmp_path / "theirs"),
    ]
    assert not workspace.exists()


@pytest.mark.parametrize("then", ["sys.exit(3)", "raise KeyboardInterrupt"])
def test_an_exit_ends_what_a_set_up_left_in_the_background(tmp_path, then):
    process, pids = started(tmp_path, then=f"sys.stderr = open(sys.argv[1] + '/err', 'w'); {then}")
    with process:
        process.wait(timeout=20)
    assert are_gone(pids, within_s=0.2)  # the kernel needs a moment, the process does not end before they are told


def test_what_others_started_is_not_touched(tmp_path):
    with subprocess.Popen(["sleep", "600"], env={lifeline.NAME: "0123456789abcdef-00000001"}) as theirs:
        process, pids = started(tmp_path)
        with process:
            process.kill()
        assert are_gone(pids)
        assert theirs.poll() is None
        theirs.send_signal(signal.SIGTERM)


def seen_of(mark, number):
    """Return the processes of a mark once there are so many: one that is about to run its program shows none yet."""
    deadline_s = time.monotonic() + 5
    while len(found := lifeline.marked({lifeline.NAME: mark})) != number and time.monotonic() < deadline_s:
        time.sleep(0.01)  # no event tells that another process runs its program
    return found


def test_a_child_is_told_from_another_by_its_mark(tmp_path):
    code = ELSEWHERE + "import time; time.sleep(600)"
    with (
        Child([sys.executable, "-c", code], log=tmp_path / "one") as one,
        Child([sys.executable, "-c", code], log=tmp_path / "two") as two,
    ):
        pids = {child: [child.pid, int(child.read_line(time.monotonic() + 20))] for child in (one, two)}
        marks = {child: psutil.Process(child.pid).environ()[lifeline.NAME] for child in pids}
        assert len({len(mark) for mark in marks.values()}) == 1  # the size of an environment moves the stack
        for child, mark in marks.items():
            assert sorted(seen_of(mark, 2)) == sorted(pids[child])
        assert one.stop(grace_s=0.1)
        assert are_gone(pids[one])
        assert sorted(seen_of(marks[two], 2)) == sorted(pids[two])
        assert two.stop(grace_s=0.1)
    assert are_gone(pids[two])


def test_the_survivor_leaves_alone_what_it_was_not_told_of(tmp_path):
    kept, removed = tmp_path / "kept", tmp_path / "removed"
    for folder in (kept, removed):
        (folder / "deep").mkdir(parents=True)
    records = tmp_path / "worktrees"
    for name, place in (("ours", removed), ("theirs", kept), ("torn", None)):
        (records / name).mkdir(parents=True)
        if place is not None:
            (records / name / "gitdir").write_text(f"{place}/tree/.git\n")
    survivor.clear([f"{survivor.FOLDER} {removed}", f"{survivor.WORKTREES} {records}", "folder /no/such/folder"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["kept", "worktrees"]
    assert sorted(path.name for path in records.iterdir()) == ["theirs", "torn"]


@pytest.mark.skipif(sys.platform != "linux", reason="needs /proc")
def test_a_ctrl_c_in_the_terminal_never_reaches_the_survivor():
    """It goes to the whole group of the command, also in the moment in which the survivor is being started."""
    code = (
        "import os, signal\n"
        "from bench.experiment.trial import lifeline\n"
        "signal.signal(signal.SIGINT, lambda *_: None)\n"
        "lifeline.begin()\n"
        "os.killpg(0, signal.SIGINT)\n"
    )
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=env, start_new_session=True, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
