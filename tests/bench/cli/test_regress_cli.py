"""`echobench regress` on repositories not written here: what is built is real, what is measured reads the built code.

The numbers come from the fake host; how slow the candidate is stands in the arm's own tree, so that a check that
measured the wrong files would be found out.
"""

from __future__ import annotations

import contextlib
import html
import json
import math
import os
import re
import shlex
import sys
from pathlib import Path

import click
import junitparser
import pytest
from click.testing import CliRunner
from helpers import fake_host as fakes
from helpers.checkout import CHECKOUT
from helpers.junit import junit_fault

from bench.cli.export import export
from bench.cli.regress import regress
from bench.errors import BenchError, NoBaselineError, UsageError
from bench.experiment.model import Status
from bench.regress import arms, revisions
from bench.verdict.pairs import Arm

COMMAND = "python -m myserver --port {port}"


class Bench:
    """A `Measure` that reads in the arm's tree how much its server burns."""

    def __init__(self):
        self.host = fakes.FakeHost(fakes.Host(drift_sd=0.03, trial_sd=0.01, outlier_chance=0), trials=2000)
        self.change = None
        self.trees = {}
        self.trials = []

    def __call__(self, block):
        return tuple(map(self.measure, block.trials))

    def measure(self, trial):
        self.trials.append(trial)
        folder = Path(trial.server.cwd)
        code = folder / "myserver" / "__init__.py"
        self.trees[trial.server.name] = (folder, sorted(path.name for path in folder.iterdir()))
        result = self.host.trial(trial)
        if not code.exists():
            return fakes.failed(result, Status.NOT_READY, "No module named myserver")
        burn = int(code.read_text().split("=")[1])
        slower = 1 + burn / 100
        result = fakes.with_metrics(
            result,
            replies_per_s=result.metrics["replies_per_s"] / slower,
            server_cpu_us_per_reply=result.metrics["server_cpu_us_per_reply"] * slower,
            server_cpu_share=0.34,
        )
        return result if self.change is None else self.change(result, len(self.trials))


@pytest.fixture
def bench(monkeypatch, tmp_path):
    fake = Bench()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    monkeypatch.setenv("PATH", path)
    return fake


@pytest.fixture
def _without_pip(monkeypatch):
    """Leave pip out of the arms' environments: to put it there takes seconds, and no set-up here uses it."""

    monkeypatch.setattr(arms, "VENV", [*arms.VENV, "--without-pip"])


@pytest.fixture
def run(bench, monkeypatch, capsys):
    """Return a function that runs the command in a folder and gives its exit status and what it printed.

    What it said on stderr is its `said_aside`.
    """

    def invoke(folder, *arguments):
        monkeypatch.chdir(folder)
        try:
            code = regress.main(
                list(arguments),
                prog_name="echobench regress",
                standalone_mode=False,
                obj=lambda: contextlib.nullcontext(bench),
            )
        except BenchError as error:
            code = error.exit_code
            print(f"echobench: {error}")
        except click.UsageError as error:
            code = error.exit_code
            print(error.format_message())
        captured = capsys.readouterr()
        invoke.said_aside = captured.err
        return int(code or 0), captured.out

    return invoke


def test_a_slower_second_commit_is_regressed(project, run, bench):
    base = project.commit(0)
    project.commit(20)
    code, said = run(project.root, "--base", base, "--command", COMMAND, "--pairs", "12", "--setup", "", "--verbose")
    assert code == 1
    assert "REGRESSED     somebody/c16/1024B  slower by " in said
    change = re.match(r"REGRESSED: slower by ([\d.]+) % \([\d.]+ to [\d.]+\) in server CPU per reply\n", said)
    assert 17 < float(change[1]) < 23, "20 %, and what twelve noisy pairs leave open"
    assert "slower, and beyond chance among 2 tests" in said
    assert "sensitivity: of 10 % more server CPU per reply, throughput shows about 3.4 %" in said
    (base_tree, _), (head_tree, _) = bench.trees["somebody@base"], bench.trees["somebody@head"]
    assert len(str(base_tree)) == len(str(head_tree))
    assert not base_tree.exists(), "the worktrees are taken away"
    assert project.git("worktree", "list").count("\n") == 0


def test_the_same_code_in_two_commits_is_fine_and_is_remembered(project, run, tmp_path):
    base = project.commit(5)
    project.commit()
    asked = ("--base", base, "--command", COMMAND, "--pairs", "12", "--seed", "1", "--setup", "", "--verbose")
    code, said = run(project.root, *asked)
    assert code == 0
    assert "of 1 comparison of equal code, 0 were called REGRESSED" in said
    entry = json.loads((tmp_path / "cache" / "echobench" / "regress.jsonl").read_text())
    assert (entry["same"], entry["word"]) == (True, "OK")


def test_the_working_tree_includes_files_that_git_does_not_know(project, run, bench):
    project.commit(0)
    project.write(30)
    (project.root / "new.py").write_text("")
    (project.root / ".gitignore").write_text("secret\n")
    (project.root / "secret").write_text("")
    before = project.git("status", "--porcelain")
    code, said = run(project.root, "--base", "HEAD", "--command", COMMAND, "--pairs", "12", "--setup", "")
    assert code == 1
    assert "working tree" in said
    assert "new.py" in bench.trees["somebody@head"][1]
    assert "secret" not in bench.trees["somebody@head"][1]
    assert "new.py" not in bench.trees["somebody@base"][1]
    assert project.git("status", "--porcelain") == before, "the user's index is untouched"


def test_regress_can_be_asked_from_a_folder_within(project, run, bench):
    (project.root / "sub").mkdir()
    inner = project.root / "sub"
    project.write(0)
    (project.root / "myserver").rename(inner / "myserver")
    project.commit()
    code, _ = run(inner, "--base", "HEAD", "--command", COMMAND, "--pairs", "12", "--setup", "")
    assert code in {0, 3}
    assert bench.trees["somebody@head"][0].name == "sub"


@pytest.mark.usefixtures("_without_pip")
def test_setup_runs_in_each_arms_own_environment(project, run, bench):
    project.commit(0)
    setup = 'python -c \'import sys; open("prefix", "w").write(sys.prefix)\' && test -f myserver/__init__.py'
    code, _ = run(project.root, "--base", "HEAD", "--command", COMMAND, "--pairs", "12", "--setup", setup)
    assert code in {0, 3}
    servers = {trial.server.name: trial.server for trial in bench.trials}
    programs = [servers[f"somebody@{folder}"].command[0] for folder in ("base", "head")]
    assert [Path(program).parts[-4:-1] for program in programs] == [("base", "venv", "bin"), ("head", "venv", "bin")]
    assert "prefix" in bench.trees["somebody@base"][1]


BAD = [
    (["--base", "no-such-rev"], 5, "there is no revision 'no-such-rev'"),
    (["--base", "HEAD", "--head", "no-such-rev"], 2, "there is no revision 'no-such-rev'"),
    (["--base", ""], 2, "--base is empty. Pass what the event of your CI names: in a merge queue"),
    (["--base", "0" * 40], 2, "which stands for no commit. Pass what the event of your CI names"),
    (["--base", "HEAD", "--head", " "], 2, "--head is empty"),
    (["--base", "HEAD", "--setup", "echo reading; echo 'no such wheel' >&2; exit 7"], 2, "no such wheel"),
    (["--base", "HEAD", "--setup", "exit 7"], 2, "it fails in both arms alike: say with --setup how"),
    (["--base", "HEAD", "--command", "no-such-program --port {port}"], 2, "no program 'no-such-program'"),
    (["--base", "HEAD", "--command", "python -m myserver"], 2, "put {port} into the command"),
    (
        ["--base", "HEAD", "--command", "python -m myserver", "--ready", "port"],
        2,
        "and prints READY HOST PORT, say --r",
    ),
    (["--a", "x=sleep 9", "--b", "threads"], 2, "--a x=sleep 9: it is not told its port"),
    (["--base", "HEAD", "--command", ""], 2, "say how to start the server"),
    (["--base", "HEAD", "--command", "python 'x {port}"], 2, "cannot be split into words: No closing quotation"),
    (["--base", "HEAD", "--minutes", "nan"], 2, "--minutes nan is no amount"),
    (["--base", "HEAD", "--minutes", "inf"], 2, "--minutes inf is no amount"),
    (["--base", "HEAD", "--minutes", "1e308"], 2, "--minutes 1e+308 is no amount"),
    (["--base", "HEAD", "--tolerance", "nan"], 2, "--tolerance nan is no amount"),
    (["--base", "HEAD", "--rate", "nan"], 2, "--rate is 'nan', and must be a number above 0"),
    (["--base", "HEAD", "--rate", "1e30"], 2, "--rate is 1e+30, and must be 1000000 or less"),
    (["--base", "HEAD", "--connections", "100000000"], 2, "ask for fewer connections (--connections)"),
    (["--base", "HEAD", "--warmup", "9999999s"], 2, "--warmup is 9999999.0, and must be a number of seconds from 0"),
    (["--base", "HEAD", "--minutes", "1", "--pairs", "3"], 2, "give one"),
    (["--base", "HEAD", "--gate", "throughput"], 2, "unknown metric 'throughput'"),
    (["--base", "HEAD", "--gate", "replies_per_s=lots"], 2, "a budget is a number of percent"),
    (["--base", "HEAD", "--duration", "soon"], 2, "--duration is 'soon', and must be a number of seconds"),
    (["--a", "threads"], 2, "--a is half of a comparison"),
    (["--a", "threads", "--b", "threads", "--base", "HEAD"], 2, "leave out --base"),
    (["--a", "treads", "--b", "threads"], 2, "did you mean 'threads'"),
    ([], 2, "say what to compare with"),
    (["--base", "HEAD", "--pairs", "5"], 3, "5 pairs cannot decide anything"),
    (["--base", "HEAD", "--pairs", "0"], 2, "--pairs"),
]


@pytest.mark.usefixtures("_without_pip")
@pytest.mark.parametrize(
    ("arguments", "expected", "said"), BAD, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_bad_input_has_its_word_and_is_never_green(project, run, arguments, expected, said):
    project.commit(0)
    given = list(arguments)
    if "--base" in given and "--command" not in given and "--a" not in given:
        given += ["--command", COMMAND]
    if "--base" in given and "--setup" not in given and "--a" not in given:
        given += ["--setup", ""]
    code, out = run(project.root, *given)
    assert code == expected
    assert said in out
    assert "Traceback" not in out


SEEN = ("server_cpu_us_per_reply", "response_p50_ns")
NO_NUMBER = {"NaN": math.nan, "infinite": math.inf, "zero": 0.0, "negative": -1.0, "not seen": None}


@pytest.mark.parametrize("number", NO_NUMBER)
@pytest.mark.parametrize("metric", SEEN)
def test_a_number_that_has_no_ratio_is_invalid_everywhere(project, run, bench, *, tmp_path, metric, number):
    """In one trial of sixteen, so that no mean or median covers it."""
    project.commit(0)

    def change(result, count):
        return fakes.with_metrics(result, **{metric: NO_NUMBER[number]}) if count % 16 == 11 else result

    bench.change = change
    given = ["--base", "HEAD", "--command", COMMAND, "--pairs", "12", "--setup", ""]
    files = ["--junit", str(tmp_path / "junit.xml"), "--summary", str(tmp_path / "summary.md")]
    code, said = run(project.root, *given, *files)
    assert code == 4
    assert re.search(r"^INVALID .* in pair 6, which no ratio can be made of$", said, re.MULTILINE)
    assert junit_fault((tmp_path / "junit.xml").read_text()) == ""
    assert "<failure" in (tmp_path / "junit.xml").read_text()
    assert "**INVALID**" in (tmp_path / "summary.md").read_text()
    code, out = run(project.root, *given, "--json")
    assert (code, json.loads(out, parse_constant=pytest.fail)["word"]) == (4, "INVALID")


def test_numbers_that_do_not_vary_are_judged_as_they_are(project, run, bench):
    """No spread is no reason for doubt: equal is OK, and what is always slower has regressed."""
    base = project.commit(0)
    bench.host = fakes.FakeHost(fakes.STILL, trials=2000)
    given = ["--base", base, "--command", COMMAND, "--pairs", "12", "--setup", ""]
    assert run(project.root, *given)[0] == 0
    project.commit(3)
    code, said = run(project.root, *given, "--verbose")
    assert code == 1
    assert "pair sd 0 %" in said


LONG_SET_UP = "seq 99; printf '%05000d\\n' 0; echo checking; test ! -f broken"
"""A set-up that says a hundred lines, one of them very long, and fails where there is a file."""


@pytest.mark.usefixtures("_without_pip")
def test_a_set_up_that_fails_for_the_candidate_only_is_invalid(project, run):
    base = project.commit(0)
    (project.root / "broken").write_text("")
    project.commit()
    code, said = run(project.root, "--base", base, "--command", COMMAND, "--setup", LONG_SET_UP)
    assert code == 4
    assert "the set-up of working tree" in said
    assert "  | checking\n" in said
    assert f"  | {'0' * 200}… (4,800 characters more)" in said
    assert len(said.splitlines()) < 30


def test_a_comparison_that_cannot_begin_reports_its_word_everywhere(project, run, tmp_path):
    project.commit(0)
    files = {name: tmp_path / name for name in ("junit", "summary", "html")}
    given = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    code, said = run(project.root, "--base", "gone", "--command", COMMAND, *given)
    assert code == 5
    assert said.startswith("echobench: NO-BASELINE: there is no revision 'gone'")
    assert junit_fault(files["junit"].read_text()) == ""
    (suite,) = junitparser.JUnitXml.fromstring(files["junit"].read_bytes())
    assert (suite.tests, suite.failures) == (1, 1), "what was not compared is not green"
    assert files["summary"].read_text().startswith("### NO-BASELINE\n\n**NO-BASELINE: there is no revision 'gone'")
    assert "NO-BASELINE: nothing was measured</h1>" in files["html"].read_text()


@pytest.mark.parametrize(
    ("setup", "word", "code"), [("test -f broken", "NO-BASELINE", 5), ("test ! -f broken", "INVALID", 4)]
)
@pytest.mark.usefixtures("_without_pip")
def test_json_has_its_object_for_what_could_not_begin(project, run, setup, word, code):
    base = project.commit(0)
    (project.root / "broken").write_text("")
    project.commit()
    given = ["--base", base, "--command", COMMAND, "--setup", setup, "--json"]
    found, out = run(project.root, *given)
    document = json.loads(out[: out.index("\nechobench: ")])
    assert (found, document["word"], document["exit_code"]) == (code, word, code)
    assert document["cells"][0]["reason"].startswith("the set-up of ")


def test_a_server_that_the_baseline_does_not_have_is_no_baseline(project, run):
    (project.root / "README").write_text("")
    base = project.commit()
    project.commit(0)
    code, said = run(project.root, "--base", base, "--command", COMMAND, "--pairs", "12", "--setup", "")
    assert code == 5
    assert "works in one arm only" in said
    assert "No module named myserver" in said


def test_outside_a_repository_is_wrong_use(run, tmp_path):
    code, said = run(tmp_path, "--base", "HEAD", "--command", COMMAND)
    assert code == 2
    assert "is in no git repository" in said


def test_a_command_that_names_the_checkout_would_compare_it_with_itself(project, run):
    project.commit(0)
    command = f"python {project.root}/myserver/__main__.py --port {{port}}"
    code, said = run(project.root, "--base", "HEAD", "--command", command, "--setup", "")
    assert code == 2
    assert "the same file for both arms" in said


def test_python_path_of_the_checkout_moves_with_the_arm(project, run, bench, monkeypatch):
    project.commit(0)
    monkeypatch.setenv("PYTHONPATH", f"{project.root}/lib{os.pathsep}/elsewhere")
    run(project.root, "--base", "HEAD", "--command", COMMAND, "--pairs", "12", "--setup", "")
    path = bench.trials[0].server.env["PYTHONPATH"].split(os.pathsep)
    assert path[1] == "/elsewhere"
    assert path[0].endswith("/tree/lib")
    assert not path[0].startswith(str(project.root))


def test_a_change_that_no_arm_loads_is_never_fine(project, run, monkeypatch):
    monkeypatch.setattr("bench.cli.regress.has_own_door", lambda _context: False)  # so that the arms are looked at
    base = project.commit(0)
    (project.root / "fast.c").write_text("")
    code, said = run(project.root, "--base", base, "--command", COMMAND, "--pairs", "12", "--setup", "")
    assert code == 3
    assert re.search(
        r"^INCONCLUSIVE .* the revisions differ in 1 file \(fast.c\), but each arm loaded 2", said, re.MULTILINE
    )
    assert "to settle it" not in said, "no number of pairs would"


def test_a_change_of_documents_is_what_was_measured(project, run, monkeypatch):
    monkeypatch.setattr("bench.cli.regress.has_own_door", lambda _context: False)
    base = project.commit(0)
    (project.root / "README.md").write_text("")
    code, said = run(project.root, "--base", base, "--command", COMMAND, "--pairs", "24", "--seed", "1", "--setup", "")
    assert code == 0
    first = said.splitlines()[0]
    assert first.startswith("OK: not slower by ")
    assert first.endswith("; the server loads nothing of what changed: 1 file (README.md)")


def test_both_arms_get_a_steady_allocator_unless_the_user_has_set_one(project, run, bench, monkeypatch):
    project.commit(0)
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "1")
    monkeypatch.delenv("MALLOC_MMAP_THRESHOLD_", raising=False)
    run(project.root, "--base", "HEAD", "--command", COMMAND, "--pairs", "12", "--setup", "")
    for trial in bench.trials:
        assert "MALLOC_TRIM_THRESHOLD_" not in trial.server.env
        assert trial.server.env["MALLOC_MMAP_THRESHOLD_"] == "33554432"


@pytest.fixture
def with_submodule(project, tmp_path):
    other = type(project)(tmp_path / "library")
    (other.root / ".gitattributes").write_text("data.txt export-ignore\n")
    (other.root / "data.txt").write_text("read at start\n")
    (other.root / "config").symlink_to("/etc/hostname")
    other.commit(0)
    project.commit(0)
    project.git("submodule", "--quiet", "add", str(other.root), "library")
    project.commit()
    return project


def test_submodules_are_filled_from_the_clone_that_is_here(with_submodule, run, bench):
    code, _ = run(with_submodule.root, "--base", "HEAD", "--command", COMMAND, "--pairs", "12", "--setup", "")
    assert code in {0, 3}
    assert "library" in bench.trees["somebody@base"][1]


def test_submodules_hold_their_files(with_submodule, tmp_path):
    where = revisions.repository(with_submodule.root)
    head = revisions.resolve(where, "HEAD", UsageError)
    with revisions.checked_out(where, {Arm.BASELINE: head}, tmp_path / "work") as trees:
        library = trees[Arm.BASELINE] / "library"
        assert (library / "myserver" / "__init__.py").read_text() == "BURN = 0\n"
        assert (library / "data.txt").read_text() == "read at start\n", "a checkout knows no export-ignore"
        assert (library / "config").readlink() == Path("/etc/hostname")
    assert with_submodule.git("status", "--porcelain") == ""
    assert with_submodule.git("-C", "library", "status", "--porcelain") == ""


def test_a_dirty_submodule_is_wrong_use(with_submodule, run):
    (with_submodule.root / "library" / "myserver" / "__init__.py").write_text("BURN = 99\n")
    code, said = run(with_submodule.root, "--base", "HEAD", "--command", COMMAND, "--setup", "")
    assert code == 2
    assert "submodule library has changes that are not committed" in said


def test_a_submodule_commit_that_is_not_here_is_no_baseline(with_submodule, tmp_path):
    with_submodule.git("update-index", "--cacheinfo", f"160000,{'1' * 40},library")
    with_submodule.git("commit", "--quiet", "--message=points nowhere")
    where = revisions.repository(with_submodule.root)
    revision = revisions.resolve(where, "HEAD", NoBaselineError)
    with (
        pytest.raises(NoBaselineError, match="git -C library fetch"),
        revisions.checked_out(where, {Arm.BASELINE: revision}, tmp_path / "work"),
    ):
        pass
    assert with_submodule.git("worktree", "list").count("\n") == 0


def test_an_inconclusive_answer_says_what_would_settle_it_and_may_be_allowed(project, run, bench):
    project.commit(0)
    bench.host = fakes.FakeHost(fakes.NOISY, trials=2000)
    given = ["--base", "HEAD", "--command", COMMAND, "--pairs", "12", "--setup", "", "--seed", "1"]
    code, said = run(project.root, *given)
    assert code == 3
    (line,) = [line for line in said.splitlines() if "to settle it" in line]
    assert line.split("to settle it: ")[1].startswith(
        "echobench regress --base HEAD --command 'python -m myserver --port {port}' --setup '' --pairs "
    )
    assert run(project.root, *given, "--allow-inconclusive")[0] == 0


def test_json_junit_and_summary_say_the_same(project, run, tmp_path):
    base = project.commit(0)
    project.commit(20)
    files = ["--junit", str(tmp_path / "junit.xml"), "--summary", str(tmp_path / "summary.md")]
    files += ["--html", str(tmp_path / "page.html")]
    (tmp_path / "summary.md").write_text("before\n")
    code, out = run(
        project.root,
        "--base",
        base,
        "--command",
        COMMAND,
        "--pairs",
        "12",
        "--seed",
        "1",
        "--setup",
        "",
        "--json",
        *files,
    )
    found = json.loads(out)
    assert (code, found["exit_code"], found["word"]) == (1, 1, "REGRESSED")
    assert found["facts"]["trials"] == 24
    assert junit_fault((tmp_path / "junit.xml").read_text()) == ""
    (suite,) = junitparser.JUnitXml.fromstring((tmp_path / "junit.xml").read_bytes())
    assert suite.failures == 1
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("before\n### REGRESSED: ")
    assert re.search(r"\| somebody/c16/1024B \| server CPU per reply \| \+(19|2[01])\.\d % \|", summary)
    page = (tmp_path / "page.html").read_text()
    (headline,) = re.findall(r"<title>(REGRESSED: .*)</title>", page)
    assert f"**{headline}**" in summary
    assert f"--command {shlex.quote(COMMAND)} --setup '' --pairs 12 " in html.unescape(page)
    assert page.count("--seed 1") == 1


def test_what_json_printed_can_be_exported_with_its_ratios(project, run, tmp_path):
    base = project.commit(0)
    project.commit(20)
    given = ["--base", base, "--command", COMMAND, "--pairs", "12", "--seed", "1", "--setup", "", "--json"]
    _, out = run(project.root, *given)
    (tmp_path / "regress.json").write_text(out)
    done = CliRunner().invoke(export, [str(tmp_path / "regress.json"), "--format", "bencher"], catch_exceptions=False)
    assert done.output == f"{tmp_path / 'export' / 'bencher.json'}\n"
    measures = json.loads((tmp_path / "export" / "bencher.json").read_text())["somebody/c16/1024B / baseline"]
    ratio = measures["server-cpu-us-per-reply-ratio"]
    assert 1.15 < ratio["lower_value"] < ratio["value"] < ratio["upper_value"] < 1.25


@pytest.mark.parametrize(
    ("option", "where"),
    [
        *((option, "/proc/ours") for option in ("--junit", "--summary", "--html", "--ledger")),
        ("--junit", "/proc/ours/junit.xml"),
    ],
)
def test_a_file_that_cannot_be_written_is_refused_before_measuring(project, run, bench, option, where):
    project.commit(0)
    given = ["--base", "HEAD", "--command", COMMAND, "--pairs", "12", "--setup", ""]
    code, said = run(project.root, *given, option, where)
    assert code == 2
    assert "cannot" in said
    assert where in said
    assert bench.trials == []


def test_a_verdict_outlives_files_that_can_no_longer_be_written(project, run, bench, tmp_path):
    """A folder takes the place of each file while it measures, as no permission would stop root."""
    base = project.commit(0)
    project.commit(20)
    files = {f"--{name}": tmp_path / name for name in ("junit", "summary", "html", "ledger")}

    def change(result, count):
        if count == 1:
            for path in files.values():
                path.unlink(missing_ok=True)
                path.mkdir()
        return result

    bench.change = change
    given = [word for option, path in files.items() for word in (option, str(path))]
    code, said = run(project.root, "--base", base, "--command", COMMAND, "--pairs", "12", "--setup", "", *given)
    assert code == 1
    assert "REGRESSED     somebody/c16/1024B" in said
    assert "this comparison is not remembered: the ledger" in said
    assert run.said_aside.count(": Is a directory") == 3


def test_the_default_set_up_is_read_from_the_tree(tmp_path):
    assert arms.default_setup(tmp_path) is None
    (tmp_path / "requirements.txt").write_text("")
    assert arms.default_setup(tmp_path) == "python -m pip install -r requirements.txt"
    (tmp_path / "pyproject.toml").write_text("[project]\nname = 'x'\n")
    assert arms.default_setup(tmp_path) == "python -m pip install -e ."
    assert arms.default_setup(CHECKOUT) is None, "our servers run from a checkout"
