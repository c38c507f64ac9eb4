"""The sessions of noxfile.py, with a fake session: what they call, and what they do where something is missing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from helpers.checkout import CHECKOUT, module_of
from nox.command import CommandFailed


@pytest.fixture(scope="module")
def noxfile():
    here = Path.cwd()
    os.chdir(CHECKOUT)  # as nox does
    try:
        module = module_of(CHECKOUT / "noxfile.py")
    finally:
        os.chdir(here)
    return module


class SessionError(Exception):
    pass


class FakeSession:
    """Keeps what is asked of it; runs nothing but git, in the folder it is given."""

    def __init__(self, *posargs, folder=None, refuses=""):
        self.posargs = list(posargs)
        self.folder, self.refuses = folder, refuses
        self.ran, self.warned = [], []

    def install(self, *requirements, **_):
        if self.refuses and self.refuses in " ".join(requirements):
            raise CommandFailed("pip")

    def run(self, *command, **_):
        if command[0] == "git":
            return subprocess.run(command, cwd=self.folder, capture_output=True, text=True, check=False).stdout
        self.ran.append(command)
        return None

    def log(self, message):
        pass

    def warn(self, message):
        self.warned.append(message)

    def error(self, message):
        raise SessionError(message)


@pytest.mark.parametrize(
    ("posargs", "called"),
    [
        ([], ["run", "quick"]),
        (["--trials", "5"], ["run", "quick", "--trials", "5"]),
        (["smoke"], ["run", "smoke"]),
        (["./mine.toml", "--out", "x"], ["run", "./mine.toml", "--out", "x"]),
    ],
)
def test_bench_runs_quick_unless_told_what_to_run(noxfile, posargs, called):
    session = FakeSession(*posargs)
    noxfile.bench(session)
    assert session.ran == [("python", "-m", "bench", *called)]


def test_a_missing_uvloop_is_said_and_fails_nothing(noxfile):
    session = FakeSession(refuses="uvloop")
    noxfile.bench(session)
    assert len(session.warned) == 1
    assert len(session.ran) == 1


def test_a_missing_requirement_fails(noxfile):
    with pytest.raises(CommandFailed):
        noxfile.bench(FakeSession(refuses="psutil"))


def test_tests_measures_coverage_unless_only_some_tests_are_asked_for(noxfile):
    whole, some = FakeSession(), FakeSession("-k", "word")
    noxfile.run_tests(whole)
    noxfile.run_tests(some)
    assert [command[3:] for command in whole.ran] == [
        ("erase",),
        ("run", "-m", "pytest", "-n", "2", "--dist", "loadfile"),
        ("combine", "--quiet"),
        ("report",),
    ]
    assert {command[:3] for command in whole.ran} == {("python", "-m", "coverage")}
    assert some.ran == [("python", "-m", "pytest", "-k", "word")]


def test_micro_takes_options(noxfile):
    session = FakeSession("--quick", "--python")
    noxfile.micro(session)
    assert session.ran == [("python", "tests/micro", "--quick", "--python")]


@pytest.mark.parametrize("name", ["power", "slices", "designs", "screen", "scale"])
def test_sessions_on_the_instrument_take_options(noxfile, name):
    session = FakeSession("--summary", "x.md")
    getattr(noxfile, name)(session)
    assert session.ran == [("python", "-m", f"sharpness.{name}", "--summary", "x.md")]


def test_cluster_tests_unless_asked_for_the_cost(noxfile):
    tests, cost = FakeSession("-k", "word"), FakeSession("--cost", "--turns", "2")
    noxfile.cluster(tests)
    noxfile.cluster(cost)
    where = ("tests/clients", "tests/bench/experiment/trial")
    assert tests.ran == [("python", "-m", "pytest", "-m", "cluster", *where, "-k", "word")]
    assert cost.ran == [("python", "-m", "sharpness.agents", "--turns", "2")]


@pytest.mark.parametrize(
    ("posargs", "last"),
    [
        ([], ("pytest", "-m", "not live", "tests/test_house_documents.py", "tests/docs")),
        (["--serve"], ("http.server", "--bind", "127.0.0.1", "--directory", "build/site")),
    ],
)
def test_docs_builds_strictly_before_anything_else(noxfile, posargs, last):
    session = FakeSession(*posargs)
    noxfile.docs(session)
    strictly = ("python", "-m", "sphinx", "-W", "-n", "--keep-going", "-q", "-b", "html", "docs", "build/site")
    assert session.ran == [strictly, ("python", "-m", *last)]


@pytest.mark.parametrize("online", [True, False])
def test_links_to_other_sites_are_followed_with_a_network_only(noxfile, monkeypatch, online):
    monkeypatch.setattr(noxfile, "is_online", lambda: online)
    session = FakeSession("--links")
    noxfile.docs(session)
    _, ours, *others = session.ran
    assert ours[2:5] == ("pytest", "-k", "links_lead_somewhere")
    assert ["linkcheck" in command for command in others] == [True] * online
    assert len(session.warned) == (not online)


def test_a_site_that_cannot_be_reached_means_no_network(noxfile, monkeypatch):
    monkeypatch.setattr(noxfile, "FAMOUS", "http://127.0.0.1:1/")  # nothing listens on port 1
    assert not noxfile.is_online()


def test_figures_are_measured_before_the_site_is_built(noxfile):
    session = FakeSession("--figures", "02")
    noxfile.docs(session)
    assert session.ran[0] == ("python", "docs/figures.py", "02")
    assert [command[2] for command in session.ran[1:]] == ["sphinx"]


def git(folder, *arguments):
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    return subprocess.check_output(["git", *identity, "-C", str(folder), *arguments], text=True).strip()


@pytest.fixture
def repository(tmp_path):
    """Return a repository with two commits on main."""
    git(tmp_path, "init", "-q", "-b", "main")
    for text in ("one", "two"):
        (tmp_path / "file").write_text(text)
        git(tmp_path, "add", "file")
        git(tmp_path, "commit", "-q", "-m", text)
    return tmp_path


def base_of(noxfile, folder, *posargs):
    session = FakeSession(*posargs, folder=folder)
    noxfile.regress(session)
    ((_, _, _, _, *arguments),) = session.ran
    return arguments


def test_a_branch_is_compared_with_where_it_began(noxfile, repository):
    began = git(repository, "rev-parse", "HEAD")
    git(repository, "checkout", "-q", "-b", "work")
    git(repository, "commit", "-q", "--allow-empty", "-m", "three")
    git(repository, "checkout", "-q", "main")
    git(repository, "commit", "-q", "--allow-empty", "-m", "elsewhere")
    git(repository, "checkout", "-q", "work")
    assert base_of(noxfile, repository, "--minutes", "6") == ["--base", began, "--minutes", "6"]


def test_changes_on_main_are_compared_with_its_last_commit(noxfile, repository):
    (repository / "file").write_text("three")
    assert base_of(noxfile, repository) == ["--base", git(repository, "rev-parse", "HEAD")]


def test_an_unchanged_main_is_compared_with_the_commit_before(noxfile, repository):
    assert base_of(noxfile, repository) == ["--base", "HEAD^"]


@pytest.mark.parametrize("posargs", [["--base", "v1"], ["--base=v1"], ["--a", "threads", "--b", "coroutines"]])
def test_what_to_compare_can_be_said(noxfile, repository, posargs):
    assert base_of(noxfile, repository, *posargs) == posargs


def test_a_repository_without_a_main_branch_is_told_what_to_say(noxfile, repository):
    git(repository, "branch", "-m", "trunk")
    with pytest.raises(SessionError, match="--base REV"):
        base_of(noxfile, repository)


OTHER = "3.13" if sys.version_info[:2] == (3, 14) else "3.14"


@pytest.mark.parametrize("script", ["exit 127", f"echo 'pyenv: python{OTHER}: command not found' >&2; exit 127"])
def test_an_interpreter_that_cannot_run_counts_as_not_installed(tmp_path, script):
    shim = tmp_path / f"python{OTHER}"
    shim.write_text(f"#!/bin/sh\n{script}\n")
    shim.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if name != "CI"}
    environment |= {"PATH": str(tmp_path), "HOME": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-m", "nox", "-s", f"tests-{OTHER}", "--envdir", str(tmp_path / "envs")],
        cwd=CHECKOUT,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert f"Python interpreter {OTHER} not found" in done.stderr
