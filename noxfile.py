"""Every chore as one word: `nox -s bench`, `nox -s tests`, … on a machine that has Python and pip only.

A session installs what it needs and calls one command. What a command does, and its defaults, belong to the command.
Requirements belong to pyproject.toml. Sessions run from the checkout, so the project itself is not installed. Only
`package` installs it, to try the built wheel.
"""

from __future__ import annotations

import urllib.request
from pathlib import Path

import nox
from nox.command import CommandFailed

nox.needs_version = ">=2024.10.9"
nox.options.default_venv_backend = "virtualenv"
nox.options.reuse_venv = "yes"
nox.options.error_on_external_run = True
nox.options.sessions = ["lint", "typing", "tests"]

PYPROJECT = nox.project.load_toml("pyproject.toml")
SITE = "build/site"
FAMOUS = "https://peps.python.org/"  # the pages link to it
MAIN_BRANCHES = ("origin/HEAD", "origin/main", "origin/master", "main", "master")


def requirements(*groups: str) -> list[str]:
    """Return the requirements of the project and of the dependency groups."""
    return [*PYPROJECT["project"]["dependencies"], *nox.project.dependency_groups(PYPROJECT, *groups)]


def install(session: nox.Session, *groups: str) -> None:
    """Install the requirements, and uvloop if that needs no compiler. Its servers are shown as missing otherwise."""
    session.install(*requirements(*groups))
    try:
        session.install("--only-binary", ":all:", *PYPROJECT["project"]["optional-dependencies"]["uvloop"], silent=True)
    except CommandFailed:
        session.warn("There is no uvloop for this interpreter: servers that run on it will be shown as missing.")


@nox.session(default=False)
def bench(session: nox.Session) -> None:
    """Measure and plot: the main job. `-- smoke` or `-- --trials 5` goes to `python -m bench run`."""
    install(session)
    given = session.posargs
    preset = [] if given and not given[0].startswith("-") else ["quick"]
    session.run("python", "-m", "bench", "run", *preset, *given)


def run_tests(session: nox.Session) -> None:
    """Run the tests that need no quiet machine, and measure coverage; `-- -k word` runs some, without coverage."""
    install(session, "test")
    if session.posargs:
        session.run("python", "-m", "pytest", *session.posargs)
        return
    session.run("python", "-m", "coverage", "erase")
    session.run("python", "-m", "coverage", "run", "-m", "pytest", "-n", "2", "--dist", "loadfile")
    session.run("python", "-m", "coverage", "combine", "--quiet")
    session.run("python", "-m", "coverage", "report")


nox.session(run_tests, name="tests")
for version in nox.project.python_versions(PYPROJECT):
    nox.session(run_tests, name=f"tests-{version}", python=version, default=False)


@nox.session(default=False)
def tests_browser(session: nox.Session) -> None:
    """Look at pages in a headless Chromium that is installed; without one, the tests are skipped. It takes a minute."""
    install(session, "test")
    session.run("python", "-m", "pytest", "-m", "browser", *session.posargs)


@nox.session(default=False)
def tests_live(session: nox.Session) -> None:
    """Run the tests that put real load on this machine, and try each property with 500 examples. They take minutes."""
    install(session, "test")
    # These tests take minutes, so a stack after one minute would say nothing.
    chosen = ("-m", "live or hypothesis", "--hypothesis-profile", "many")
    session.run("python", "-m", "pytest", *chosen, "-o", "faulthandler_timeout=0", *session.posargs)


@nox.session(default=False)
def cluster(session: nox.Session) -> None:
    """Run the tests of agents on Dask clusters that are made on this machine; `-- --cost` measures what agents cost."""
    install(session, "test")
    if "--cost" in session.posargs:
        rest = [word for word in session.posargs if word != "--cost"]
        session.run("python", "-m", "sharpness.agents", *rest, env={"PYTHONPATH": "tests"})
        return
    where = ("tests/clients", "tests/bench/experiment/trial")
    session.run("python", "-m", "pytest", "-m", "cluster", *where, *session.posargs)


@nox.session(default=False)
def regress(session: nox.Session) -> None:
    """Compare the working tree with where it left the main branch; `-- --minutes 6` goes to `bench regress`."""
    install(session)
    chosen = any(argument.split("=")[0] in {"--base", "--a", "--b"} for argument in session.posargs)
    base = [] if chosen else ["--base", merge_base(session)]
    session.run("python", "-m", "bench", "regress", *base, *session.posargs)


def merge_base(session: nox.Session) -> str:
    """Return the commit to compare with: where the branch began, or on the main branch the commit before HEAD."""

    def git(*arguments: str) -> str:
        answer = session.run("git", *arguments, external=True, silent=True, success_codes=[0, 1, 128], log=False)
        return str(answer or "").strip()

    head = git("rev-parse", "--verify", "--quiet", "HEAD")
    main = next((name for name in MAIN_BRANCHES if git("rev-parse", "--verify", "--quiet", name)), None)
    if not head or main is None:
        session.error(f"none of {', '.join(MAIN_BRANCHES)} is known here: say what to compare with, `-- --base REV`")
    base = git("merge-base", "HEAD", main)
    if not base:
        session.error(f"HEAD and {main} have no common commit here (a shallow clone?): run `git fetch --unshallow`")
    if base != head or git("status", "--porcelain", "--untracked-files=no"):
        return base
    session.log(f"HEAD is on {main} and nothing is changed: comparing with the commit before it.")
    return "HEAD^"


@nox.session
def lint(session: nox.Session) -> None:
    """Check style and format with ruff, and what GitHub reads. `-- --fix` repairs what can be repaired."""
    session.install(*nox.project.dependency_groups(PYPROJECT, "lint"))
    session.run("ruff", "check", *session.posargs, ".")
    session.run("ruff", "format", *([] if "--fix" in session.posargs else ["--check"]), ".")
    workflows = sorted(str(path) for path in Path(".github/workflows").glob("*.yml"))
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows)
    session.run("check-jsonschema", "--builtin-schema", "vendor.github-actions", "action.yml")


@nox.session
def typing(session: nox.Session) -> None:
    """Check types with mypy, strictly."""
    session.install(*requirements("typing"))
    session.run("mypy", *session.posargs)


@nox.session(default=False)
def micro(session: nox.Session) -> None:
    """Measure what a suspension costs, as ratios to a plain call; `-- --quick`, `-- --python` for all Pythons."""
    install(session, "test")
    session.run("python", "tests/micro", *session.posargs)


@nox.session(default=False)
def power(session: nox.Session) -> None:
    """Count how often `bench regress` finds a slowdown of known size. `-- --checks 20 --keep FILE`; it takes hours."""
    install(session)
    command = ("python", "-m", "sharpness.power", *session.posargs)
    session.run(*command, env={"PYTHONPATH": "tests"}, interrupt_timeout=90)  # it shows what it has


@nox.session(default=False)
def slices(session: nox.Session) -> None:
    """Measure how the noise and the bias of a block depend on the length of its slices. It takes about 10 minutes."""
    install(session)
    session.run("python", "-m", "sharpness.slices", *session.posargs, env={"PYTHONPATH": "tests"}, interrupt_timeout=90)


@nox.session(default=False)
def designs(session: nox.Session) -> None:
    """Measure the same ratios in blocks and in solo trials. `-- --solo-minutes 20`; it takes more than an hour."""
    install(session)
    session.run(
        "python", "-m", "sharpness.designs", *session.posargs, env={"PYTHONPATH": "tests"}, interrupt_timeout=90
    )


@nox.session(default=False)
def screen(session: nox.Session) -> None:
    """Measure what the screen of `bench run` costs, as ratios with and without it. It takes about 4 minutes."""
    install(session)
    session.run("python", "-m", "sharpness.screen", *session.posargs, env={"PYTHONPATH": "tests"}, interrupt_timeout=90)


@nox.session(default=False)
def scale(session: nox.Session) -> None:
    """Measure what the frames and the page of a run of 10,000 trials cost. `-- --trials 1000`; it takes minutes."""
    install(session)
    session.run("python", "-m", "sharpness.scale", *session.posargs, env={"PYTHONPATH": "tests"})


@nox.session(default=False)
def conformance(session: nox.Session) -> None:
    """Run the conformance cases against the servers; `-- threads` picks some."""
    install(session)
    session.run("python", "-m", "bench", "check", *session.posargs)


def is_online() -> bool:
    """Say whether other sites can be reached, also by way of a proxy."""
    try:
        with urllib.request.urlopen(FAMOUS, timeout=10):
            return True
    except OSError:  # also URLError and a time that is over
        return False


@nox.session(default=False)
def docs(session: nox.Session) -> None:
    """Build the site, and try all that it shows. `-- --serve` shows it; `-- --figures 02 05` measures figures anew."""
    options = {"--serve", "--figures", "--links"} & set(session.posargs)
    rest = [word for word in session.posargs if word not in options]
    install(session, "test", "docs")
    if "--figures" in options:
        session.run("python", "docs/figures.py", *rest)
    sphinx = ("python", "-m", "sphinx", "-W", "-n", "--keep-going", "-q")
    session.run(*sphinx, "-b", "html", "docs", SITE)
    if "--links" in options:
        session.run(
            "python", "-m", "pytest", "-k", "links_lead_somewhere", "tests/test_house_documents.py", "tests/docs"
        )
        if is_online():
            session.run(*sphinx, "-b", "linkcheck", "docs", f"{SITE}-links")
        else:
            session.warn(f"{FAMOUS} cannot be reached from here: links to other sites were not followed, ours were.")
    if "--serve" in options:
        session.run("python", "-m", "http.server", "--bind", "127.0.0.1", "--directory", SITE, *rest)
    elif not options:
        tests = rest or ["tests/test_house_documents.py", "tests/docs"]
        session.run("python", "-m", "pytest", "-m", "not live", *tests)


@nox.session(default=False)
def package(session: nox.Session) -> None:
    """Build what is published, check it, and measure with the installed wheel; `-- dist` keeps both files there."""
    folder = Path(session.create_tmp()).resolve()
    built = Path(session.posargs[0]).resolve() if session.posargs else folder / "dist"
    session.install(*nox.project.dependency_groups(PYPROJECT, "package"))
    session.run("python", "-m", "build", "--outdir", str(built))  # the wheel is made from the sdist
    wheel, sdist = (newest(built, f"echobench-*{suffix}") for suffix in (".whl", ".tar.gz"))
    session.run("python", "-m", "twine", "check", "--strict", str(wheel), str(sdist))
    session.install(str(wheel))
    session.install("--force-reinstall", "--no-deps", str(wheel))  # an earlier build has the same version
    strangers = folder / "strangers"
    for room in ("bench", "servers", "clients"):
        (strangers / room).mkdir(parents=True, exist_ok=True)
        (strangers / room / "__init__.py").write_text("raise SystemExit('this is not ours')")
    session.chdir(strangers)
    session.run("echobench", "check", "threads", "--quick")
    session.run("python", "-m", "echobench", "run", "smoke", "--out", "runs")


def newest(folder: Path, pattern: str) -> Path:
    """Return the file that was written last: a folder may have earlier builds."""
    return max(folder.glob(pattern), key=lambda path: path.stat().st_mtime)
