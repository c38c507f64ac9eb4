"""The arms of a comparison: each is prepared like the other, runs its own files, and leads nowhere else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.checkout import CHECKOUT

from bench.errors import NoBaselineError, UsageError
from bench.regress import arms, revisions
from bench.verdict.pairs import Arm

SERVICE = Path("services/echo")


@pytest.fixture(autouse=True)
def _without_pip(monkeypatch):
    """Leave pip out of the arms' environments: to put it there takes seconds, and no set-up here uses it."""
    monkeypatch.setattr(arms, "VENV", [*arms.VENV, "--without-pip"])


@pytest.fixture
def arm(project, tmp_path):
    """Return a function that builds an arm of the last commit, its set-up given."""
    where = revisions.repository(project.root)

    def build(setup=None, which=Arm.BASELINE):
        tree = tmp_path / "work" / revisions.FOLDERS[which] / "tree"
        project.git("worktree", "add", "--quiet", "--detach", str(tree), "HEAD")
        return arms.build(which, "the base", tree, where, setup)

    return build


@pytest.fixture
def link(project, tmp_path):
    """Return a symbolic link to the repository."""
    path = tmp_path / "link"
    path.symlink_to(project.root)
    return path


def command(arm, text):
    return arms.command_server(arm, "mine", text, "port")


def test_every_variable_of_the_checkout_points_into_the_arm(project, link, arm, monkeypatch):
    project.commit(0)
    given = {
        "PATH": "{root}/bin:/usr/bin",
        "APP_HOME": "{root}",
        "LD_LIBRARY_PATH": "/opt/lib:{root}/build",
        "PYTHONPATH": "{link}/src",
        "CFLAGS": "-O2 -I{root}/include",
        "OPTIONS": '--file="{link}/a.ini",{root}/b.ini',
        "URL": "file://{root}/c",
    }
    for name, value in given.items():
        monkeypatch.setenv(name, value.format(root=project.root, link=link))
    built = arm()
    moved = {name: value.format(root=built.tree, link=built.tree) for name, value in given.items()}
    moved["URL"] = f"file:{built.tree}/c"
    assert {name: built.env.get(name) for name in given} == moved


def test_variables_that_only_look_alike_stay(project, arm, monkeypatch):
    project.commit(0)
    (project.root / "env" / "bin").mkdir(parents=True)
    (project.root / "env" / "pyvenv.cfg").write_text("")
    for name, value in {"A": f"{project.root}-2/x", "B": f"x{project.root}", "C": f"{project.root}/env/bin"}.items():
        monkeypatch.setenv(name, value)
    assert not {"A", "B", "C"} & arm().env.keys(), "an environment is of no revision"


def test_a_path_with_a_blank_is_moved_whole(project, arm, monkeypatch):
    project.commit(0)
    (project.root / "a b").mkdir()
    monkeypatch.setenv("DATA", f"{project.root}/a b")
    built = arm()
    assert built.env["DATA"] == f"{built.tree}/a b"


def test_a_program_on_the_checkouts_path_is_the_arms_own(project, arm, monkeypatch):
    program = project.root / "bin" / "svc"
    program.parent.mkdir()
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    project.commit(0)
    monkeypatch.setenv("PATH", f"{program.parent}{os.pathsep}{os.environ['PATH']}")
    built = arm()
    assert command(built, "svc {port}").command[0] == str(built.tree / "bin" / "svc")


@pytest.mark.parametrize(
    "text", ["python {link}/svc.py", "sh -c 'exec python {link}/svc.py'", "x --file={link}/svc.py"]
)
def test_a_command_that_leads_into_the_checkout_is_refused(project, link, arm, text):
    project.commit(0)
    with pytest.raises(UsageError, match="the same file for both arms"):
        command(arm(), text.format(link=link))


def test_a_link_into_the_checkout_is_refused_by_name(project, arm):
    (project.root / "own").symlink_to("myserver/__init__.py")
    (project.root / "elsewhere").symlink_to("/etc")
    project.commit(0)
    arm()
    (project.root / "current").symlink_to(project.root / "myserver")
    project.commit(1)
    with pytest.raises(UsageError, match=r"tree/current of the base is a link to .*/somebody/myserver in your"):
        arm(which=Arm.CANDIDATE)


def test_the_project_nearest_to_the_user_is_installed(tmp_path):
    (tmp_path / SERVICE).mkdir(parents=True)
    (tmp_path / "requirements.txt").write_text("")
    assert arms.default_setup(tmp_path, SERVICE) == "cd ../.. && python -m pip install -r requirements.txt"
    (tmp_path / SERVICE / "pyproject.toml").write_text("[tool.ruff]\nline-length = 100\n")
    assert arms.default_setup(tmp_path, SERVICE).startswith("cd ../.. "), "settings of tools are no project"
    (tmp_path / SERVICE / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert arms.default_setup(tmp_path, SERVICE) == "python -m pip install -e ."
    assert arms.default_setup(tmp_path) == "python -m pip install -r requirements.txt"


def test_both_arms_get_an_environment_if_one_needs_it(tmp_path):
    trees = {arm: tmp_path / arm for arm in Arm}
    for tree in trees.values():
        tree.mkdir()
    assert arms.setups(None, trees, Path()) == dict.fromkeys(Arm), "nothing to install in either"
    (trees[Arm.CANDIDATE] / "requirements.txt").write_text("")
    found = arms.setups(None, trees, Path())
    assert found == {Arm.BASELINE: "", Arm.CANDIDATE: "python -m pip install -r requirements.txt"}
    assert arms.setups("", trees, Path()) == dict.fromkeys(Arm), "as it was asked"


def test_an_environment_without_a_set_up_is_one_of_the_arms_own(project, arm):
    project.commit(0)
    built = arm("")
    assert command(built, "python -m myserver").command[0] == str(built.home / "venv" / "bin" / "python")


def test_a_set_up_cannot_install_into_what_is_not_its_own(project, arm):
    """The pip of another environment is the next on the PATH where the arm's own cannot run."""
    project.commit(0)
    with pytest.raises(NoBaselineError, match="Could not find an activated virtualenv"):
        arm(f"{sys._base_executable} -m pip install --no-index nothing")


@pytest.mark.parametrize(("setup", "place"), [(None, ".venv"), ("", "{home}/venv")])
def test_variables_of_installers_lead_to_the_arms_own_environment(project, arm, monkeypatch, setup, place):
    """As in an image whose `uv sync` fills one environment: each arm's would change that of the user."""
    project.commit(0)
    given = {"UV_PROJECT_ENVIRONMENT": f"{project.root}/.venv", "UV_SYSTEM_PYTHON": "1", "PIP_TARGET": "/opt/lib"}
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    built = arm(setup)
    wanted = {"UV_PROJECT_ENVIRONMENT": place.format(home=built.home), "UV_SYSTEM_PYTHON": "false", "PIP_TARGET": ""}
    assert {name: built.env.get(name) for name in (*given, "PIP_PREFIX")} == {**wanted, "PIP_PREFIX": None}


def test_an_environment_of_uv_within_the_project_is_the_arms_own(project, arm, monkeypatch):
    project.commit(0)
    monkeypatch.setenv("UV_PROJECT_ENVIRONMENT", ".venv-linux")
    assert "UV_PROJECT_ENVIRONMENT" not in arm().env


IN_A_FOLDER_WITHOUT_PROGRAMS = """
import sys
from pathlib import Path
from bench.regress import arms
from bench.regress.revisions import Repository
from bench.verdict.pairs import Arm
tree = Path(sys.argv[1], "base", "tree")
tree.mkdir(parents=True)
arms.build(Arm.BASELINE, "the base", tree, Repository(Path("/nowhere"), Path()), "echo installed")
"""


def test_where_nothing_installed_can_run_no_set_up_begins(tmp_path):
    script = 'mount -t tmpfs -o noexec tmpfs "$1" && exec "$2" -c "$3" "$1"'
    begin = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script, "sh", str(tmp_path)]
    env = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    done = subprocess.run(
        [*begin, sys.executable, IN_A_FOLDER_WITHOUT_PROGRAMS], env=env, capture_output=True, text=True, check=False
    )
    if done.stderr.startswith(("unshare:", "mount:")):
        pytest.skip(f"no file system can be mounted here: {done.stderr}")
    assert "UsageError" in done.stderr
    assert "mounted noexec" in done.stderr
    assert "set TMPDIR" in done.stderr
